from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import (
    BusyError,
    ConflictError,
    DifferentRecordingError,
    EngineError,
    IdError,
    LimitError,
    NotRecordedError,
    OverwriteError,
    ParameterError,
    SeedbedError,
    ShapeError,
    SpecError,
    TokenError,
    UnavailableError,
    UnknownSpecError,
)
from seedbed.files import CheckpointSpec
from seedbed.init import SCHEMES, Rule, TensorSpec
from seedbed.web import problems
from seedbed.web.problems import STATUSES, pointer, response_to
from tests.strategies import untimed
from tests.web.local import Local

TENSOR: dict[str, Any] = {"name": "w", "shape": [2, 2], "init": "zeros"}


def is_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem that an answer is, once it is seen to be one, and nothing of FastAPI's."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:seedbed:problem:")
    assert isinstance(body["title"], str)
    assert isinstance(body["detail"], str)
    assert body["title"]
    assert body["detail"]
    assert "Traceback" not in response.text
    assert ".py" not in response.text
    assert problems.Problem.model_validate(body).status == status
    return body


def tensor(**changes: Any) -> dict[str, Any]:
    """A spec with one tensor, which is wrong in some way."""
    return {"tensors": [{**TENSOR, **changes}]}


def init(**fields: Any) -> dict[str, Any]:
    """A spec with one init, which is wrong in some way."""
    return tensor(init=fields)


HE = list(SCHEMES["he_normal"].model_fields)
FIELDS = list(CheckpointSpec.model_fields)
TENSOR_FIELDS = list(TensorSpec.model_fields)

SPECS: dict[str, tuple[Any, str, list[str] | None]] = {
    "no object": ([], "#", None),
    "nothing": ({}, "#/tensors", None),
    "no tensors": ({"tensors": []}, "#/tensors", None),
    "unknown field": ({**tensor(), "sed": 1}, "#/sed", FIELDS),
    "unknown field of a tensor": (tensor(size=1), "#/tensors/0/size", TENSOR_FIELDS),
    "unknown parameter": (
        init(scheme="he_normal", std=1), "#/tensors/0/init/std", HE,
    ),
    "unknown field of a rule": (
        {**tensor(), "rules": [{"match": "*", "init": "ones", "x": 1}]},
        "#/rules/0/x", list(Rule.model_fields),
    ),
    "unknown scheme": (tensor(init="hee"), "#/tensors/0/init", sorted(SCHEMES)),
    "unknown scheme in an object": (init(scheme="hee"), "#/tensors/0/init", sorted(SCHEMES)),
    "no scheme": (init(gain=1), "#/tensors/0/init", None),
    "no name": ({"tensors": [{"shape": [1], "init": "zeros"}]}, "#/tensors/0/name", None),
    "a number as a name": (tensor(name=1), "#/tensors/0/name", None),
    "empty name": (tensor(name=""), "#/tensors/0/name", None),
    "reserved name": (tensor(name="__metadata__"), "#/tensors/0/name", None),
    "control character": (tensor(name="a\nb"), "#/tensors/0/name", None),
    "duplicate names": ({"tensors": [TENSOR, TENSOR]}, "#/tensors/1/name", None),
    "no shape": ({"tensors": [{"name": "w", "init": "zeros"}]}, "#/tensors/0/shape", None),
    "negative dimension": (tensor(shape=[1, -1]), "#/tensors/0/shape/1", None),
    "fractional dimension": (tensor(shape=[1.5]), "#/tensors/0/shape/0", None),
    "dimension past 63 bits": (tensor(shape=[2**63]), "#/tensors/0/shape/0", None),
    "overflowing shape": (tensor(shape=[2**40, 2**40]), "#/tensors/0/shape", None),
    "no fans": (tensor(shape=[3], init="he_normal"), "#/tensors/0/shape", None),
    "no init": ({"tensors": [{"name": "w", "shape": [1]}]}, "#/tensors/0/init", None),
    "unknown dtype": (tensor(dtype="F31"), "#/tensors/0/dtype", None),
    "an integer dtype of all": ({**tensor(), "dtype": "I8"}, "#/dtype", None),
    "draws in an integer dtype": (tensor(init="normal", dtype="I8"), "#/tensors/0/dtype", None),
    "draws past the dtype": (
        tensor(init={"scheme": "normal", "std": 1e5}, dtype="F16"), "#/tensors/0/init", None,
    ),
    "parameter of a wrong type": (
        init(scheme="normal", std="1"), "#/tensors/0/init/std", None,
    ),
    "parameter out of range": (init(scheme="normal", std=-1), "#/tensors/0/init/std", None),
    "unknown mode": (init(scheme="he_normal", mode="fan"), "#/tensors/0/init/mode", None),
    "no value": (init(scheme="constant"), "#/tensors/0/init/value", None),
    "crossed bounds": (init(scheme="uniform", low=2, high=1), "#/tensors/0/init/high", None),
    "seed too large": ({**tensor(), "seed": 2**64}, "#/seed", None),
    "negative seed": ({**tensor(), "seed": -1}, "#/seed", None),
    "seed in words": ({**tensor(), "seed": "one"}, "#/seed", None),
    "fractional seed": ({**tensor(), "seed": 1.0}, "#/seed", None),
    "reserved metadata": ({**tensor(), "metadata": {"format": "tf"}}, "#/metadata/format", None),
    "metadata that is no text": ({**tensor(), "metadata": {"a/b": 1}}, "#/metadata/a~1b", None),
    "a rule that says nothing": ({**tensor(), "rules": [{"match": "*"}]}, "#/rules/0", None),
}  # fmt: skip


