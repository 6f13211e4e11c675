"""Requests → texts, options, and remembered plans: reading bodies, decoding queries."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl

from fastapi import Request

from seedbed.errors import BusyError, Choices, ParameterError
from seedbed.files import Checkpoint, VirtualFile
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


def query_options(request: Request) -> dict[str, str]:
    """The query string as options, each given once.

    Raises:
        ParameterError: one is given twice, or is no UTF-8.
    """
    query: bytes = request.scope["query_string"]
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise ParameterError("the query is not UTF-8") from error
    options: dict[str, str] = {}
    for key, value in pairs:
        if key in options:
            raise ParameterError(f"{key[:100]!r} is given twice", (key[:100],))
        options[key] = value
    return options


def refuse_others(options: Iterable[str], known: Collection[str], why: str = "") -> None:
    """Refuse parameters of the query that there are not, since ignoring them would mislead.

    Raises:
        ParameterError: one is none of the known, with the nearest.
    """
    for key in options:
        if key not in known:
            raise ParameterError(
                f"there is no parameter {key[:100]!r} here{why}",
                (key[:100],),
                Choices(known, key[:100]),
            )


def no_query(request: Request) -> None:
    """A dependency of routes whose path says everything."""
    refuse_query(request, "the path says everything")


def refuse_query(request: Request, why: str) -> None:
    """Refuse parameters where there are none, since ignoring them would mislead.

    Raises:
        ParameterError: there is a query string.
    """
    for key in query_options(request):
        raise ParameterError(f"there is no parameter {key[:100]!r} here: {why}", (key[:100],))


_Planned = TypeVar("_Planned", VirtualFile, Checkpoint)


class PlanCache:
    """Files and checkpoints planned lately, so that ranges of one do not plan it again.

    They are pure functions of their request, so an entry never expires; the least recently used
    go when all together need more memory than allowed, or when others need it more. One is always
    kept, but for those others.

    Args:
        max_bytes: of memory, as `weight_of` estimates it.
        seen: told of each request whether it was remembered.
        memory: the budget that lends it.
    """

    def __init__(
        self,
        max_bytes: int,
        seen: Callable[[bool], None] = lambda _: None,
        memory: MemoryBudget | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._seen = seen
        self._bytes = 0
        self._plans: OrderedDict[Hashable, tuple[VirtualFile | Checkpoint, int]] = OrderedDict()
        self._lock = threading.Lock()
        if memory is not None:
            memory.lend(self.give_back)

    def __len__(self) -> int:
        return len(self._plans)

    def find(self, key: Hashable) -> VirtualFile | Checkpoint | None:
        """What has this key, if it is remembered."""
        with self._lock:
            found = self._plans.get(key)
            if found is not None:
                self._plans.move_to_end(key)
        self._seen(found is not None)
        return None if found is None else found[0]

    def keep(self, key: Hashable, planned: _Planned, key_bytes: int) -> _Planned:
        """Remember a plan under a key of this size; gives the plan back."""
        weight = weight_of(planned) + key_bytes
        with self._lock:
            self._bytes += weight - self._plans.pop(key, (None, 0))[1]
            self._plans[key] = (planned, weight)
            dropped = self._drop(self._bytes - self._max_bytes, 1)
        del dropped  # outside of the lock, since they give back what they hold
        return planned

    def give_back(self, size_bytes: int) -> None:
        """Forget plans of so many bytes, or all."""
        with self._lock:
            dropped = self._drop(size_bytes, 0)
        del dropped

    def _drop(self, size_bytes: int, kept: int) -> list[object]:
        """Forget the oldest until so many bytes are free, or only so many plans are left."""
        dropped: list[object] = []
        while size_bytes > 0 and len(self._plans) > kept:
            _, (plan, weight) = self._plans.popitem(last=False)
            self._bytes -= weight
            size_bytes -= weight
            dropped.append(plan)
        return dropped


def weight_of(planned: VirtualFile | Checkpoint) -> int:
    """Memory of a plan in bytes, measured: so much each, and names and metadata several times."""
    if isinstance(planned.held, Claim):
        return planned.held.size_bytes
    tensors = len(planned.tensors)
    if isinstance(planned, VirtualFile):
        return 2000 + 1500 * tensors + 3 * len(planned.header)
    names = sum(len(tensor.name) for tensor in planned.tensors)
    text = len(planned.spec.canonical_json) + sum(
        len(key) + len(value) for key, value in planned.spec.metadata.items()
    )
    return 4000 + 2000 * tensors + 6 * names + 9 * text
