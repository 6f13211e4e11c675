"""The OpenAPI document as generated clients read it: what it offers is sent to the real service."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from scripts import openapi
from seedbed.web.application import create_app
from seedbed.web.preset_schemas import architectures
from seedbed.web.settings import Settings
from tests.strategies import REQUIRED

Json = dict[str, Any]

DOCUMENT: Json = json.loads(openapi.TARGET.read_text(encoding="utf-8"))
SCHEMAS: dict[str, Json] = DOCUMENT["components"]["schemas"]

OPERATIONS: dict[str, tuple[str, str, Json]] = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}

Send = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def send(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Send]:
    """Sends a request to a service that has a registry."""
    place = tmp_path_factory.mktemp("contract") / "registry.db"
    app = create_app(Settings.model_construct(log_level="error", registry_url=f"sqlite:///{place}"))
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://seedbed.test"
        )

        def sent(method: str, path: str, **others: Any) -> httpx.Response:
            return runner.run(client.request(method, path, **others))

        yield sent
        runner.run(client.aclose())
        runner.run(lifespan.__aexit__(None, None, None))


def resolved(part: Json) -> Json:
    """What a reference leads to."""
    while "$ref" in part:
        target: Any = DOCUMENT
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        part = target
    return part


def parameters(operation: Json) -> list[Json]:
    """The parameters of an operation, references followed."""
    return [resolved(parameter) for parameter in operation.get("parameters", ())]


def offered(thing: Json) -> Iterator[Any]:
    """The examples that a parameter, a media type or a schema has, wherever they may be."""
    if "example" in thing:
        yield thing["example"]
    examples = thing.get("examples", ())
    yield from (
        (one["value"] for one in examples.values()) if isinstance(examples, dict) else examples
    )
    if "schema" in thing:
        yield from offered(resolved(thing["schema"]))


def body_of(operation: Json) -> Json | None:
    """The media type of an operation's JSON body, if it takes one."""
    content = operation.get("requestBody", {}).get("content", {})
    assert set(content) <= {"application/json"}
    return content.get("application/json")


def text_of(value: object) -> str:
    """A value as clients write it into a URL."""
    return value if isinstance(value, str) else json.dumps(value)


