"""Errors as problem+json (RFC 9457).

One table says which status an error class has; the nearest base class wins, so a new error
inherits its parent's. What is not in it is a failure of the service, which `Observability` logs and
answers. Messages are made where the fact is known, never here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from seedbed.errors import (
    BusyError,
    ConflictError,
    DifferentRecordingError,
    IdError,
    InvalidError,
    LimitError,
    NotRecordedError,
    OverwriteError,
    Path,
    SeedbedError,
    SpecError,
    TokenError,
    UnavailableError,
    UnknownSpecError,
)
from seedbed.files import MAX_FINDINGS, Suggestion, allowed_by, option_of, suggestions
from seedbed.web.environment import variable

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:seedbed:problem:"
_MAX_POINTER_CHARS = 2000
_MAX_PATH_CHARS = 100
_MAX_TEXT_CHARS = 1000
"""Of each text in a problem: a name may have a megabyte, and its message repeats it."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_WITH_BODY = ("POST", "PUT")


class Finding(BaseModel):
    """One thing that is wrong with a request, and where."""

    detail: str = Field(description="What is wrong.")
    pointer: str | None = Field(
        None, description="Where in the request body: a JSON pointer as a URI fragment."
    )
    parameter: str | None = Field(None, description="Which query or path parameter.")
    allowed: list[str] | None = Field(
        None, description="All that would be accepted, where that is a list and not too long a one."
    )
    nearest: list[str] | None = Field(
        None, description="What may have been meant, the likeliest first."
    )


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
        allowed: what there is, where a path names what there is not.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        allowed: Sequence[str] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.allowed = allowed


STATUSES: dict[type[SeedbedError], tuple[int, str, str]] = {
    SpecError: (422, "invalid-spec", "The spec cannot mean a file"),
    TokenError: (404, "invalid-token", "The link does not lead to a file"),
    IdError: (422, "invalid-name", "A spec cannot have this name"),
    UnknownSpecError: (404, "not-found", "There is no such spec"),
    ConflictError: (412, "precondition-failed", "Precondition Failed"),
    OverwriteError: (428, "precondition-required", "Precondition Required"),
    BusyError: (503, "busy", "Service Unavailable"),
    UnavailableError: (503, "registry-unavailable", "Stored specs cannot be had"),
    NotRecordedError: (409, "not-recorded", "The model's library is not here"),
    DifferentRecordingError: (
        409,
        "recorded-differently",
        "The model's library says otherwise here",
    ),
    LimitError: (422, "limit", "The request is larger than this service allows"),
}


_FORMS = {
    "spec": ("invalid-spec", "The spec cannot mean a file"),
    "comparison": ("invalid-comparison", "There is nothing to compare like this"),
    "list of paths": ("invalid-paths", "There are no paths in this"),
}
"""Kind and title of a problem with a body, by what it should have been."""


PROBLEM_KIND = "seedbed.problem"
"""In a connection's scope: the kind of problem that was the answer."""


class ProblemResponse(JSONResponse):
    """problem+json, which says to those who count what it is."""

    media_type = MEDIA_TYPE
    kind = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        scope[PROBLEM_KIND] = self.kind
        await super().__call__(scope, receive, send)


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
    """A problem+json response, which no cache keeps."""
    body: dict[str, Any] = {
        "type": f"{_TYPE}{kind}",
        "title": title,
        "status": status,
        "detail": shortened(detail),
        **{
            name: shortened(fact) if isinstance(fact, str) else fact for name, fact in facts.items()
        },
    }
    if errors:
        body["errors"] = [finding.model_dump(exclude_none=True) for finding in errors]
    response = ProblemResponse(body, status, {"cache-control": "no-store", **(headers or {})})
    response.kind = kind
    return response


def shortened(text: str) -> str:
    """A text, or its beginning and its end if it is absurdly long."""
    if len(text) <= _MAX_TEXT_CHARS:
        return text
    half = _MAX_TEXT_CHARS // 2
    return f"{text[:half]} … {text[-half:]}"


def failure() -> Response:
    """The answer when the service has failed; what happened is in the log alone."""
    return problem(
        500, "internal", "The service failed",
        "The error has been logged under the request id that is in X-Request-ID.",
    )  # fmt: skip


