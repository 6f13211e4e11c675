from __future__ import annotations

import asyncio
import re
import threading
from typing import Any, get_args

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Route

from seedbed.files.one_tensor import OneTensor, scheme_parameters
from seedbed.init import SCHEMES
from seedbed.models import presets
from seedbed.web.application import create_app
from seedbed.web.routes import hub, s3
from seedbed.web.settings import Settings

HIDDEN = {"/docs", "/docs/assets/{name}", "/", "/page/{version}/{name:path}", "/openapi.json"}
"""Paths for people, and the description itself."""

OTHERS = {
    route.path
    for router in (hub.router, s3.router)
    for route in router.routes
    if isinstance(route, Route)
}
"""The protocols of the Hub and of S3 are not ours to describe."""


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> Any:
    """The OpenAPI document as the service serves it."""
    return client.get("/openapi.json").json()


def test_every_route_is_described(document: Any) -> None:
    """Each path and method of the application is in the document, HEAD where a file is."""
    app = create_app(Settings(engine="numpy", log_level="error"))
    routes = {
        (route.path, method)
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if route.path not in HIDDEN and route.path not in OTHERS
    }
    described = {
        (path, method.upper()) for path, methods in document["paths"].items() for method in methods
    }
    assert {route for route in routes if route[1] != "HEAD"} == {
        route for route in described if route[1] != "HEAD"
    }
    assert described <= routes


def test_the_document_is_made_apart_from_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made once, in a thread, so that no download waits for it; a root path is a server."""
    app = create_app(Settings(engine="numpy", log_level="error"))
    made = []
    plain = app.openapi
    monkeypatch.setattr(
        app, "openapi", lambda: (made.append(threading.current_thread()), plain())[1]
    )

    async def ask(root: str) -> Any:
        transport = httpx.ASGITransport(app, root_path=root)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.get(f"{root}/openapi.json")).json()

    answers = [asyncio.run(ask(root)) for root in ("", "", "/below", "/below")]
    assert answers[0] == answers[1]
    assert answers[2]["servers"] == [{"url": "/below"}, *answers[0]["servers"]]
    assert len(made) == 2
    assert threading.main_thread() not in made


def test_query_of_one_tensor_is_read_from_the_models(document: Any) -> None:
    """The one-line GET lists the options of a tensor and every parameter of every scheme."""
    operation = document["paths"]["/v1/tensors/{scheme}/{shape}.safetensors"]["get"]
    query = {p["name"]: p for p in operation["parameters"] if p["in"] == "query"}
    assert query.keys() == OneTensor.model_fields.keys() | scheme_parameters().keys()
    for name, takers in scheme_parameters().items():
        for scheme in takers:
            assert f"`{scheme}`" in query[name]["description"]
    assert {p["name"] for p in operation["parameters"] if p["in"] == "path"} == {"scheme", "shape"}
    modes = {
        mode
        for scheme in SCHEMES.values()
        if "mode" in scheme.model_fields
        for mode in get_args(scheme.model_fields["mode"].annotation)
    }
    assert {*query["mode"]["schema"]["enum"]} == modes
    assert query["gain"]["schema"]


def test_presets_are_read_from_the_models(document: Any) -> None:
    """Each preset is in the schema of its architecture, and its arguments are there and in queries.

    None has a default there: that is the preset's own.
    """
    schemas = document["components"]["schemas"]
    union = [part["$ref"].rpartition("/")[2] for part in schemas["ModelOfPreset"]["anyOf"]]
    said = {
        name: schemas[one] for one in union for name in schemas[one]["properties"]["preset"]["enum"]
    }
    assert said.keys() == presets().keys()
    for name, preset in presets().items():
        arguments = {one.name for one in preset.arguments()}
        assert said[name]["properties"].keys() == arguments | {"preset"}
        assert "'default'" not in str(said[name])
        assert arguments <= document["components"]["parameters"].keys()
    for path in ("/v1/models/{preset}", "/v1/models/{preset}/{file}"):
        references = [
            p["$ref"] for p in document["paths"][path]["get"]["parameters"] if "$ref" in p
        ]
        assert references == [
            f"#/components/parameters/{name}" for name in document["components"]["parameters"]
        ]


def test_bodies_are_the_specs(document: Any) -> None:
    """The body of POST is the spec itself, with the union of all schemes."""
    for path in ("/v1/checkpoints", "/v1/describe"):
        body = document["paths"][path]["post"]["requestBody"]
        schema = body["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/CheckpointSpec"}
        assert body["required"]
    schemas = document["components"]["schemas"]
    assert "#/components/schemas/Init" in str(schemas["TensorSpec"])
    text = str(schemas["Init"])
    for scheme in SCHEMES.values():
        assert f"#/components/schemas/{scheme.__name__}" in text


def test_files_are_described(document: Any) -> None:
    """A file has 200, 206 and 304, and the request headers that lead to them."""
    paths = [path for path in document["paths"] if path.endswith(("{file}", ".safetensors"))]
    assert len(paths) == 4
    for path in paths:
        operation = document["paths"][path]["get"]
        assert {"200", "206", "304"} <= operation["responses"].keys()
        headers = {p["name"] for p in operation["parameters"] if p.get("in") == "header"}
        assert headers == {"Range", "If-Range", "If-None-Match", "If-Match"}
    posted = document["paths"]["/v1/checkpoints"]["post"]["responses"]["200"]
    assert {"ETag", "Content-Location"} <= posted["headers"].keys()


def test_nothing_of_frameworks_defaults(document: Any) -> None:
    """Neither the framework's validation errors nor its untitled operations are in the document."""
    text = str(document)
    assert "HTTPValidationError" not in text
    assert re.findall(r"'422'", text) == []
    assert document["info"]["license"]["identifier"] == "Apache-2.0"