def requests_of(operation_id: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every example and every default of an operation, in a request of its own, and all defaults.

    Args:
        operation_id: of the operation.

    Yields:
        The method, the path, and the rest as httpx takes it.
    """
    method, path, operation = OPERATIONS[operation_id]
    known = parameters(operation)
    in_path = {p["name"]: [*offered(p)] for p in known if p["in"] == "path"}
    missing = [name for name, examples in in_path.items() if not examples]
    assert not missing, f"{operation_id} gives no example of {missing}"
    paths = [path.format(**{name: quote(str(texts[0])) for name, texts in in_path.items()})]
    for name, texts in in_path.items():
        for text in texts[1:]:
            others = {key: quote(str(values[0])) for key, values in in_path.items()}
            paths.append(path.format(**{**others, name: quote(str(text))}))
    place = {"query": "params", "header": "headers"}
    defaults = [
        (p["in"], p["name"], text_of(resolved(p["schema"])["default"]))
        for p in known
        if p["in"] != "path" and "default" in resolved(p["schema"])
    ]
    said = [
        (p["in"], p["name"], text_of(v)) for p in known if p["in"] != "path" for v in offered(p)
    ]
    options: list[dict[str, Any]] = [{}]
    options += [{place[where]: {name: text}} for where, name, text in [*defaults, *said]]
    options.append({place[where]: {} for where, _, _ in defaults})
    for where, name, text in defaults:
        options[-1][place[where]][name] = text
    bodies: list[Any] = [None]
    if (media := body_of(operation)) is not None:
        bodies = [*offered(media)]
        assert bodies, f"{operation_id} gives no example of its body"
    for where in paths:
        for body in bodies:
            for option in options:
                yield method, where, option if body is None else {**option, "json": body}


SPEC: Json = SCHEMAS["CheckpointSpec"]["examples"][1]
NAMED = "/v1/specs/team/experiment"


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_examples_and_defaults_are_accepted(send: Send, operation_id: str) -> None:
    """Whatever the document offers as an example or a default is accepted when it is sent back."""
    tag = OPERATIONS[operation_id][2]["tags"][0]
    for method, path, options in requests_of(operation_id):
        if tag == "specs":
            send("DELETE", NAMED)
            if operation_id != "putSpec":
                assert send("PUT", NAMED, json=SPEC).is_success
        answer = send(method, path, **options)
        assert answer.status_code < 400, f"{method} {path} {options}: {answer.text}"


ANYTHING = {"getHealth", "getReadiness", "getMetrics"}
"""Probes, which take whatever their tools add."""


@pytest.mark.parametrize("operation_id", [one for one in OPERATIONS if one not in ANYTHING])
def test_a_parameter_that_there_is_not_is_refused(send: Send, operation_id: str) -> None:
    """No operation ignores a key of the query that it does not know, or one that is given twice."""
    method, path, options = next(requests_of(operation_id))
    if OPERATIONS[operation_id][2]["tags"][0] == "specs" and operation_id != "putSpec":
        send("PUT", NAMED, json=SPEC)
    for query in ({"sed": "3"}, {"": "1"}, {"search ": "x"}, [("seed", "1"), ("seed", "1")]):
        answer = send(method, path, **{**options, "params": query})
        assert answer.status_code == 422, f"{method} {path} {query}: {answer.text}"


# Clients that were generated send more than they were told: each default of each object, beside
# whatever their user says. So a default that the document states has to be one in any company.

SHAPES = ([4, 4], [4], [4, 1], [3, 4, 3], [4, 4, 3], [6, 4])
"""Of a tensor that a scheme is tried on: the first that it can fill."""

PLACES: dict[str, Callable[[Any], Any]] = {
    "CheckpointSpec": lambda part: part,
    "TensorSpec": lambda part: {"tensors": [part]},
    "Rule": lambda part: {
        "tensors": [{"name": "x", "shape": [4, 4], "init": "normal"}],
        "rules": [part],
    },
    "Entry": lambda part: {"model": {"manifest": {"x": part}}},
    "Part": lambda part: {
        "tensors": [
            {
                "name": "x",
                "shape": [4, 4],
                "init": {"scheme": "parts", "init": "ones", "parts": [part]},
            }
        ]
    },
    "ListEntry": lambda part: {"model": {"list": [part]}},
    **dict.fromkeys(
        ("ModelOfConfig", "ModelOfManifest", "ModelOfList"), lambda part: {"model": part}
    ),
    **{name: (lambda part: {"model": part}) for name in SCHEMAS if name.endswith("Preset")},
    "VisionTransformerPresetConvStem": lambda part: {
        "model": {"preset": "tiny-vit_b", "conv_stem_configs": [part]}
    },
    "CompareRequest": lambda part: part,
    "Network": lambda part: {"schemes": ["normal"], "network": part, "seeds": 1},
    **{
        name: (lambda part: {"schemes": [part], "network": SMALL, "seeds": 1})
        for name in ("SchemeEntry", "SpecEntry")
    },
}
"""Where an object of a body stands in it; layers and schemes, of which there are many, as below."""

SMALL: Json = {"depth": 1, "width": 4, "inputs": 4}

MINIMAL: dict[str, Json] = {
    "CheckpointSpec": {"tensors": [{"name": "x", "shape": [4, 4], "init": "normal"}]},
    "TensorSpec": {"name": "x", "shape": [4, 4], "init": "normal"},
    "Entry": {"shape": [4, 4]},
    "Rule": {"match": "*", "init": "zeros"},
    "ModelOfConfig": {"config": {"model_type": "bert", "num_hidden_layers": 1}},
    "ModelOfManifest": {"manifest": {"x": [4, 4]}},
    "ModelOfList": {"list": [{"name": "x", "shape": [4, 4], "init": "normal"}]},
    "ListEntry": {"name": "x.{0..1}", "shape": [4, 4], "init": "normal"},
    "Part": {"box": [[0, 1]], "init": "normal"},
    "CompareRequest": {"schemes": ["normal"], "network": SMALL, "seeds": 1},
    "Network": SMALL,
    "SchemeEntry": {"init": "normal"},
    "SpecEntry": {
        "spec": {"tensors": [{"name": "layers.0.weight", "shape": [4, 4], "init": "eye"}]}
    },
    "AliasedScheme": {"scheme": "kaiming_normal_"},
}
"""The least that an object says, where its required members alone are not enough to know it."""


def members(union: Json) -> Iterator[str]:
    """The components that a union names."""
    for part in union.get("anyOf", union.get("oneOf", ())):
        if "$ref" in part:
            yield part["$ref"].rpartition("/")[2]


def reachable(part: Any) -> set[str]:
    """The components that a body refers to, through others too."""
    found: set[str] = set()
    waiting = [part]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            reference = one.get("$ref")
            if isinstance(reference, str) and (name := reference.rpartition("/")[2]) not in found:
                found.add(name)
                waiting.append(SCHEMAS[name])
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return found


OBJECTS = sorted(
    name
    for _, _, operation in OPERATIONS.values()
    for name in reachable(body_of(operation))
    if "properties" in SCHEMAS[name]
)
OBJECTS = [name for name in dict.fromkeys(OBJECTS) if name != "RecordedBy"]
"""Every object that a request body may have in it, but what needs a model's own library.

Of that tests/models/test_recorded.py says the same.
"""

INITS = [*members(SCHEMAS["Init"])]
LAYERS = [*members(SCHEMAS["CheckpointSpec"]["properties"]["layers"]["items"])]


def a_value(schema: Json, nth: int = 0) -> Any:
    """Some value that a schema admits; another for another `nth`."""
    schema = resolved(schema)
    if kinds := schema.get("anyOf") or schema.get("oneOf"):
        return a_value(kinds[nth % len(kinds)], nth // len(kinds))
    if words := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return words[nth % len(words)]
    parts = schema.get("prefixItems") or [schema.get("items", {})] * schema.get("minItems", 1)
    most = schema.get("maximum", math.inf)
    by_type: dict[object, Callable[[], Any]] = {
        "integer": lambda: max(schema.get("minimum", 0), min(4 + 4 * nth, most)),
        "number": lambda: min(0.5 + nth, most),
        "boolean": lambda: nth % 2 == 1,
        "string": lambda: "x",
        "array": lambda: [a_value(part, nth) for part in parts],
        "object": dict,
        "null": lambda: None,
        None: lambda: None,
    }
    return by_type[schema.get("type")]()


def least(name: str) -> Json:
    """The least object of a component."""
    if name in MINIMAL:
        return MINIMAL[name]
    schema = SCHEMAS[name]
    said = {key: a_value(schema["properties"][key]) for key in schema["required"]}
    return {**said, **REQUIRED.get(str(said.get("scheme")), {})}


def places(name: str) -> Iterator[Callable[[Any], Any]]:
    """Bodies that an object can stand in, of which one will do."""
    if name in INITS:
        for shape in SHAPES:
            yield lambda part, shape=shape: {
                "tensors": [{"name": "x", "shape": shape, "init": part}]
            }
    elif name in LAYERS:
        yield lambda part: {"layers": [part]}
    elif name in PLACES:
        yield PLACES[name]


COMPARED = reachable({"$ref": "#/components/schemas/CompareRequest"}) - reachable(
    {"$ref": "#/components/schemas/CheckpointSpec"}
)


def meaning(send: Send, name: str, body: Any) -> Any:
    """What a body comes to, or `None` if it is refused."""
    if name in COMPARED:
        answer = send("POST", "/v1/compare", json=body)
        found = answer.json()
        return found.get("schemes") if answer.is_success else None
    answer = send("POST", "/v1/describe", json=body)
    assert answer.status_code in (200, 422), answer.text
    return answer.json()["spec_sha256"] if answer.is_success else None


@pytest.mark.parametrize("preset", [names[-1] for names in architectures().values()])
def test_arguments_of_a_preset_can_be_sent_back(send: Send, preset: str) -> None:
    """The arguments that the catalogue lists, each with its default, are the model as it is."""
    path = f"/v1/models/{preset}"
    said = {one["name"]: one["default"] for one in send("GET", path).json()["arguments"]}
    plain, told = (
        send("POST", "/v1/describe", json={"model": {"preset": preset, **arguments}})
        for arguments in ({}, said)
    )
    assert told.status_code == 200, told.text
    assert [{**one, "offset": None} for one in told.json()["tensors"]] == [
        {**one, "offset": None} for one in plain.json()["tensors"]
    ]
    query = {name: text_of(value) for name, value in said.items()}
    asked = send("HEAD", f"{path}/model.safetensors", params=query)
    assert asked.headers["etag"] == f'"{told.json()["etag"]}"'


@pytest.mark.parametrize("name", OBJECTS)
def test_defaults_change_nothing(send: Send, name: str) -> None:
    """An object may spell out every default of the document, beside any other member it may have.

    It then means what it meant without them.
    """
    schema = SCHEMAS[name]
    defaults = {
        key: said["default"]
        for key, said in schema["properties"].items()
        if "default" in said and key not in schema.get("required", ())
    }
    base = least(name)
    for place in places(name):
        if (plain := meaning(send, name, place(base))) is not None:
            break
    else:
        pytest.fail(f"no body is known in which {name} is accepted: {base}")
    for key in defaults.keys() - base.keys():
        assert meaning(send, name, place({**base, key: defaults[key]})) == plain, key
    assert meaning(send, name, place({**defaults, **base})) == plain
    if not defaults:
        return
    for key, said in schema["properties"].items():
        for nth in range(3 if key not in base else 0):
            value = a_value(said, nth)
            alone = meaning(send, name, place({**base, key: value}))
            if alone is not None:
                assert meaning(send, name, place({**defaults, **base, key: value})) == alone, (
                    key,
                    value,
                )
