from __future__ import annotations

import json
import math
import urllib.parse
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedbed.files import CheckpointSpec, VirtualFile
from tests.neighbours import bodies_by_kind
from tests.strategies import SEED_MAX, bodies, untimed
from tests.web.local import Local, bytes_of

shared = settings(
    untimed,
    max_examples=25,
    suppress_health_check=[
        *untimed.suppress_health_check, HealthCheck.function_scoped_fixture,
    ],
)  # fmt: skip
"""One service serves all examples."""

BODY: dict[str, Any] = {
    "seed": 7,
    "dtype": "BF16",
    "tensors": [
        {"name": "fc.weight", "shape": [30, 20], "init": "he_normal"},
        {"name": "fc.bias", "shape": [30], "dtype": "F32"},
        {"name": "steps", "shape": [], "init": {"scheme": "constant", "value": 5}, "dtype": "I64"},
        {"name": "cut", "shape": [9], "init": {"scheme": "truncated_normal", "std": 0.5}},
        {"name": "flat", "shape": [2, 2], "init": {"scheme": "uniform", "low": -2.0, "high": 4.0}},
    ],
    "rules": [{"match": "*.bias", "init": "zeros"}],
    "metadata": {"note": "grüße"},
}


def file_of(body: dict[str, Any]) -> VirtualFile:
    """The file of a body, without HTTP."""
    return VirtualFile(CheckpointSpec.model_validate_json(json.dumps(body)))


@shared
@given(body=bodies())
def test_post_is_get_is_the_file(client: httpx.Client, body: dict[str, Any]) -> None:
    """POST, GET by its Content-Location, and the virtual file are the same bytes and ETag."""
    file = file_of(body)
    posted = client.post("/v1/checkpoints", json=body)
    assert posted.status_code == 200, posted.text
    assert posted.content == bytes_of(file)
    assert posted.headers["content-length"] == str(file.size)
    assert posted.headers["etag"] == f'"{file.etag}"'
    assert posted.headers["content-disposition"] == 'attachment; filename="model.safetensors"'
    link = posted.headers["content-location"]
    assert urllib.parse.quote(link) == link  # a URL as it stands, as RFC 9110 §8.7 asks
    got = client.get(link)
    assert got.status_code == 200
    assert got.content == posted.content
    assert got.headers["etag"] == posted.headers["etag"]


@shared
@given(body=bodies())
def test_describe_is_the_header_of_the_file(client: httpx.Client, body: dict[str, Any]) -> None:
    """The plan's names, shapes, dtypes, offsets and metadata are those in the file's own header."""
    file = file_of(body)
    described = client.post("/v1/describe", json=body).json()
    length = int.from_bytes(file.header[:8], "little")
    header = json.loads(file.header[8:])
    assert described["metadata"] == header.pop("__metadata__")
    assert described["header_bytes"] == 8 + length
    found = {
        tensor["name"]: {
            "dtype": tensor["dtype"],
            "shape": tensor["shape"],
            "data_offsets": [
                tensor["offset"] - 8 - length,
                tensor["offset"] - 8 - length + tensor["size_bytes"],
            ],
        }
        for tensor in described["tensors"]
    }
    assert found == header
    assert list(found) == list(header)
    assert described["size_bytes"] == file.size
    assert described["tensor_count"] == len(header)
    assert described["parameter_count"] == sum(t["elements"] for t in described["tensors"])
    assert described["etag"] == file.etag
    assert client.get(described["links"]["file"]).content == bytes_of(file)


def test_describe_says_what_the_values_are(client: httpx.Client) -> None:
    """Fans, moments and bounds are those of the formulas, and of the bytes themselves."""
    described = client.post("/v1/describe", json=BODY).json()
    tensors = {tensor["name"]: tensor for tensor in described["tensors"]}
    weight = tensors["fc.weight"]
    assert (weight["fan_in"], weight["fan_out"]) == (20, 30)
    assert (weight["scheme"], weight["init"]) == ("he_normal", "he_normal")
    assert weight["std"] == pytest.approx(math.sqrt(2 / 20))
    assert (weight["mean"], weight["lower"], weight["upper"]) == (0, None, None)
    assert weight["excess_kurtosis"] == 0
    assert (weight["offset"] - described["header_bytes"]) % 2 == 0
    flat = tensors["flat"]
    assert (flat["lower"], flat["upper"], flat["mean"]) == (-2, 4, 1)
    assert flat["std"] == pytest.approx(6 / math.sqrt(12))
    assert flat["excess_kurtosis"] == pytest.approx(-1.2)
    cut = tensors["cut"]
    assert cut["std"] == pytest.approx(0.5 * 0.87962566103423978)
    assert (cut["lower"], cut["upper"]) == (-1, 1)
    assert tensors["steps"]["mean"] == tensors["steps"]["lower"] == tensors["steps"]["upper"] == 5
    assert tensors["fc.bias"]["std"] == 0
    assert tensors["fc.bias"]["fan_in"] is None
    whole = client.get(described["links"]["file"]).content
    steps = tensors["steps"]
    content = whole[steps["offset"] : steps["offset"] + steps["size_bytes"]]
    assert np.frombuffer(content, "<i8").tolist() == [5]


