"""Which pages of others browsers let read answers: Starlette's CORS, by this service's rules.

Answers never depend on cookies, so no page is ever told to send them.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Send

from seedbed.web.problems import problem

_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?", re.ASCII)

_SAFE_METHODS = ("GET", "HEAD", "POST")
_METHODS = (*_SAFE_METHODS, "PUT", "DELETE")

_ALLOWED_HEADERS = (
    "Authorization", "If-Match", "If-None-Match", "If-Range", "Range", "Want-Repr-Digest",
    "X-Request-ID",
)  # fmt: skip
"""Of requests, beside those that are always allowed."""

_EXPOSED_HEADERS = (
    "Accept-Ranges", "Content-Disposition", "Content-Length", "Content-Location", "Content-Range",
    "ETag", "Link", "Repr-Digest", "Retry-After", "X-Error-Code", "X-Error-Message",
    "X-Linked-Etag", "X-Linked-Size", "X-Repo-Commit", "X-Request-ID",
)  # fmt: skip


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


class CORS(CORSMiddleware):
    """Starlette's middleware, which refuses with problems and lets caches share what all may read.

    Args:
        app: that the rest is left to.
        origins: whose pages may read answers. Those that are named may also store and delete
            specs; with `*` any may read, and none may write, since a page could otherwise write
            to a service that only its reader can reach.
    """

    def __init__(self, app: ASGIApp, origins: frozenset[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_SAFE_METHODS if "*" in origins else _METHODS,
            allow_headers=_ALLOWED_HEADERS,
            allow_private_network=True,  # the setting says who may read, from wherever
            expose_headers=_EXPOSED_HEADERS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Starlette's own, but a refusal is a problem, and grants nothing."""
        response = super().preflight_response(request_headers)
        if response.status_code == 200:
            return response
        return problem(
            403, "origin-not-allowed", "Forbidden",
            f"{bytes(response.body).decode()}: pages of this origin may not send such requests "
            "(SEEDBED_CORS_ORIGINS).",
        )  # fmt: skip

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        """Starlette's own, but what any page may read is the same for all, whatever they ask from.

        Its `Vary: Origin` would have each cache keep a file once for every site. And who may not
        read an answer is not told which headers there are to read.
        """
        if self.allow_all_origins and message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(self.simple_headers)
            await send(message)
            return
        if not self.is_allowed_origin(request_headers.get("origin", "")):
            request_headers = Headers()
        await super().send(message, send, request_headers)
