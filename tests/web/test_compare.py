from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from seedbed.advice import Advice
from seedbed.compare import CompareRequest, CompareResult, Comparison
from seedbed.init import SCHEMES
from tests.serving import wait_until
from tests.web.local import Local, Raw

SMALL = {
    "schemes": ["he_normal", "glorot_uniform"],
    "network": {"depth": 3, "width": 16},
    "seeds": 2,
    "batch": 8,
}


def expected(body: dict[str, Any]) -> list[Any]:
    """What the core says of a body."""
    return Comparison(CompareRequest.model_validate_json(json.dumps(body))).run().schemes


def test_answer_is_the_cores(client: httpx.Client) -> None:
    """JSON by default, of the documented form; what the core measures, with links to weights."""
    answer = client.post("/v1/compare", json=SMALL)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    result = CompareResult.model_validate_json(answer.content)
    for found, wanted in zip(result.schemes, expected(SMALL), strict=True):
        assert found.link is not None
        assert client.get(found.link).status_code == 200
        assert found.columns["correlation"].value == pytest.approx(
            wanted.columns["correlation"].value
        )


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/event-stream"])
def test_progress_comes_first(client: httpx.Client, kind: str) -> None:
    """With Accept for lines or events every trial is told before the same result."""
    answer = client.post("/v1/compare", json=SMALL, headers={"accept": kind})
    assert answer.headers["content-type"].partition(";")[0] == kind
    lines = [line for line in answer.text.splitlines() if line.startswith(("{", "data: "))]
    *steps, last = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert [(step["done"], step["total"]) for step in steps] == [(i, 4) for i in range(5)]
    assert last["type"] == "result"
    assert last["result"] == client.post("/v1/compare", json=SMALL).json()
    if kind == "text/event-stream":
        assert answer.text.count("event: progress\n") == 5


@pytest.mark.parametrize(
    ("body", "pointer", "allowed"),
    [
        ({"schemes": ["he_norml"]}, "#/schemes/0", "he_normal"),
        ({"schemes": [{"scheme": "he_normal", "gian": 1}]}, "#/schemes/0/gian", "gain"),
        ({"schemes": [{"init": "ones", "lable": "x"}]}, "#/schemes/0/lable", "label"),
        ({"schemes": ["ones"], "network": {"kind": "rnn"}}, "#/network/kind", "residual_cnn"),
        ({"schemes": ["ones"], "network": {"widht": 3}}, "#/network/widht", "width"),
        ({"schemes": ["ones"], "sead": 3}, "#/sead", "seed"),
        ({"schemes": []}, "#/schemes", None),
        ({"schemes": ["ones", "ones"]}, "#/schemes", None),
        ({}, "#/schemes", None),
        ({"schemes": ["ones"], "seed": 2**64 - 1}, None, None),
        ({"schemes": [{"spec": {"tensors": [{"name": "a", "shape": [1], "init": "ones"}]}}]},
         "#/schemes/0/spec", "layers.0.weight [128, 128]"),
        ({"schemes": ["toeplitz"]}, "#/schemes/0", "he_normal"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_where(
    client: httpx.Client, body: dict[str, Any], pointer: str | None, allowed: str | None
) -> None:
    """A wrong body is a 422 with its place, and what is allowed there."""
    answer = client.post("/v1/compare", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (found,) = answer.json()["errors"]
    if pointer is not None:
        assert found["pointer"] == pointer
    if allowed is not None:
        assert allowed in found["allowed"]


def test_not_json_and_too_much(client: httpx.Client) -> None:
    """A body that is no JSON is a 400, a query a 422, too much work a 422 with the numbers."""
    said = {"content-type": "application/json"}
    assert client.post("/v1/compare", content=b"{", headers=said).status_code == 400
    assert client.post("/v1/compare?seed=3", json=SMALL).status_code == 422
    huge = {"schemes": ["ones"], "network": {"depth": 1000, "width": 4096}}
    problem = client.post("/v1/compare", json=huge).json()
    assert problem["limit"] == "SEEDBED_MAX_COMPARE_FLOPS"
    assert problem["actual"] > problem["maximum"] == 400_000_000_000


def test_one_too_many_and_cancelled() -> None:
    """A comparison beyond the limit is a 429; one whose client leaves ends, and frees its slot."""
    long = {**SMALL, "seeds": 100, "network": {"depth": 100, "width": 64}}
    with Local(max_comparisons=1) as local, local.client() as client:
        for accept in ("application/json", "application/x-ndjson"):
            with Raw(local.port) as leaver:
                text = json.dumps(long).encode()
                leaver.send(
                    b"POST /v1/compare HTTP/1.1\r\nHost: here\r\n",
                    b"Content-Type: application/json\r\n",
                    b"Accept: %b\r\nContent-Length: %d\r\n\r\n" % (accept.encode(), len(text)),
                    text,
                )
                wait_until(lambda: local.service.comparisons.active, "it to begin")
                if accept == "application/x-ndjson":
                    assert leaver.head()[0] == 200
                refused = client.post("/v1/compare", json=SMALL)
                assert refused.status_code == 429
                assert int(refused.headers["retry-after"]) > 0
            wait_until(lambda: not local.service.comparisons.active, "the work to end")
        assert client.post("/v1/compare", json=SMALL).status_code == 200


@pytest.mark.parametrize("layer", [
    "linear", "conv", "depthwise_conv", "recurrent", "embedding", "attention", "output",
])  # fmt: skip
@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "selu", "sigmoid", "linear", "erf"])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_advice_can_be_followed(
    client: httpx.Client, layer: str, activation: str, norm: str
) -> None:
    """Whatever is asked, the scheme exists, the example is served, and there are reasons."""
    asked = {"layer": layer, "activation": activation, "norm": norm, "residual": "true"}
    answer = client.get("/v1/advise", params=asked)
    advice = Advice.model_validate_json(answer.content)
    for option in (advice.init, *(o.init for o in advice.alternatives)):
        given = {"scheme": option} if isinstance(option, str) else option
        SCHEMES[given["scheme"]].model_validate(given)
    assert client.head(advice.example).status_code == 200
    assert advice.why
    assert any(e.kind == "measured" for e in advice.evidence)


@pytest.mark.parametrize(
    ("query", "parameter", "allowed"),
    [
        ("layer=dense", "layer", "linear"),
        ("activation=swish", "activation", "silu"),
        ("norm=group", "norm", "layer"),
        ("nrom=batch", "nrom", "norm"),
        ("residual=perhaps", "residual", None),
    ],
)
def test_advice_on_unknown_words(
    client: httpx.Client, query: str, parameter: str, allowed: str | None
) -> None:
    """A word that is not known is a 422 that says which are."""
    answer = client.get(f"/v1/advise?{query}")
    assert answer.status_code == 422
    (found,) = answer.json()["errors"]
    assert found["parameter"] == parameter
    assert allowed is None or allowed in found["allowed"]
