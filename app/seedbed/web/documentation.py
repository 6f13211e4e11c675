"""What OpenAPI says of files, errors and options; read from the models, never repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import Route

from seedbed.compare import CompareRequest
from seedbed.files import CheckpointSpec, OneModel, OneTensor, scheme_parameters
from seedbed.init import SCHEMES
from seedbed.web.preset_schemas import argument_parameters, as_text, one_of, preset_components
from seedbed.web.problems import MEDIA_TYPE as PROBLEM_TYPE
from seedbed.web.problems import Problem
from seedbed.web.responses import MEDIA_TYPE as FILE_TYPE
from seedbed.web.schemas import properties_of

_PROBLEM_CONTENT = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Something is wrong with the request.", "content": _PROBLEM_CONTENT},
    "5XX": {"description": "Something is wrong with the service.", "content": _PROBLEM_CONTENT},
}

_BINARY = {FILE_TYPE: {"schema": {"type": "string", "format": "binary"}}}
_ETAG = {"ETag": {"description": "Strong validator.", "schema": {"type": "string"}}}
_RANGE_HEADERS = {
    **_ETAG,
    "Content-Range": {"description": "Which bytes these are.", "schema": {"type": "string"}},
}

FILE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The safetensors file.", "headers": _ETAG, "content": _BINARY},
    206: {
        "description": "The bytes asked for, several ranges as multipart/byteranges.",
        "headers": _RANGE_HEADERS,
        "content": {
            **_BINARY,
            "multipart/byteranges": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    304: {"description": "The file is the one that If-None-Match names.", "headers": _ETAG},
}

_CONDITIONS = {
    "Range": "Bytes to send, as bytes=0-1023, bytes=-1024 or bytes=4096-.",
    "If-Range": "Send the range only if this is the ETag, else the whole file.",
    "If-None-Match": "304 if one of these is the ETag.",
    "If-Match": "412 unless one of these is the ETag.",
}


PRESET_ARGUMENTS: dict[str, Any] = {"name": "the arguments of all presets"}
"""Stands for them among the parameters of an operation until the document is asked for."""


def _condition_parameters() -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in _CONDITIONS.items()
    ]


def tensor_parameters() -> list[dict[str, Any]]:
    """The query of the one-line GET: options of a single tensor, parameters of all schemes."""
    parameters = query_parameters(OneTensor)
    schemas = {name: properties_of(scheme) for name, scheme in SCHEMES.items()}
    for name, takers in scheme_parameters().items():
        kinds: list[dict[str, Any]] = []
        texts: dict[str, list[str]] = {}
        for taker in takers:
            kind = dict(schemas[taker][name])
            texts.setdefault(kind.pop("description", ""), []).append(taker)
            kinds += [form for form in as_text(kind) if form not in kinds]
        text = " ".join(f"{meaning} (`{'`, `'.join(who)}`)" for meaning, who in texts.items())
        parameters.append(_query_parameter(name, one_of(kinds), text))
    return parameters


def query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The fields of a model, as parameters of a query."""
    return [
        _query_parameter(name, schema, schema.pop("description", ""))
        for name, schema in model.model_json_schema()["properties"].items()
    ]


def _query_parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


class FileRoute(APIRoute):
    """A route whose endpoint takes the request, the service and the parts of the path, as text.

    FastAPI documents the endpoint as any other, but does not solve its dependencies: for a small
    tensor that costs more than drawing it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own way to say what a request goes to."""
        endpoint = self.endpoint

        async def handle(request: Request) -> Response:
            answer: Response = await endpoint(
                request, request.app.state.service, **request.path_params
            )
            return answer

        return handle


def file_routes(
    router: APIRouter,
    path: str,
    endpoint: Callable[..., Any],
    *,
    operation: str,
    summary: str,
    parameters: Sequence[dict[str, Any]] = (),
) -> None:
    """Serve a virtual file at a path by GET and HEAD.

    Args:
        router: to add the routes to.
        path: of both.
        endpoint: gives a `FileResponse`, which tells GET from HEAD.
        operation: noun of the operation ids, `getNoun` and `headNoun`.
        summary: what the file is, in a few words.
        parameters: of OpenAPI, beside those that the endpoint declares.
    """
    head = {status: {**answer} for status, answer in FILE_RESPONSES.items() if status != 206}
    head[200].pop("content")
    for method, verb, responses in (
        ("GET", "Download", FILE_RESPONSES),
        ("HEAD", "Size and ETag of", head),
    ):
        router.add_api_route(
            path,
            endpoint,
            methods=[method],
            operation_id=f"{method.lower()}{operation}",
            summary=f"{verb} {summary}",
            response_class=Response,
            responses={**responses, **PROBLEMS},
            openapi_extra={"parameters": [*parameters, *_condition_parameters()]},
            route_class_override=FileRoute,
        )


def install(app: FastAPI) -> None:
    """Let the application's OpenAPI name the models of bodies and errors."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                license_info=app.license_info,
                tags=app.openapi_tags,
                servers=app.servers,
                routes=app.routes,
            )
            _, models = models_json_schema(
                [(m, "validation") for m in (CheckpointSpec, CompareRequest, Problem)],
                ref_template="#/components/schemas/{model}",
            )
            components = schema.setdefault("components", {}).setdefault("schemas", {})
            components.update(models["$defs"])
            for name in ("HTTPValidationError", "ValidationError"):
                components.pop(name, None)
            components.update(preset_components())
            arguments = argument_parameters(frozenset(OneModel.model_fields))
            schema["components"]["parameters"] = arguments
            for operation in (o for path in schema["paths"].values() for o in path.values()):
                operation["responses"].pop("422", None)  # FastAPI's own, which is never sent
                if PRESET_ARGUMENTS in (parameters := operation.get("parameters", [])):
                    at = parameters.index(PRESET_ARGUMENTS)
                    parameters[at : at + 1] = [
                        {"$ref": f"#/components/parameters/{name}"} for name in arguments
                    ]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    @lru_cache(maxsize=4)
    def text(root: str) -> bytes:
        servers = [{"url": root}, *app.servers] if root else app.servers
        return json.dumps({**app.openapi(), "servers": servers}, ensure_ascii=False).encode()

    def document(request: Request) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        return Response(text(root), media_type="application/json")

    # Not FastAPI's own, which makes the document, and its text for each request, on the event loop:
    # seconds for the first, and hundreds of KB each time, while all downloads wait.
    routes = app.router.routes
    routes[:] = [route for route in routes if getattr(route, "path", None) != app.openapi_url]
    routes.append(Route(str(app.openapi_url), document, include_in_schema=False))
