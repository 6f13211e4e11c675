"""Who may do what: API keys, their scopes, rates and numbers of requests at the same time.

A request that may be made without a key is never refused for the token it brings: clients of the
Hub send the token of their user to every server.
"""

from __future__ import annotations

import math
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from seedbed.web.clients import KEY_NAME
from seedbed.web.keys import Key, KeyRing, Scope
from seedbed.web.problems import problem

_WRITES = frozenset({"PUT", "PATCH", "DELETE"})
"""Methods that change what is stored. POST does not: it is how long requests ask for bytes."""

_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""What the machinery that runs the service asks, which has no key."""

_S3 = "/s3/"
"""Buckets refuse by themselves, in the words of their protocol: writing, and reading by keys."""

PROBE = "seedbed.probe"
"""In a connection's scope, if it came by the port for probes, which needs no key."""


class Access:
    """Lets a request through, or answers 401, 403 or 429.

    Args:
        app: that admitted requests are left to.
        keys: that are known.
        anonymous: what may be done without any.
        retry_after_seconds: of an answer whose request was one too many at the same time.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: KeyRing,
        anonymous: frozenset[Scope],
        retry_after_seconds: int,
    ) -> None:
        self._app = app
        self._keys = keys
        self._anonymous = anonymous
        self._retry_after_seconds = retry_after_seconds
        self._is_private = "read" not in anonymous

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Admit or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._is_private:
            send = _for_one_client(send)
        needed: Scope = "write" if scope["method"] in _WRITES else "read"
        token = _token_of(scope)
        key = None if token is None else self._keys.find(token)
        if key is None:
            if needed in self._anonymous or _is_open(scope):
                await self._app(scope, receive, send)
            else:
                await _unauthorized(unknown=token is not None)(scope, receive, send)
            return
        refusal = self._refusal(key, needed)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        scope[KEY_NAME] = key.name
        key.active += 1
        try:
            await self._app(scope, receive, send)
        finally:
            key.active -= 1

    def _refusal(self, key: Key, needed: Scope) -> ASGIApp | None:
        """The answer to a key that may not do this, or not now."""
        if needed not in key.scopes | self._anonymous:
            return _refuse(
                403,
                "forbidden",
                f"The key {key.name} may {' and '.join(sorted(key.scopes))}, but not {needed}.",
                {"www-authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'},
            )
        if key.concurrency and key.active >= key.concurrency:
            return _too_many(
                f"The key {key.name} may have {key.concurrency} requests at the same time, and "
                "has as many.",
                self._retry_after_seconds,
            )
        if seconds := key.take():
            return _too_many(
                f"The key {key.name} may make {key.rate:g} requests a second.", math.ceil(seconds)
            )
        return None


def _token_of(scope: Connection) -> bytes | None:
    """The bearer token of a request (RFC 6750 §2.1); an empty one if there are several."""
    bearer = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if bearer is not None:
                return b""
            kind, _, token = value.strip().partition(b" ")
            bearer = token.strip() if kind.lower() == b"bearer" else b""
    return bearer


def _is_open(scope: Connection) -> bool:
    if PROBE in scope:
        return True
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path in _OPEN_PATHS or f"{path}/".startswith(_S3)


def _unauthorized(*, unknown: bool) -> ASGIApp:
    challenge = 'Bearer realm="seedbed"'
    if unknown:
        return _refuse(
            401,
            "unknown-key",
            "The request's Authorization is no API key of this service.",
            {"www-authenticate": f'{challenge}, error="invalid_token"'},
        )
    return _refuse(
        401,
        "key-needed",
        "This needs an API key: Authorization: Bearer seedbed_...",
        {"www-authenticate": challenge},
    )


def _too_many(detail: str, seconds: int) -> ASGIApp:
    return _refuse(429, "key-busy", detail, {"retry-after": str(seconds)})


def _refuse(status: int, kind: str, detail: str, headers: dict[str, str]) -> ASGIApp:
    """A problem whose text clients of the Hub show too."""
    said = {"x-error-message": detail, **headers}
    return problem(status, kind, HTTPStatus(status).phrase, detail, headers=said)


def _for_one_client(send: Send) -> Send:
    """Let no shared cache keep an answer that was for the holder of a key."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                (name, _privately(value) if name == b"cache-control" else value)
                for name, value in message["headers"]
            ]
        await send(message)

    return marked


def _privately(directives: bytes) -> bytes:
    if b"no-store" in directives or b"private" in directives:
        return directives
    return b"private, " + directives.removeprefix(b"public").lstrip(b", ")