@pytest.mark.parametrize("seed", [0, 1, 2**53 - 1, 2**53, 2**53 + 1, SEED_MAX])
@pytest.mark.parametrize("spelled", [int, str])
def test_seeds(client: httpx.Client, seed: int, spelled: type[int | str]) -> None:
    """Every seed may come as a number or a string; past 2**53 − 1 it is given back as a string."""
    body = {**BODY, "seed": spelled(seed)}
    described = client.post("/v1/describe", json=body).json()
    assert described["seed"] == (seed if seed < 2**53 else str(seed))
    assert described["metadata"]["seedbed.seed"] == str(seed)
    assert described["etag"] == file_of({**BODY, "seed": seed}).etag
    assert client.post("/v1/checkpoints", json=body).content == bytes_of(
        file_of({**BODY, "seed": seed})
    )


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON", "text/x+json"],
)
def test_media_types(client: httpx.Client, content_type: str) -> None:
    """JSON by any of its names is read."""
    response = client.post(
        "/v1/describe", content=json.dumps(BODY), headers={"content-type": content_type}
    )
    assert response.status_code == 200


def test_chunked_body(client: httpx.Client) -> None:
    """A body of unknown length is read like another."""
    parts = (bytes([byte]) for byte in json.dumps(BODY).encode())
    response = client.post(
        "/v1/checkpoints", content=parts, headers={"content-type": "application/json"}
    )
    assert response.content == bytes_of(file_of(BODY))


def test_many_tensors(client: httpx.Client) -> None:
    """A large spec, which is read and planned in threads, makes its file too."""
    tensors = [{"name": f"layer.{i}", "shape": [3], "init": "uniform"} for i in range(2000)]
    body = {"tensors": tensors}
    response = client.post("/v1/checkpoints", json=body)
    assert response.content == bytes_of(file_of(body))
    described = client.post("/v1/describe", json=body).json()
    assert described["tensor_count"] == 2000
    link = response.headers.get("content-location")
    assert described["links"]["file"] == link
    assert link is None or client.get(link).content == response.content


def test_no_link_where_a_url_cannot_hold_it(client: httpx.Client) -> None:
    """A spec that does not compress has no link, and its file all the same."""
    names = [f"{hash((i, 'x')) & (2**64 - 1):016x}" for i in range(500)]
    body = {"tensors": [{"name": n, "shape": [1], "init": "normal"} for n in sorted(set(names))]}
    response = client.post("/v1/checkpoints", json=body)
    assert response.content == bytes_of(file_of(body))
    assert "content-location" not in response.headers
    assert client.post("/v1/describe", json=body).json()["links"]["file"] is None


def test_every_link_is_taken_back() -> None:
    """A link is offered only if this service would take it: not if it inflates to too much."""
    body = {"tensors": [{"name": "a" * 900, "shape": [1], "init": "zeros"}]}
    with Local(max_token_bytes=900, engine="numpy") as local, local.client() as client:
        assert client.post("/v1/describe", json=body).json()["links"]["file"] is None
        assert len(file_of(body).spec.token) < 200
    with Local(max_token_bytes=1000, engine="numpy") as local, local.client() as client:
        link = client.post("/v1/describe", json=body).json()["links"]["file"]
        assert client.get(link).content == bytes_of(file_of(body))


def test_link_survives_a_restart_and_another_replica() -> None:
    """A link that one service made is served by another, which has never seen the spec."""
    with Local(engine="numpy") as first, first.client() as client:
        posted = client.post("/v1/checkpoints", json=BODY)
    with Local(engine="numpy") as second, second.client() as client:
        assert client.get(posted.headers["content-location"]).content == posted.content


