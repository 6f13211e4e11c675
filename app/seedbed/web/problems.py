"""Errors as problem+json (RFC 9457).

One table says which status an error class has; the nearest base class wins, so a new error
inherits its parent's. Messages are made where the fact is known, never here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from seedbed.errors import EngineError, LimitError, Path, SeedbedError, SpecError, TokenError
from seedbed.files import CheckpointSpec
from seedbed.init import SCHEMES, Rule, TensorSpec

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:seedbed:problem:"
_MAX_FINDINGS = 20

log = structlog.get_logger("seedbed.web")


class Finding(BaseModel):
    """One thing that is wrong with a request, and where."""

    detail: str = Field(description="What is wrong.")
    pointer: str | None = Field(
        None, description="Where in the request body: a JSON pointer as a URI fragment."
    )
    parameter: str | None = Field(None, description="Which query or path parameter.")
    allowed: list[str] | None = Field(None, description="What would be accepted.")


class Problem(BaseModel):
    """An error, as RFC 9457 defines it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Identifies the kind of problem.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status, again.")
    detail: str = Field(description="What happened this time.")
    errors: list[Finding] | None = Field(None, description="Each thing that is wrong.")


class RequestProblem(SeedbedError):
    """Something wrong with the HTTP request itself.

    Attributes:
        status: of the answer.
        kind: last part of the problem's type.
        detail: what is wrong.
        headers: of the answer.
    """

    def __init__(
        self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})


class InvalidBody(SeedbedError):
    """A JSON body that is not a spec.

    Attributes:
        error: Pydantic's findings.
        body: the body, parsed.
    """

    def __init__(self, error: ValidationError, body: object) -> None:
        super().__init__(str(error))
        self.error = error
        self.body = body


STATUSES: dict[type[SeedbedError], tuple[int, str, str]] = {
    SpecError: (422, "invalid-spec", "The spec cannot mean a file"),
    TokenError: (404, "invalid-token", "The link does not lead to a file"),
    LimitError: (422, "limit", "The request is larger than this service allows"),
    EngineError: (500, "internal", "The service failed"),
}


def problem(
    status: int,
    kind: str,
    title: str,
    detail: str,
    *,
    errors: Sequence[Finding] = (),
    headers: Mapping[str, str] | None = None,
    **facts: object,
) -> Response:
    """A problem+json response."""
    body: dict[str, Any] = {
        "type": f"{_TYPE}{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        **facts,
    }
    if errors:
        body["errors"] = [finding.model_dump(exclude_none=True) for finding in errors]
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def pointer(path: Path) -> str:
    """A path as a JSON pointer in a URI fragment (RFC 6901 §6)."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return "#" + "".join(f"/{quote(part, errors='replace')}" for part in parts)


def findings_of(error: ValidationError, body: object) -> list[Finding]:
    """Pydantic's findings with places in the body, not in the models."""
    findings = []
    for raw in error.errors(include_url=False)[:_MAX_FINDINGS]:
        allowed = raw.get("ctx", {}).get("allowed")
        if raw["type"] == "extra_forbidden":
            allowed = _fields_beside(raw["loc"])
        place = pointer(_place_in(body, raw["loc"]))
        findings.append(Finding(detail=raw["msg"], pointer=place, allowed=allowed))
    return findings


def _place_in(body: object, location: Path) -> Path:
    """The parts of a location that are in the body.

    A location names union members too (`init/he_normal/gain`): parts that do not exist in the body
    are left out, except a field that is missing.
    """
    path: list[str | int] = []
    at: Any = body
    for part in location:
        if _has(at, part):
            at = at[part]
        elif part in SCHEMES or part in ("int", "float", "str", "[key]"):
            continue
        path.append(part)
    return tuple(path)


def _has(value: object, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _fields_beside(location: Sequence[str | int]) -> list[str] | None:
    """The fields that a model takes in which an unknown one was found."""
    *outer, _ = location
    if outer and outer[-1] in SCHEMES:
        return list(SCHEMES[str(outer[-1])].model_fields)
    if not outer:
        return list(CheckpointSpec.model_fields)
    inner: dict[str | int, type[BaseModel]] = {"tensors": TensorSpec, "rules": Rule}
    return list(inner[outer[0]].model_fields) if outer[0] in inner else None


def response_to(error: SeedbedError, *, in_query: bool) -> Response:
    """The answer to an error of ours.

    Args:
        error: any `SeedbedError`.
        in_query: whether the spec came as a path and query, not as a body.
    """
    if isinstance(error, RequestProblem):
        title = HTTPStatus(error.status).phrase
        return problem(error.status, error.kind, title, error.detail, headers=error.headers)
    if isinstance(error, InvalidBody):
        status, kind, title = STATUSES[SpecError]
        findings = findings_of(error.error, error.body)
        count = error.error.error_count()
        detail = findings[0].detail if count == 1 else f"{count} things are wrong with the spec."
        return problem(status, kind, title, detail, errors=findings)
    status, kind, title = next(STATUSES[base] for base in type(error).__mro__ if base in STATUSES)
    if isinstance(error, LimitError):
        setting = f"SEEDBED_{error.limit.upper()}"
        return problem(
            status, kind, title, str(error),
            limit=setting, actual=error.actual, maximum=error.maximum, unit=error.unit,
        )  # fmt: skip
    if isinstance(error, SpecError):
        finding = Finding(detail=error.message, allowed=list(error.allowed) or None)
        if in_query:
            finding.parameter = str(error.path[-1]) if error.path else None
        else:
            finding.pointer = pointer(error.path)
        return problem(status, kind, title, error.message, errors=[finding])
    return problem(status, kind, title, "The error has been logged under the request id.")


def install(app: FastAPI) -> None:
    """Answer every error of the application as problem+json."""

    @app.exception_handler(SeedbedError)
    async def ours(request: Request, error: SeedbedError) -> Response:
        return response_to(error, in_query=request.method != "POST")

    @app.exception_handler(HTTPException)
    async def of_routing(request: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase
        detail = {
            404: f"There is nothing at {request.url.path!r}; see /docs for what there is.",
            405: f"{request.method} is not a method of {request.url.path!r}.",
        }.get(error.status_code, error.detail)
        kind = phrase.lower().replace(" ", "-")
        return problem(error.status_code, kind, phrase, detail, headers=error.headers)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        log.error("unhandled error", path=request.url.path, exc_info=error)
        return problem(
            500, "internal", "The service failed",
            "The error has been logged under the request id.",
        )  # fmt: skip
