"""Requests → specs → virtual files: reading bodies, decoding links, remembering plans."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import from_json

from seedbed.errors import ParameterError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.web.problems import InvalidBody, RequestProblem

_INLINE_BYTES = 1 << 14
"""Bodies up to this size are parsed where they arrive; longer ones in a thread."""


async def read_spec(request: Request, max_bytes: int, seconds: float) -> CheckpointSpec:
    """The spec in a request's JSON body.

    Raises:
        RequestProblem: 400 not JSON, 408 too slow, 413 too large, 415 said to be something else.
        InvalidBody: JSON, but not a spec.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise RequestProblem(
            415,
            "unsupported-media-type",
            f"The body must be application/json, not {media_type or 'unlabelled'} (curl: --json).",
            {"accept-post": "application/json"},
        )
    body = await _read_body(request, max_bytes, seconds)
    if len(body) <= _INLINE_BYTES:
        return _parse(body)
    return await asyncio.to_thread(_parse, body)


async def _read_body(request: Request, max_bytes: int, seconds: float) -> bytes:
    too_large = RequestProblem(
        413,
        "content-too-large",
        f"The body has more than {max_bytes:,} bytes (SEEDBED_MAX_BODY_BYTES).",
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


def _parse(body: bytes) -> CheckpointSpec:
    try:
        return CheckpointSpec.model_validate_json(body)
    except ValidationError as error:
        if error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid":
            raise RequestProblem(400, "invalid-json", error.errors()[0]["msg"]) from error
        raise InvalidBody(error, from_json(body)) from error


def query_options(request: Request) -> dict[str, str]:
    """The query string as options, each given once.

    Raises:
        ParameterError: one is given twice.
    """
    options: dict[str, str] = {}
    for key, value in request.query_params.multi_items():
        if key in options:
            raise ParameterError(f"{key[:100]!r} is given twice", (key,))
        options[key] = value
    return options


class FileCache:
    """Virtual files planned lately, so that ranges of one file do not plan it again.

    A file is a pure function of its request, so an entry never expires; the least recently used
    go when all plans together have more tensors than allowed. One plan is always kept.
    """

    def __init__(self, max_tensors: int) -> None:
        self._max_tensors = max_tensors
        self._tensors = 0
        self._files: OrderedDict[Hashable, VirtualFile] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._files

    def get(self, key: Hashable, make: Callable[[], VirtualFile]) -> VirtualFile:
        """The file of this key, made if it is not there."""
        file = self._files.get(key)
        if file is None:
            file = self._files[key] = make()
            self._tensors += len(file.tensors)
        self._files.move_to_end(key)
        while self._tensors > self._max_tensors and len(self._files) > 1:
            _, dropped = self._files.popitem(last=False)
            self._tensors -= len(dropped.tensors)
        return file
