"""What browsers are told: which pages may read answers (CORS), and not to guess or embed.

Answers never depend on cookies, so no page is ever told to send them.
"""

from __future__ import annotations

import re

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedbed.web.problems import problem

_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?", re.ASCII)

_SAFE_METHODS = ("GET", "HEAD", "POST")
_METHODS = (*_SAFE_METHODS, "PUT", "DELETE")

_ALLOWED_HEADERS = (
    "Accept, Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range, "
    "Want-Repr-Digest, X-Request-ID"
)

_EXPOSED_HEADERS = (
    "Accept-Ranges, Content-Disposition, Content-Length, Content-Location, Content-Range, ETag, "
    "Link, Repr-Digest, Retry-After, X-Error-Code, X-Error-Message, X-Linked-Etag, X-Linked-Size, "
    "X-Repo-Commit, X-Request-ID"
)

_PREFLIGHT_SECONDS = 600

_HTML_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    b"frame-ancestors 'none'"
)

_NOSNIFF = (b"x-content-type-options", b"nosniff")

_FOR_HTML = (
    (b"content-security-policy", _HTML_POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


def parse_origins(text: str) -> frozenset[str]:
    """The origins that a setting lists; `*` alone is any.

    Raises:
        ValueError: one is no origin.
    """
    if text == "none":
        return frozenset()
    origins = frozenset(text.split())
    if origins == {"*"}:
        return origins
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin[:100]!r} is no origin: scheme and host in lower case, a port if it is "
                "not the usual one, and no path; or * alone"
            )
    return origins


class Browsers:
    """Adds the headers that browsers heed, and answers their preflight requests.

    Args:
        app: that the rest is left to.
        origins: whose pages may read answers. Those that are named may also store and delete
            specs; with `*` any may read, and none may write, since a page could otherwise write
            to a service that only its reader can reach.
    """

    def __init__(self, app: ASGIApp, origins: frozenset[str]) -> None:
        self._app = app
        self._origins = origins
        self._any = "*" in origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add to the headers of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = self._origin_of(scope) if self._origins else None

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _protect(message)
                if self._origins:
                    self._admit(message, origin)
            await send(message)

        if origin is not None and scope["method"] == "OPTIONS":
            await self._preflight(origin)(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _origin_of(self, scope: Scope) -> str | None:
        for name, value in scope["headers"]:
            if name == b"origin":
                return str(value.decode("latin-1"))
        return None

    def _may(self, origin: str) -> bool:
        return self._any or origin in self._origins

    def _admit(self, message: Message, origin: str | None) -> None:
        """Say whether the page that asked may read the answer."""
        headers = MutableHeaders(raw=list(message["headers"]))
        if self._any:
            headers["access-control-allow-origin"] = "*"
        else:
            headers.add_vary_header("Origin")
            if origin is not None and self._may(origin):
                headers["access-control-allow-origin"] = origin
        if "access-control-allow-origin" in headers:
            headers["access-control-expose-headers"] = _EXPOSED_HEADERS
        message["headers"] = headers.raw

    def _preflight(self, origin: str) -> ASGIApp:
        """The answer to the question that a browser asks before a request."""
        if not self._may(origin):
            return problem(
                403, "origin-not-allowed", "Forbidden",
                "Pages of this origin may not read answers (SEEDBED_CORS_ORIGINS).",
            )  # fmt: skip
        allowed = {
            "access-control-allow-methods": ", ".join(_SAFE_METHODS if self._any else _METHODS),
            "access-control-allow-headers": _ALLOWED_HEADERS,
            "access-control-max-age": str(_PREFLIGHT_SECONDS),
        }
        return Response(status_code=204, headers=allowed)


def _protect(message: Message) -> None:
    """Add what keeps a browser from guessing media types and from framing pages."""
    headers: list[tuple[bytes, bytes]] = message["headers"]
    extra = [] if _NOSNIFF in headers else [_NOSNIFF]
    for name, value in headers:
        if name == b"content-type" and value.startswith(b"text/html"):
            there = dict(headers)
            extra += [pair for pair in _FOR_HTML if pair[0] not in there]
    if extra:
        message["headers"] = [*headers, *extra]
