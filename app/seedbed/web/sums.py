"""True sums of files for those who ask: one pass of drawing each, shared by all who wait for it."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

from fastapi import Request
from starlette.requests import ClientDisconnect

from seedbed.files import File
from seedbed.hub import Hashes
from seedbed.hub.hashes import Cancelled

_WANTS_SHA256 = re.compile(r"(?:^|,)[ \t]*sha-256[ \t]*=[ \t]*(?:[1-9]|10)[ \t]*(?:,|$)")

_LOOK_SECONDS = 0.5
"""How often to look whether a client is still there."""


class Sums:
    """SHA-256 sums, made one file at a time in a thread of their own.

    Args:
        max_bytes: largest file whose sum a header may ask for.
    """

    def __init__(self, max_bytes: int) -> None:
        self.known = Hashes()
        self._max_bytes = max_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sum")
        self._making: dict[str, asyncio.Future[str]] = {}
        self._waiting: dict[str, int] = {}

    def close(self) -> None:
        """Make no more sums."""
        self._waiting.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def header_for(self, request: Request, file: File) -> list[tuple[bytes, bytes]]:
        """`Repr-Digest` for a request that wants it (RFC 9530): the true SHA-256 of the file.

        Raises:
            ClientDisconnect: nobody waits for it any more.
        """
        wanted = request.headers.get("want-repr-digest")
        if wanted is None or not _WANTS_SHA256.search(wanted):
            return []
        if file.size > self._max_bytes:
            return []  # a preference may be ignored
        digest = b64encode(bytes.fromhex(await self.of(request, file)))
        return [(b"repr-digest", b"sha-256=:" + digest + b":")]

    async def of(self, request: Request, file: File) -> str:
        """The sum of a file, for as long as the client waits; without a client it is given up.

        Raises:
            ClientDisconnect: nobody waits for it any more.
        """
        if (known := self.known.find(file)) is not None:
            return known
        etag = file.etag
        self._waiting[etag] = self._waiting.get(etag, 0) + 1
        try:
            while True:
                making = self._making.get(etag) or self._begin(file)
                done, _ = await asyncio.wait({making}, timeout=_LOOK_SECONDS)
                # One that was given up just before this client came is begun again.
                if done and not isinstance(making.exception(), Cancelled):
                    return making.result()
                if await request.is_disconnected():
                    raise ClientDisconnect
        finally:
            self._waiting[etag] -= 1
            if not self._waiting[etag]:
                del self._waiting[etag]

    def _begin(self, file: File) -> asyncio.Future[str]:
        etag = file.etag
        making = asyncio.get_running_loop().run_in_executor(
            self._thread, self.known.sum_of, file, lambda: etag in self._waiting
        )
        self._making[etag] = making
        making.add_done_callback(lambda done: self._end(etag, done))
        return making

    def _end(self, etag: str, done: asyncio.Future[str]) -> None:
        self._making.pop(etag, None)
        if not done.cancelled():
            done.exception()  # which nobody may be left to hear of
