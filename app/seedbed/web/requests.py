"""Requests → specs → virtual files: reading bodies, decoding links, remembering plans."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import from_json

from seedbed.errors import ParameterError
from seedbed.files import Checkpoint, CheckpointSpec, VirtualFile
from seedbed.files.survey import survey
from seedbed.web.problems import InvalidBody, RequestProblem
from seedbed.web.settings import Settings

_INLINE_BYTES = 1 << 14
"""Bodies up to this size are parsed where they arrive; longer ones in a thread."""

_parser = ThreadPoolExecutor(1, thread_name_prefix="parse")
"""One at a time: a body takes some twenty times its size while it is parsed."""

_PLACED_BYTES = 1 << 20
"""Bodies up to this size are parsed again when they are wrong, to say exactly where."""


async def read_spec(request: Request, settings: Settings) -> CheckpointSpec:
    """The spec in a request's JSON body; raises as `read_spec_text`."""
    spec, _ = await read_spec_text(request, settings, "max_body_bytes")
    return spec


async def read_spec_text(
    request: Request, settings: Settings, limit: str
) -> tuple[CheckpointSpec, bytes]:
    """The spec in a request's JSON body, and the body as it came.

    Args:
        request: that has it.
        settings: the limits.
        limit: name of the setting that says how many bytes there may be.

    Raises:
        RequestProblem: 400 not JSON, 408 too slow, 413 too large, 415 said to be something else,
            422 with a query string, which would be ignored.
        SpecError: a key is given twice.
        LimitError: there is too much in it to be parsed.
        InvalidBody: JSON, but not a spec.
    """
    refuse_query(request, "the spec is in the body")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise RequestProblem(
            415,
            "unsupported-media-type",
            f"The body must be application/json, not {media_type or 'unlabelled'} (curl: --json).",
            {"accept-post": "application/json"},
        )
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise RequestProblem(
            415,
            "unsupported-content-coding",
            f"The body must be sent as it is, not in the coding {coding[:100]!r}.",
            {"accept-encoding": "identity"},
        )
    body = await read_body(request, getattr(settings, limit), settings.body_seconds, limit)
    if len(body) <= _INLINE_BYTES:
        return _parse(body, settings), body
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_parser, _parse, body, settings), body


async def read_body(request: Request, max_bytes: int, seconds: float, limit: str) -> bytes:
    """A request's body.

    Args:
        request: that has it.
        max_bytes: the longest taken.
        seconds: for all of it to arrive.
        limit: the setting that says how long.

    Raises:
        RequestProblem: 408 too slow, 413 too large.
    """
    too_large = RequestProblem(
        413,
        "content-too-large",
        f"The body has more than {max_bytes:,} bytes (SEEDBED_{limit.upper()}).",
        {"connection": "close"},
    )
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:19]) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                body += part
                if len(body) > max_bytes:
                    raise too_large
    except TimeoutError as error:
        raise RequestProblem(
            408,
            "request-timeout",
            f"The body did not arrive within {seconds:g} seconds (SEEDBED_BODY_SECONDS).",
            {"connection": "close"},
        ) from error
    return bytes(body)


def _parse(body: bytes, settings: Settings) -> CheckpointSpec:
    survey(body, settings.limits, settings.max_json_values, settings.max_json_members)
    try:
        return CheckpointSpec.model_validate_json(body)
    except ValidationError as error:
        # Pydantic lists all of its findings or none, and there may be millions.
        if error.error_count() == 1:
            (only,) = error.errors(include_url=False, include_input=False)
            if only["type"] == "json_invalid":
                raise RequestProblem(400, "invalid-json", only["msg"]) from error
        raise InvalidBody(error, from_json(body) if len(body) <= _PLACED_BYTES else None) from error


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
    go when all together need more memory than allowed. One is always kept.

    Args:
        max_bytes: of memory, as `weight_of` estimates it.
        seen: told of each request whether it was remembered.
    """

    def __init__(self, max_bytes: int, seen: Callable[[bool], None] = lambda _: None) -> None:
        self._max_bytes = max_bytes
        self._seen = seen
        self._bytes = 0
        self._plans: OrderedDict[Hashable, tuple[VirtualFile | Checkpoint, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._plans)

    def find(self, key: Hashable) -> VirtualFile | Checkpoint | None:
        """What has this key, if it is remembered."""
        found = self._plans.get(key)
        self._seen(found is not None)
        if found is None:
            return None
        self._plans.move_to_end(key)
        return found[0]

    def keep(self, key: Hashable, planned: _Planned, key_bytes: int) -> _Planned:
        """Remember a plan under a key of this size; gives the plan back."""
        weight = weight_of(planned) + key_bytes
        self._bytes += weight - self._plans.pop(key, (None, 0))[1]
        self._plans[key] = (planned, weight)
        while self._bytes > self._max_bytes and len(self._plans) > 1:
            _, (_, dropped) = self._plans.popitem(last=False)
            self._bytes -= dropped
        return planned


def weight_of(planned: VirtualFile | Checkpoint) -> int:
    """Memory of a plan in bytes, measured: so much each, and names and metadata several times."""
    tensors = len(planned.tensors)
    if isinstance(planned, VirtualFile):
        return 2000 + 1500 * tensors + 3 * len(planned.header)
    names = sum(len(tensor.name) for tensor in planned.tensors)
    text = len(planned.spec.canonical_json) + sum(
        len(key) + len(value) for key, value in planned.spec.metadata.items()
    )
    return 4000 + 2000 * tensors + 6 * names + 9 * text
