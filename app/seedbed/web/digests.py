"""True sums of files for those who ask: one pass of drawing each, shared by all who wait for it."""

from __future__ import annotations

import asyncio
import re
import time
from base64 import b64encode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from fastapi import Request
from starlette.requests import ClientDisconnect

from seedbed.files import File
from seedbed.hub import Hashes, Hashing
from seedbed.web.clients import client_of
from seedbed.web.problems import RequestProblem

_WANTS_SHA256 = re.compile(r"(?:^|,)[ \t]*sha-256[ \t]*=[ \t]*(?:[1-9]|10)[ \t]*(?:,|$)")

_LOOK_SECONDS = 0.5
"""How often to look whether a client is still there."""

_SLICE_SECONDS = 0.05
"""For which one sum is worked at before another's turn."""


class Digests:
    """SHA-256 sums, made in a thread of their own, by turns.

    The turns go around among the clients who wait, and of one client's files the one of which least
    is left is first. So a small file is summed soon whatever others wait for.

    Args:
        max_bytes: largest file whose sum a header may ask for.
        max_client_bytes: of all files whose sums one client may wait for at the same time, unless
            it is one file.
        retry_after_seconds: what a refusal says.
    """

    def __init__(self, max_bytes: int, max_client_bytes: int, retry_after_seconds: int) -> None:
        self.known = Hashes()
        self._max_bytes = max_bytes
        self._max_client_bytes = max_client_bytes
        self._retry_after_seconds = retry_after_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sum")
        self._jobs: dict[str, _Job] = {}
        self._turns: list[str] = []
        self._worker: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Make no more sums."""
        for job in self._jobs.values():
            job.is_wanted = False
        self._jobs.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def header_for(self, request: Request, file: File) -> list[tuple[bytes, bytes]]:
        """`Repr-Digest` for a request that wants it (RFC 9530): the true SHA-256 of the file.

        It is a preference: beyond the limits it is ignored.

        Raises:
            ClientDisconnect: nobody waits for it any more.
        """
        wanted = request.headers.get("want-repr-digest")
        if wanted is None or not _WANTS_SHA256.search(wanted):
            return []
        if file.size > self._max_bytes or not self._is_within_share(request, file):
            return []
        digest = b64encode(bytes.fromhex(await self.of(request, file)))
        return [(b"repr-digest", b"sha-256=:" + digest + b":")]

    async def of(self, request: Request, file: File) -> str:
        """The sum of a file, for as long as the client waits; without a client it is given up.

        Raises:
            ClientDisconnect: nobody waits for it any more.
            RequestProblem: 429, the client waits for the sums of more than it may.
        """
        if (known := self.known.find(file)) is not None:
            return known
        if not self._is_within_share(request, file):
            again = self._retry_after_seconds
            raise RequestProblem(
                429,
                "busy",
                f"You wait for the sums of {self._max_client_bytes:,} bytes already "
                f"(SEEDBED_MAX_CLIENT_HASH_BYTES). Try again in {again} seconds.",
                {"retry-after": str(again)},
            )
        client = client_of(request.scope)
        job = self._join(client, file)
        try:
            while not job.sum.done():
                await asyncio.wait({job.sum}, timeout=_LOOK_SECONDS)
                if not job.sum.done() and await request.is_disconnected():
                    raise ClientDisconnect
            return job.sum.result()
        finally:
            self._leave(client, job)

    def _is_within_share(self, request: Request, file: File) -> bool:
        """Whether a client may wait for this sum, or need not, since it is known."""
        if self.known.find(file) is not None:
            return True
        client = client_of(request.scope)
        waits = [
            job.hashing.file
            for job in self._jobs.values()
            if client in job.clients and job.hashing.file.etag != file.etag
        ]
        return not waits or sum(other.size for other in waits) + file.size <= self._max_client_bytes

    def _join(self, client: str, file: File) -> _Job:
        """The pass over a file, begun unless it is under way."""
        if (job := self._jobs.get(file.etag)) is None:
            job = self._jobs[file.etag] = _Job(Hashing(file))
        job.clients[client] += 1
        if client not in self._turns:
            self._turns.append(client)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return job

    def _leave(self, client: str, job: _Job) -> None:
        """One who waited does so no more. What nobody waits for is given up."""
        job.clients[client] -= 1
        if not job.clients[client]:
            del job.clients[client]
        if not job.clients:
            job.is_wanted = False
            if self._jobs.get(job.hashing.file.etag) is job:
                del self._jobs[job.hashing.file.etag]
        if not any(client in other.clients for other in self._jobs.values()):
            self._turns = [other for other in self._turns if other != client]

    async def _work(self) -> None:
        """Work at one sum after the other until nobody waits for any."""
        loop = asyncio.get_running_loop()
        while (job := self._next()) is not None:
            try:
                digest = await loop.run_in_executor(self._thread, job.advance)
            except Exception as error:  # noqa: BLE001  # for those who wait
                job.end(error)
            else:
                if digest is None:
                    continue
                self.known.keep(job.hashing.file, digest)
                job.end(digest)
            if self._jobs.get(job.hashing.file.etag) is job:
                del self._jobs[job.hashing.file.etag]

    def _next(self) -> _Job | None:
        """Whose turn it is."""
        for _ in range(len(self._turns)):
            self._turns.append(client := self._turns.pop(0))
            if own := [job for job in self._jobs.values() if client in job.clients]:
                return min(own, key=lambda job: job.hashing.left_bytes)
        return None


class _Job:
    """A sum on its way, and how often each client waits for it."""

    def __init__(self, hashing: Hashing) -> None:
        self.hashing = hashing
        self.clients: Counter[str] = Counter()
        self.sum: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.is_wanted = True

    def advance(self) -> str | None:
        """Work at it for a while; in a thread."""
        end = time.perf_counter() + _SLICE_SECONDS
        return self.hashing.advance(lambda: self.is_wanted and time.perf_counter() < end)

    def end(self, outcome: str | Exception) -> None:
        """Tell those who wait."""
        if self.sum.done():
            return
        if isinstance(outcome, str):
            self.sum.set_result(outcome)
        else:
            self.sum.set_exception(outcome)
            self.sum.exception()  # which nobody may be left to hear of