def test_link_is_remembered_and_forgotten() -> None:
    """A plan is made once for many ranges, and again when others have pushed it out."""
    with Local(engine="numpy", cache_bytes=20_000) as local, local.client() as client:
        link = client.post("/v1/describe", json=BODY).json()["links"]["file"]
        for _ in range(3):
            assert client.get(link, headers={"range": "bytes=0-7"}).status_code == 206
        assert len(local.service.cache) == 1
        for seed in range(9):
            client.head(f"/v1/tensors/zeros/1.safetensors?seed={seed}")
        assert len(local.service.cache) < 9
        assert client.get(link).content == bytes_of(file_of(BODY))


@pytest.mark.parametrize("path", ["/v1/checkpoints", "/v1/describe"])
def test_no_query_beside_a_body(client: httpx.Client, path: str) -> None:
    """A parameter beside a body is refused, since it would not count."""
    response = client.post(f"{path}?seed=1", json=BODY)
    assert response.status_code == 422
    (finding,) = response.json()["errors"]
    assert "body" in finding["detail"]


@pytest.mark.parametrize(
    ("query", "file"),
    [("?seed=8", "model.safetensors"), ("", "other.safetensors"), ("", "config.json")],
)
def test_link_has_one_file_and_no_parameters(client: httpx.Client, query: str, file: str) -> None:
    """A link says everything itself: a parameter is refused, and another file is not there."""
    link = client.post("/v1/describe", json=BODY).json()["links"]["file"]
    response = client.get(link.replace("model.safetensors", file) + query)
    assert response.status_code == (422 if query else 404)
    assert response.headers["content-type"] == "application/problem+json"
    if query:
        assert response.json()["errors"][0]["parameter"] == "seed"


@shared
@given(
    token=st.one_of(
        st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=", min_size=1),
        st.text(min_size=1).filter(lambda text: text not in (".", "..")),
    )
)
def test_any_other_token_is_a_404(client: httpx.Client, token: str) -> None:
    """What is no token leads to no file, and says so as a problem."""
    path = f"/v1/checkpoints/{urllib.parse.quote(token, safe='')}/model.safetensors"
    response = client.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_token_of_a_spec_that_is_no_file(client: httpx.Client) -> None:
    """A token whose spec is sound JSON but cannot mean a file is a 404 that says where."""
    tensors = [{"name": name, "shape": [1], "init": "zeros"} for name in ("twice", "twice")]
    spec = CheckpointSpec.model_validate({"tensors": tensors})
    response = client.get(f"/v1/checkpoints/{spec.token}/model.safetensors")
    assert response.status_code == 404
    problem = response.json()
    assert problem["type"] == "urn:seedbed:problem:invalid-token"
    assert problem["errors"][0]["parameter"] == "token"
    assert "tensors/1/name" in problem["detail"]


def test_describe_says_what_rules_and_equals_come_to(client: httpx.Client) -> None:
    """For each rule how many tensors it changes, and of each tensor what it is equal to."""
    layer = {"type": "linear", "name": "a", "in_features": 2, "out_features": 2}
    body: dict[str, Any] = {
        "layers": [layer, {**layer, "name": "b", "same_as": "a"}],
        "rules": [
            {"match": "*.weight", "init": "ones"},
            {"match": "b.weight", "same_as": "a.weight"},
            {"match": "c", "drop": True, "optional": True},
        ],
    }
    plan = client.post("/v1/describe", json=body).json()
    assert plan["rules"] == [
        {"match": "*.weight", "changed": 1},
        {"match": "b.weight", "changed": 1},
        {"match": "c", "changed": 0},
    ]
    assert {one["name"]: one["same_as"] for one in plan["tensors"]} == {
        "a.bias": None, "a.weight": None, "b.bias": "a.bias", "b.weight": "a.weight",
    }  # fmt: skip
    del body["rules"][2]["optional"]
    refused = client.post("/v1/checkpoints", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "#/rules/2/match"


@pytest.mark.parametrize("kind", sorted(bodies_by_kind()))
def test_a_posted_spec_of_any_kind_is_what_its_link_leads_to(
    client: httpx.Client, kind: str
) -> None:
    """POST and GET by Content-Location agree in every byte, of large models in size and ETag."""
    body = bodies_by_kind()[kind]
    described = client.post("/v1/describe", json=body)
    assert described.status_code == 200, described.text
    plan = described.json()
    head = client.head(plan["links"]["file"])
    assert head.headers["etag"] == f'"{plan["etag"]}"'
    assert head.headers["content-length"] == str(plan["size_bytes"])
    if plan["size_bytes"] < 2**20:
        posted = client.post("/v1/checkpoints", json=body)
        got = client.get(posted.headers["content-location"])
        assert posted.headers["etag"] == got.headers["etag"] == head.headers["etag"]
        assert posted.content == got.content
        assert len(got.content) == plan["size_bytes"]