@pytest.mark.parametrize(("body", "place", "allowed"), SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("path", ["/v1/checkpoints", "/v1/describe"])
def test_specs_that_mean_no_file(
    client: httpx.Client, path: str, body: Any, place: str, allowed: list[str] | None
) -> None:
    """A spec that cannot mean a file is 422, with the place and what may stand there."""
    found = is_problem(client.post(path, json=body), 422)
    assert found["type"] == "urn:seedbed:problem:invalid-spec"
    (finding,) = found["errors"]
    assert finding["pointer"] == place
    assert "parameter" not in finding
    assert finding["detail"] == found["detail"]
    if allowed is not None:
        assert finding["allowed"] == allowed


def test_several_findings(client: httpx.Client) -> None:
    """Several things that are wrong are all listed, each with its place."""
    body = {**tensor(name=1, dtype="F31"), "seed": -1, "sed": 1}
    found = is_problem(client.post("/v1/describe", json=body), 422)
    assert {finding["pointer"] for finding in found["errors"]} == {
        "#/tensors/0/name", "#/tensors/0/dtype", "#/seed", "#/sed",
    }  # fmt: skip
    assert found["detail"].startswith("4 things")


SUGGESTED: list[tuple[str, Any, str, str]] = [
    ("/v1/tensors/he_normal/4x4.safetensors?sed=3", None, "'sed'", "seed"),
    ("/v1/tensors/he_norml/4x4.safetensors", None, "'he_norml'", "he_normal"),
    ("/v1/tensors/he_normal/4x4.safetensors?mode=fanin", None, "'fanin'", "fan_in"),
    ("/v1/tensors/he_normal/4x4.safetensors?dtype=bf61", None, "'bf61'", "BF16"),
    ("/v1/models/gpt-2/model.safetensors", None, "'gpt-2'", "gpt2"),
    ("/v1/models/tiny-gpt2/model.safetensors?sed=3", None, "sed is", "seed"),
    ("/v1/models/resnet50?num_clases=3", None, "'num_clases'", "num_classes"),
    ("/v1/layers/Linear", None, "'Linear'", "linear"),
    ("/v1/schemes/hee_normal", None, "'hee_normal'", "he_normal"),
    ("/v1/advise?layr=linear", None, "'layr'", "layer"),
    ("/v1/advise?layer=Linear", None, "layer", "linear"),
    ("/v1/describe", tensor(initializer="zeros"), "'initializer'", "init"),
    ("/v1/describe", {"layers": [{"type": "Linear", "name": "a"}]}, "'Linear'", "linear"),
    ("/v1/describe", {"model": {"preset": "gpt-2"}}, "'gpt-2'", "gpt2"),
    ("/v1/describe", {"model": {"config": {"model_type": "GPT2"}}}, "'GPT2'", "gpt2"),
    ("/v1/describe", {**tensor(), "framework": "pytorch"}, "'framework'", "torch"),
    ("/v1/compare", {"schemes": ["he_norml"]}, "'he_norml'", "he_normal"),
]


@pytest.mark.parametrize(("path", "body", "said", "meant"), SUGGESTED, ids=str)
def test_what_was_meant_is_suggested(
    client: httpx.Client, path: str, body: Any, said: str, meant: str
) -> None:
    """A word of no closed list is in the detail beside the likeliest, which is `nearest` too."""
    answer = client.get(path) if body is None else client.post(path, json=body)
    problem = is_problem(answer, answer.status_code)
    assert answer.status_code in (404, 422)
    assert said in problem["detail"]
    assert f"did you mean {meant}" in problem["detail"]
    (finding,) = problem["errors"]
    assert finding["nearest"][0] == meant
    assert "allowed" not in finding or len(finding["allowed"]) > len(finding["nearest"])


@pytest.mark.parametrize(
    "body",
    [
        {**tensor(), **{f"x{i}": 1 for i in range(30_000)}},
        {**tensor(), "metadata": {f"x{i}": 1 for i in range(30_000)}},
        {"tensors": [0] * 30_000},
        tensor(shape=[-1] * 30_000),
        {**tensor(), "x" * 100_000: 1},
    ],
    ids=["fields", "metadata", "tensors", "dimensions", "a long name"],
)
def test_findings_do_not_grow_with_the_body(client: httpx.Client, body: Any) -> None:
    """However much is wrong, the answer is short."""
    response = client.post("/v1/describe", json=body)
    is_problem(response, 422)
    assert len(response.content) < 30_000


NOT_JSON = {
    "nothing": b"",
    "cut short": b'{"tensors": [',
    "a tail": json.dumps(tensor()).encode() + b"}",
    "NaN": b'{"tensors": [{"name": "w", "shape": [2], "init": {"scheme": "normal", "std": NaN}}]}',
    "infinity": b'{"tensors": [{"name": "w", "shape": [2], "init": {"scheme": "normal", '
    b'"std": -Infinity}}]}',
    "past float64": b'{"tensors": [{"name": "w", "shape": [2], "init": {"scheme": "normal", '
    b'"std": 1e999}}]}',
    "single quotes": b"{'tensors': []}",
    "no UTF-8": b'{"seed": "\xff"}',
    "half a surrogate pair": b'{"seed": "\\ud800"}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_not_json(client: httpx.Client, body: bytes) -> None:
    """What is no JSON is 400; numbers that JSON has not, or float64 cannot hold, are refused."""
    response = client.post(
        "/v1/describe", content=body, headers={"content-type": "application/json"}
    )
    found = is_problem(response, 422 if b"std" in body else 400)
    kind = "invalid-spec" if b"std" in body else "invalid-json"
    assert found["type"] == f"urn:seedbed:problem:{kind}"
    if b"std" in body:
        assert found["errors"][0]["pointer"] == "#/tensors/0/init/std"


@pytest.mark.parametrize(
    ("headers", "status", "kind", "answer"),
    [
        ({}, 415, "unsupported-media-type", {"accept-post": "application/json"}),
        (
            {"content-type": "application/x-www-form-urlencoded"}, 415, "unsupported-media-type",
            {"accept-post": "application/json"},
        ),
        (
            {"content-type": "application/json", "content-encoding": "gzip"}, 415,
            "unsupported-content-coding", {"accept-encoding": "identity"},
        ),
    ],
)  # fmt: skip
def test_media_type(
    client: httpx.Client, headers: dict[str, str], status: int, kind: str, answer: dict[str, str]
) -> None:
    """Another media type or coding is 415, and the answer says which is taken (§15.5.16)."""
    response = client.post("/v1/checkpoints", content=json.dumps(tensor()), headers=headers)
    assert is_problem(response, status)["type"] == f"urn:seedbed:problem:{kind}"
    assert answer.items() <= response.headers.items()


PLACES = {
    "nowhere": ("GET", "/nope", 404, "not-found"),
    "nowhere by POST": ("POST", "/nope", 404, "not-found"),
    "a slash too many": ("GET", "/healthz/", 404, "not-found"),
    "a slash twice": ("GET", "/v1//schemes", 404, "not-found"),
    "percent": ("GET", "/%00%ff%2f", 404, "not-found"),
    "long": ("GET", "/" + "x" * 20_000, 404, "not-found"),
    "no extension": ("GET", "/v1/tensors/normal/4", 404, "not-found"),
    "another method": ("DELETE", "/v1/checkpoints", 405, "method-not-allowed"),
    "GET where there is POST": ("GET", "/v1/describe", 405, "method-not-allowed"),
    "OPTIONS": ("OPTIONS", "/v1/schemes", 405, "method-not-allowed"),
    "an unknown link": ("GET", "/v1/checkpoints/x/model.safetensors", 404, "invalid-token"),
    "an unknown scheme": ("GET", "/v1/schemes/x", 404, "not-found"),
}


@pytest.mark.parametrize(("method", "path", "status", "kind"), PLACES.values(), ids=PLACES)
def test_places(client: httpx.Client, method: str, path: str, status: int, kind: str) -> None:
    """What is not there, or not by this method, is a problem too, and short."""
    response = client.request(method, path)
    assert is_problem(response, status)["type"] == f"urn:seedbed:problem:{kind}"
    assert len(response.content) < 1000


def test_a_host_that_is_none(client: httpx.Client) -> None:
    """A Host header that is no host is refused, whatever the path."""
    is_problem(client.get("/nope", headers={"host": "["}), 400)
    is_problem(client.put("/healthz", headers={"host": "["}), 400)


CLASSES: dict[str, tuple[SeedbedError, int, str, dict[str, Any]]] = {
    "SpecError": (
        SpecError("wrong", ("tensors", 3, "a/b~"), ("this", "that")), 422, "invalid-spec",
        {"errors": [
            {"detail": "wrong", "pointer": "#/tensors/3/a~1b~0", "allowed": ["this", "that"]}
        ]},
    ),
    "ShapeError": (ShapeError("wrong"), 422, "invalid-spec", {"detail": "wrong"}),
    "ParameterError": (
        ParameterError("wrong", ("ü",)), 422, "invalid-spec",
        {"errors": [{"detail": "wrong", "pointer": "#/%C3%BC"}]},
    ),
    "TokenError": (TokenError("damaged"), 404, "invalid-token", {"detail": "damaged"}),
    "IdError": (
        IdError("no name", ("name",), ("a rule",)), 422, "invalid-name",
        {"errors": [{"detail": "no name", "parameter": "name", "allowed": ["a rule"]}]},
    ),
    "UnknownSpecError": (UnknownSpecError("none"), 404, "not-found", {"detail": "none"}),
    "ConflictError": (ConflictError("no", "ab"), 412, "precondition-failed", {"detail": "no"}),
    "OverwriteError": (
        OverwriteError("no", "ab"), 428, "precondition-required", {"detail": "no"},
    ),
    "UnavailableError": (
        UnavailableError("gone", 3), 503, "registry-unavailable", {"detail": "gone"},
    ),
    "BusyError": (BusyError("no room", 3), 503, "busy", {"detail": "no room"}),
    "LimitError": (
        LimitError("max_rank", 33, 32, "dimensions"), 422, "limit",
        {"limit": "SEEDBED_MAX_RANK", "actual": 33, "maximum": 32, "unit": "dimensions"},
    ),
    "NotRecordedError": (
        NotRecordedError("not here", "transformers", "5.24.0", None, "{}"), 409, "not-recorded",
        {"needs": {"library": "transformers", "version": "5.24.0"}},
    ),
    "DifferentRecordingError": (
        DifferentRecordingError("another", "transformers", "5.24.0", "ab", "{}"), 409,
        "recorded-differently",
        {"needs": {"library": "transformers", "version": "5.24.0", "digest": "ab"}},
    ),
    "RequestProblem": (
        problems.RequestProblem(429, "busy", "later", {"retry-after": "2"}), 429, "busy",
        {"title": "Too Many Requests", "detail": "later"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("error", "status", "kind", "facts"), CLASSES.values(), ids=CLASSES)
def test_classes(error: SeedbedError, status: int, kind: str, facts: dict[str, Any]) -> None:
    """An error class has the status of its row in the table, or of its nearest base's."""
    response = response_to(error, in_query=False)
    body = json.loads(bytes(response.body))
    assert response.status_code == body["status"] == status
    assert body["type"] == f"urn:seedbed:problem:{kind}"
    assert facts.items() <= body.items()


def test_every_row_is_tested() -> None:
    """Each class of the table is among those above."""
    assert {kind.__name__ for kind in STATUSES} <= CLASSES.keys()


def test_headers_of_a_problem() -> None:
    """A problem's own headers are sent, as Retry-After with a 429."""
    error, *_ = CLASSES["RequestProblem"]
    assert response_to(error, in_query=False).headers["retry-after"] == "2"
    error, *_ = CLASSES["UnavailableError"]
    assert response_to(error, in_query=False).headers["retry-after"] == "3"
    assert "retry-after" not in response_to(UnavailableError("", None), in_query=False).headers
    error, *_ = CLASSES["OverwriteError"]
    assert response_to(error, in_query=False).headers["etag"] == '"ab"'
    assert "etag" not in response_to(ConflictError("", None), in_query=False).headers


@untimed
@given(st.lists(st.one_of(st.text(max_size=20), st.integers(0, 99)), max_size=4))
def test_pointers_read_back(path: list[str | int]) -> None:
    """A pointer leads back to its place, as RFC 6901 §6 reads it."""
    text = pointer(tuple(path))
    assert text is not None
    assert text.isascii()
    parts = unquote(text[1:]).split("/")[1:]
    found = [part.replace("~1", "/").replace("~0", "~") for part in parts]
    assert found == [str(part) for part in path]


@pytest.fixture(scope="module")
def broken() -> Iterator[Local]:
    """A service whose plans fail, and whose draws would."""

    def fail(*_: object) -> None:
        raise EngineError("provoked: secret detail")

    with Local(engine="numpy") as local:
        local.service.plan_checkpoint = fail  # type: ignore[assignment,method-assign]
        local.service.one_tensor = fail  # type: ignore[assignment,method-assign]
        yield local


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/checkpoints"),
        ("POST", "/v1/describe"),
        ("GET", "/v1/tensors/normal/4.safetensors"),
        ("HEAD", "/v1/tensors/normal/4.safetensors"),
    ],
)
def test_failure(broken: Local, method: str, path: str) -> None:
    """A failure inside is 500, a problem that says nothing of its cause but where to look."""
    with broken.client() as client:
        response = client.request(method, path, json=tensor() if method == "POST" else None)
        assert response.status_code == 500
        assert response.headers["x-request-id"]
        if method != "HEAD":
            assert is_problem(response, 500)["type"] == "urn:seedbed:problem:internal"
            assert "secret" not in response.text
        # The connection and the service go on.
        assert client.get("/healthz").status_code == 200


def test_failure_is_counted(broken: Local) -> None:
    """A failure is a 500 in the metrics."""
    labels = {"method": "POST", "route": "/v1/describe", "status": "500"}
    before = broken.metric("seedbed_requests_total", **labels)
    with broken.client() as client:
        client.post("/v1/describe", json=tensor())
    assert broken.metric("seedbed_requests_total", **labels) == before + 1


def test_parameters_declared_to_fastapi() -> None:
    """Should a route ever declare parameters to FastAPI, its refusals are problems as well."""
    app = FastAPI()
    problems.install(app)

    @app.get("/count")
    async def count(number: int) -> int:
        return number

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/count?number=x")

    found = is_problem(asyncio.run(ask()), 422)
    assert found["errors"][0]["parameter"] == "number"


def test_places_in_large_bodies(client: httpx.Client) -> None:
    """In a body that is too large to be parsed a second time places are named as well."""
    names = [f"layer.{i}." + "x" * 100 for i in range(10_000)]
    tensors: list[dict[str, Any]] = [{**TENSOR, "name": name} for name in names]
    tensors[9000]["init"] = {"scheme": "he_normal", "std": 1}
    found = is_problem(client.post("/v1/describe", json={"tensors": tensors}), 422)
    (finding,) = found["errors"]
    assert finding["pointer"] == "#/tensors/9000/init/std"
    assert finding["allowed"] == HE


def test_long_texts_are_shortened(client: httpx.Client) -> None:
    """However long a name is, the answer that repeats it is short, and says what was wrong."""
    long = "n" * 1_000_000
    tensors = [{"name": long, "shape": [1], "init": "ones"}] * 2
    for body in (
        {"tensors": tensors},
        {"tensors": [{"name": "a", "shape": [1], "init": long}]},
        {"tensors": [{"name": "a", "shape": [1], "init": "ones", long: 1}]},
        {"dtype": long},
        {"model": {"preset": long}},
        {"layers": [{"type": long, "name": "a"}]},
        {"framework": long, "tensors": []},
        {"metadata": {long: "a"}},
        {"max_shard_size": long},
    ):
        answer = client.post("/v1/describe", json=body)
        assert 400 <= answer.status_code < 500
        assert len(answer.content) < 20_000
        assert answer.json()["detail"]
    for path in (
        f"/{long[:50_000]}",
        f"/a/b/resolve/{long[:50_000]}/x",
        f"/a/{long[:50_000]}/resolve/main/x",
    ):
        answer = client.get(path)
        assert answer.status_code in (404, 422)
        assert len(answer.content) + len(str(answer.headers)) < 4000
