"""The one way in for what is sent: a request's body, with its media type, size and time checked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fastapi import Request

from seedbed.errors import BusyError
from seedbed.memory import Claim, MemoryBudget
from seedbed.web.problems import RequestProblem
from seedbed.web.settings import Settings

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

_FREE_BYTES = 1 << 14
"""Of every body, which are never refused for want of room: connections are limited."""


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body, and the room that it takes for as long as it is there.

    Attributes:
        text: as it came.
        media_type: that it was said to be.
        claim: on the room.
    """

    text: bytes
    media_type: str
    claim: Claim


async def read_body(
    request: Request,
    settings: Settings,
    room: MemoryBudget,
    limit: str = "max_body_bytes",
    also: str | None = None,
) -> Body:
    """The body of a request, which is JSON: the one way in for all that is sent.

    Args:
        request: that has it.
        settings: the limits.
        room: which it takes as it comes.
        limit: name of the setting that says how many bytes there may be.
        also: another media type that is taken.

    Raises:
        RequestProblem: 408 too slow, 413 too large, 415 said to be something else.
        BusyError: there is no room for it now.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in (JSON, also) and not media_type.endswith("+json"):
        wanted = JSON if also is None else f"{JSON} or {also}"
        raise RequestProblem(
            415,
            "unsupported-media-type",
            f"The body must be {wanted}, not {media_type[:100] or 'unlabelled'} (curl: --json).",
            {"accept-post": JSON if also is None else f"{JSON}, {also}"},
        )
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise RequestProblem(
            415,
            "unsupported-content-coding",
            f"The body must be sent as it is, not in the coding {coding[:100]!r}.",
            {"accept-encoding": "identity"},
        )
    claim = Claim(room, 0, "bodies")
    try:
        text = await _receive(
            request, getattr(settings, limit), settings.body_seconds, limit, claim
        )
    except BusyError as error:
        raise RequestProblem(
            503, "busy", str(error),
            {"retry-after": str(error.retry_seconds), "connection": "close"},
        ) from error  # fmt: skip
    return Body(text, media_type, claim)


async def _receive(
    request: Request, max_bytes: int, seconds: float, limit: str, claim: Claim
) -> bytes:
    """All bytes of a body; what was announced is not claimed before it comes."""
    too_large = RequestProblem(
        413,
        "content-too-large",
        f"The body has more than {max_bytes:,} bytes (SEEDBED_{limit.upper()}).",
        {"connection": "close"},
    )
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:19]) > max_bytes:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > max_bytes:
                    raise too_large
                # Joined in the end, when for a moment there are two of it.
                if (more := 2 * (size - _FREE_BYTES) - claim.size_bytes) > 0:
                    claim.grow(more)
                parts.append(part)
    except TimeoutError as error:
        raise RequestProblem(
            408,
            "request-timeout",
            f"The body did not arrive within {seconds:g} seconds (SEEDBED_BODY_SECONDS).",
            {"connection": "close"},
        ) from error
    return b"".join(parts)