def pointer(path: Path) -> str | None:
    """A path as a JSON pointer in a URI fragment (RFC 6901 §6), unless it is absurdly long."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    text = "#" + "".join(f"/{quote(part, errors='replace')}" for part in parts)
    return text if len(text) <= _MAX_POINTER_CHARS else None


def response_to(error: SeedbedError, *, in_query: bool) -> Response:
    """The answer to an error that `STATUSES` has, or to a problem with the request.

    Args:
        error: what was raised.
        in_query: whether the spec came as a path and query, not as a body.
    """
    if isinstance(error, RequestProblem):
        title = HTTPStatus(error.status).phrase
        if not error.allowed:
            return problem(error.status, error.kind, title, error.detail, headers=error.headers)
        missing = SpecError(error.detail, (), error.allowed)
        return refused(
            error.status, error.kind, title, [missing], in_query=True, headers=error.headers
        )
    if isinstance(error, InvalidError):
        return _invalid(error)
    status, kind, title = next(STATUSES[base] for base in type(error).__mro__ if base in STATUSES)
    if isinstance(error, SpecError):
        errors = [error, *error.others]
        return refused(status, kind, title, errors, in_query=in_query or isinstance(error, IdError))
    if isinstance(error, LimitError):
        setting = variable(error.limit)
        return problem(
            status, kind, title, error.said_of(setting),
            limit=setting, actual=error.actual, maximum=error.maximum, unit=error.unit,
        )  # fmt: skip
    return problem(status, kind, title, str(error), headers=_headers_of(error), **_needs_of(error))


def _needs_of(error: SeedbedError) -> dict[str, Any]:
    """What a server would need to answer."""
    if not isinstance(error, NotRecordedError):
        return {}
    needs = {"library": error.library, "version": error.version, "digest": error.digest}
    return {"needs": {key: value for key, value in needs.items() if value is not None}}


def _headers_of(error: SeedbedError) -> dict[str, str]:
    """What a client needs to try again."""
    if isinstance(error, ConflictError) and error.etag is not None:
        return {"etag": f'"{error.etag}"'}
    if isinstance(error, UnavailableError | BusyError) and error.retry_seconds is not None:
        return {"retry-after": str(error.retry_seconds)}
    return {}


def _invalid(error: InvalidError) -> Response:
    """The answer to a body that is not of the form that it should have."""
    if not error.is_json:
        return problem(400, "invalid-json", HTTPStatus(400).phrase, error.message)
    kind, title = _FORMS[error.what]
    if not error.findings:
        return problem(422, kind, title, error.message)
    return refused(422, kind, title, error.findings, count=error.count)


def refused(
    status: int,
    kind: str,
    title: str,
    errors: Sequence[SpecError],
    *,
    in_query: bool = False,
    count: int = 0,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request in which one thing or more is wrong.

    Args:
        status: of the answer.
        kind: last part of the problem's type.
        title: the kind in words.
        errors: what is wrong, one at least; the first of them are told.
        in_query: whether the request is a path and query, not a body.
        count: how many things are wrong, if that is more.
        headers: of the answer.
    """
    shown = list(suggestions(errors[:MAX_FINDINGS]))
    findings = [_finding(*pair, in_query=in_query) for pair in zip(errors, shown, strict=False)]
    detail = shown[0].message
    count = max(count, len(errors))
    if count > 1:
        least = "at least " if len(errors) >= MAX_FINDINGS else ""
        detail = f"{least}{count:,} things are wrong, the first of them: {detail}"
    return problem(status, kind, title, detail, errors=findings, headers=headers)


def _finding(error: SpecError, shown: Suggestion, *, in_query: bool) -> Finding:
    finding = Finding(
        detail=shortened(shown.message),
        allowed=[shortened(word) for word in shown.allowed] or None,
        nearest=list(shown.nearest) or None,
    )
    if in_query:
        path = option_of(error.path) if len(error.path) > 1 else error.path
        finding.parameter = str(path[0]) if path else None
    else:
        finding.pointer = pointer(error.path)
    return finding


def install(app: FastAPI) -> None:
    """Answer every error of the application as problem+json."""

    async def ours(request: Request, error: Exception) -> Response:
        if not isinstance(error, SeedbedError):
            raise error
        return response_to(error, in_query=request.method not in _WITH_BODY)

    for kind in (RequestProblem, InvalidError, *STATUSES):
        app.add_exception_handler(kind, ours)

    @app.exception_handler(HTTPException)
    async def of_routing(request: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase
        path = request.scope["path"][:_MAX_PATH_CHARS]
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        detail = error.detail
        if error.status_code == 404:
            detail = f"There is nothing at {path!r}; see /docs for what there is."
        elif error.status_code == 405:
            headers["allow"] = ", ".join(_methods_of(request))
            detail = f"{request.method} is not a method of {path!r}."
        kind = phrase.lower().replace(" ", "-")
        return problem(error.status_code, kind, phrase, detail, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def of_parameters(_: Request, error: RequestValidationError) -> Response:
        findings = [
            SpecError(
                f"{fault['loc'][-1]}: {fault['msg']}",
                fault["loc"][-1:],
                allowed_by(fault, fault["input"]),
            )
            for fault in error.errors()[:MAX_FINDINGS]
        ]
        return refused(422, "invalid-parameter", "A parameter is wrong", findings, in_query=True)


def _methods_of(request: Request) -> list[str]:
    """Every method that some route has at the path of a request.

    Routing itself names only those of the first route at the path.
    """
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
