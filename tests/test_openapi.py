from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from scripts import openapi
from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.init import SCHEMES
from seedbed.web.application import create_app
from seedbed.web.settings import Settings
from tests.strategies import REQUIRED, bodies, untimed

DOCUMENT: dict[str, Any] = json.loads(openapi.TARGET.read_text(encoding="utf-8"))
EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.json"))

OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}

each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


def validator(name: str) -> Draft202012Validator:
    """What JSON Schema says of a component of the document."""
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    )


def references(part: object) -> Iterator[str]:
    """Every `$ref` within a part of the document."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def parameters_of(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """The parameters of an operation, references followed."""
    known = DOCUMENT["components"]["parameters"]
    return [
        known[parameter["$ref"].rpartition("/")[2]] if "$ref" in parameter else parameter
        for parameter in operation.get("parameters", [])
    ]


def test_file_is_what_the_application_says() -> None:
    """openapi/openapi.json equals the application's OpenAPI: after a change, run `make openapi`."""
    assert openapi.TARGET.read_text(encoding="utf-8") == openapi.render()


def test_document_is_valid() -> None:
    """The document is structurally valid OpenAPI 3.1, its examples and defaults included."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_components_are_used_and_there() -> None:
    """Every reference leads to a component, and every component is referred to."""
    there = {
        f"#/components/{kind}/{name}"
        for kind, components in DOCUMENT["components"].items()
        for name in components
    }
    assert {*references(DOCUMENT)} == there


@each_operation
def test_operation_says_what_it_is(operation: dict[str, Any]) -> None:
    """An operation has an id in camel case, a summary, a description and one declared tag."""
    assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", operation["operationId"])
    assert operation["summary"].strip()
    assert operation["description"].strip()
    (tag,) = operation["tags"]
    assert tag in {tag["name"] for tag in DOCUMENT["tags"]}


def test_operation_ids_are_unique() -> None:
    """No two operations have the same id."""
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(ids)) == len(ids)


@each_operation
def test_parameters_are_described(operation: dict[str, Any]) -> None:
    """Every parameter has a description and a schema, and no name twice in one place."""
    parameters = parameters_of(operation)
    places = [(parameter["in"], parameter["name"]) for parameter in parameters]
    assert len(set(places)) == len(places)
    assert [
        place for place, p in zip(places, parameters, strict=True) if not p["description"]
    ] == []
    assert all(parameter["schema"] for parameter in parameters)


@each_operation
def test_errors_are_problems(operation: dict[str, Any]) -> None:
    """Errors of an operation are problem+json, and FastAPI's own 422 is nowhere promised."""
    responses = operation["responses"]
    for status in ("4XX", "5XX"):
        assert responses[status]["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
    assert [status for status in responses if re.fullmatch("[45][0-9]+", status)] == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_head_follows_get(method: str) -> None:
    """Where a file answers GET it answers HEAD, with the same parameters and without a body."""
    paths = [path for path, methods in DOCUMENT["paths"].items() if "head" in methods]
    assert sorted(paths) == sorted(
        path for path in DOCUMENT["paths"] if path.endswith(("{file}", ".safetensors"))
    )
    for path in paths:
        operation = OPERATIONS[f"{method} {path}"]
        assert operation["parameters"] == OPERATIONS[f"GET {path}"]["parameters"]
        assert ("content" in operation["responses"]["200"]) == (method == "GET")
        assert "ETag" in operation["responses"]["200"]["headers"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_fit_the_document(path: Path) -> None:
    """Each spec of examples/ is a request body as the document describes it."""
    validator("CheckpointSpec").validate(json.loads(path.read_bytes()))


def test_examples_in_the_document_mean_files() -> None:
    """Each example within the document is accepted by its schema and by the service itself."""
    examples = DOCUMENT["components"]["schemas"]["CheckpointSpec"]["examples"]
    assert examples
    for example in examples:
        validator("CheckpointSpec").validate(example)
        spec = CheckpointSpec.model_validate(example)
        assert Checkpoint(spec).tensors


@untimed
@given(bodies())
def test_document_admits_every_sound_body(body: dict[str, Any]) -> None:
    """What the service takes, the document admits."""
    validator("CheckpointSpec").validate(body)


def test_document_admits_every_name_of_a_scheme() -> None:
    """A scheme's name and its aliases are admitted, alone and in an object.

    But for the names themselves none is in an enum, of which generators make constants.
    """
    assert sorted(DOCUMENT["components"]["schemas"]["SchemeName"]["enum"]) == sorted(SCHEMES)
    inits = [
        init
        for scheme, kind in SCHEMES.items()
        for name in (scheme, *kind.aliases)
        for init in (name, {"scheme": name, **REQUIRED.get(scheme, {})})
    ]
    tensors = [{"name": f"w{i}", "shape": [1, 1], "init": init} for i, init in enumerate(inits)]
    validator("CheckpointSpec").validate({"tensors": tensors})


MANIFESTS = {
    "shapes": {"fc.weight": [10, 4], "scale": []},
    "entries": {"fc.weight": {"shape": [10, 4], "dtype": "BF16", "init": "he_normal"}},
    "a header": {
        "__metadata__": {"format": "pt"},
        "fc.weight": {"dtype": "F32", "shape": [10, 4], "data_offsets": [0, 160]},
    },
    "headers": [{"a": [1]}, {"b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}],
}


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
def test_document_admits_every_manifest(manifest: object) -> None:
    """Every form of a manifest that the service takes is admitted, a header as it is too."""
    body = {"model": {"manifest": manifest}}
    assert Checkpoint(CheckpointSpec.model_validate(body)).tensors
    validator("CheckpointSpec").validate(body)


NOT_SPECS = {
    "nothing": {},
    "a seed alone": {"seed": 1},
    "no tensors": {"tensors": []},
    "no model": {"model": None},
    "an empty manifest": {"model": {"manifest": {}}},
    "an entry of a manifest with another field": {"model": {"manifest": {"w": {"dims": [1]}}}},
    "a size that is none": {"model": {"preset": "lenet5"}, "max_shard_size": "5 gigabytes"},
    "a field of another": {"tensors": [{"name": "w", "shape": [1], "init": "zeros"}], "layer": 1},
    "no shape": {"tensors": [{"name": "w", "init": "zeros"}]},
    "a negative dimension": {"tensors": [{"name": "w", "shape": [-1], "init": "zeros"}]},
    "a seed past 64 bits": {
        "seed": 2**64,
        "tensors": [{"name": "w", "shape": [1], "init": "zeros"}],
    },
    "a seed with a sign": {
        "seed": "-1",
        "tensors": [{"name": "w", "shape": [1], "init": "zeros"}],
    },
    "an unknown dtype": {"tensors": [{"name": "w", "shape": [1], "init": "zeros", "dtype": "F7"}]},
    "an integer as the dtype of all": {
        "dtype": "I32",
        "tensors": [{"name": "w", "shape": [1], "init": "zeros"}],
    },
    "a rule without a match": {
        "tensors": [{"name": "w", "shape": [1], "init": "zeros"}],
        "rules": [{"init": "ones"}],
    },
    "a parameter of another scheme": {
        "tensors": [{"name": "w", "shape": [1], "init": {"scheme": "zeros", "gain": 1.0}}]
    },
    "an init that does not say which": {
        "tensors": [{"name": "w", "shape": [1, 1], "init": {"gain": 1.0}}]
    },
    "an init of another name": {"tensors": [{"name": "w", "shape": [1, 1], "init": "hee_normal"}]},
    "a parameter out of range": {
        "tensors": [{"name": "w", "shape": [1], "init": {"scheme": "normal", "std": -1.0}}]
    },
}


@pytest.mark.parametrize("body", NOT_SPECS.values(), ids=NOT_SPECS)
def test_document_refuses_what_the_service_refuses(body: dict[str, Any]) -> None:
    """Typical mistakes are refused by the document and by the service alike."""
    assert not validator("CheckpointSpec").is_valid(body)
    with pytest.raises(ValueError, match="validation error"):
        CheckpointSpec.model_validate(body)


ANSWERS = {
    "describe": ("POST", "/v1/describe", 200),
    "schemes": ("GET", "/v1/schemes", 200),
    "scheme": ("GET", "/v1/schemes/kaiming_normal_", 200),
    "dtypes": ("GET", "/v1/dtypes", 200),
    "health": ("GET", "/healthz", 200),
    "not ready": ("GET", "/readyz", 503),
    "no such scheme": ("GET", "/v1/schemes/hee_normal", 404),
    "no such shape": ("GET", "/v1/tensors/zeros/1xx1.safetensors", 422),
    "no such path": ("GET", "/v2", 404),
    "no such method": ("DELETE", "/v1/dtypes", 405),
}
"""Requests to a service that has not been started, and the status of each answer."""


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS.values(), ids=ANSWERS)
def test_answers_fit_the_document(method: str, path: str, status: int) -> None:
    """JSON answers have the shape that the document gives them; errors that of a problem."""
    app = create_app(Settings.model_construct(engine="numpy", log_level="error"))
    body = EXAMPLES[0].read_bytes() if method == "POST" else None

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"content-type": "application/json"}
            return await client.request(method, path, content=body, headers=headers)

    response = asyncio.run(send())
    assert response.status_code == status
    if status >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        schema: object = {"$ref": "#/components/schemas/Problem"}
    else:
        template = re.sub("/v1/schemes/.+", "/v1/schemes/{name}", path)
        content = OPERATIONS[f"{method} {template}"]["responses"]["200"]["content"]
        schema = content[response.headers["content-type"]]["schema"]
    Draft202012Validator({"allOf": [schema], "components": DOCUMENT["components"]}).validate(
        response.json()
    )


def test_script_usage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script writes the file, finds it fresh, and shows where it is stale or missing."""
    target = tmp_path / "openapi" / "openapi.json"
    monkeypatch.setattr(openapi, "TARGET", target)
    assert openapi.main(["--check"]) == 1
    assert openapi.main([]) == 0
    assert openapi.main(["--check"]) == 0
    target.write_text(target.read_text(encoding="utf-8").replace("getHealth", "getHelp"))
    capsys.readouterr()
    assert openapi.main(["--check"]) == 1
    hint = capsys.readouterr().out
    assert '-        "operationId": "getHelp",' in hint
    assert '+        "operationId": "getHealth",' in hint
    assert "make openapi" in hint
    assert openapi.main(["--chekc"]) == 2
