"""A virtual file as an HTTP response: whole, in ranges, or only its headers.

Chunks are made ahead by worker threads, a few for each download, and sent in order as the client
takes them. A client that leaves stops the work at once; an error after the first header breaks the
connection, so that a cut body never looks whole.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from seedbed.errors import EngineError
from seedbed.files import VirtualFile, split
from seedbed.web.admission import Admission
from seedbed.web.problems import problem
from seedbed.web.ranges import content_range, select

CACHE_CONTROL = "public, max-age=31536000, immutable"
MEDIA_TYPE = "application/octet-stream"

INLINE_BYTES = 1 << 16
"""Ranges up to this size are drawn where they are sent: a thread switch would cost more."""

Piece = bytes | tuple[int, int]


class Streamer:
    """Makes chunks in worker threads and sends them; one for the process.

    Args:
        threads: how many draw at the same time.
        chunk_bytes: drawn by one thread at a time.
        chunks_ahead: made for each download before the client takes them.
        admission: how many downloads are sent at the same time.
    """

    def __init__(
        self, threads: int, chunk_bytes: int, chunks_ahead: int, admission: Admission
    ) -> None:
        self.admission = admission
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="draw")
        self._chunk_bytes = chunk_bytes
        self._chunks_ahead = chunks_ahead

    def close(self) -> None:
        """Stop the threads; chunks not begun are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def chunks(
        self, file: VirtualFile, pieces: Iterable[Piece]
    ) -> AsyncGenerator[bytes | bytearray]:
        """The pieces' bytes in order, ranges in chunks.

        Threads take chunks in the order they were asked for, and each download has asked for only
        a few, so all downloads share the threads evenly.
        """
        loop = asyncio.get_running_loop()
        todo = self._parts(pieces)
        ahead: deque[asyncio.Future[bytearray] | bytes | bytearray] = deque()
        try:
            while True:
                while len(ahead) < self._chunks_ahead and (part := next(todo, None)) is not None:
                    if isinstance(part, bytes):
                        ahead.append(part)
                    elif part[1] - part[0] <= INLINE_BYTES:
                        ahead.append(file.read(*part))
                    else:
                        ahead.append(loop.run_in_executor(self._pool, file.read, *part))
                if not ahead:
                    return
                chunk = ahead.popleft()
                yield await chunk if isinstance(chunk, asyncio.Future) else chunk
        finally:
            for chunk in ahead:
                if isinstance(chunk, asyncio.Future):
                    chunk.cancel()

    def _parts(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Pieces with their ranges split into chunks."""
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from split(*piece, self._chunk_bytes)


class VirtualFileResponse(Response):
    """The answer to a request for a virtual file.

    Evaluates conditions and ranges for GET and HEAD; a POST has neither and gets the file.
    """

    def __init__(
        self,
        request: Request,
        file: VirtualFile,
        streamer: Streamer,
        *,
        download_name: str,
        max_ranges: int,
        location: str | None = None,
    ) -> None:
        self.background = None
        self._file = file
        self._streamer = streamer
        self._method = request.method
        self._pieces: tuple[Piece, ...] = ((0, file.size),)
        self._problem: Response | None = None
        self.status_code = 200
        headers = {
            "etag": f'"{file.etag}"',
            "accept-ranges": "bytes",
            "content-type": MEDIA_TYPE,
            "content-disposition": f'attachment; filename="{download_name}"',
            "x-content-type-options": "nosniff",
        }
        if location is not None:
            headers["content-location"] = location
        if request.method in ("GET", "HEAD"):
            headers["cache-control"] = CACHE_CONTROL
            self._apply(headers, *_answer(request, file, max_ranges))
        length = sum(len(p) if isinstance(p, bytes) else p[1] - p[0] for p in self._pieces)
        if self.status_code in (200, 206):
            headers["content-length"] = str(length)
        self.init_headers(headers)

    def _apply(
        self, headers: dict[str, str], status: int, ranges: tuple[tuple[int, int], ...]
    ) -> None:
        """Turn what was selected into status, headers and pieces."""
        size = self._file.size
        self.status_code = status
        self._pieces = ranges
        if status == 206 and len(ranges) == 1:
            headers["content-range"] = content_range(*ranges[0], size)
        elif status == 206:
            boundary = f"seedbed-{self._file.etag}"
            self._pieces = tuple(_multipart(ranges, size, boundary))
            headers["content-type"] = f"multipart/byteranges; boundary={boundary}"
        elif status == 304:
            for name in ("content-type", "content-disposition"):
                del headers[name]
        elif status == 412:
            self._problem = problem(
                412, "precondition-failed", "Precondition Failed",
                f'The file\'s ETag is "{self._file.etag}", which If-Match does not name.',
                headers={"etag": headers["etag"]},
            )  # fmt: skip
        elif status == 416:
            self._problem = problem(
                416, "range-not-satisfiable", "Range Not Satisfiable",
                f"The range lies past the end of the file, which has {size} bytes.",
                headers={"content-range": f"bytes */{size}", "accept-ranges": "bytes"},
            )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if self._problem is not None:
            await self._problem(scope, receive, send)
            return
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        if self._method == "HEAD" or not self._pieces:
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        async with _cancelled_on_disconnect(receive), self._streamer.admission.slot():
            await send(start)
            async with contextlib.aclosing(
                self._streamer.chunks(self._file, self._pieces)
            ) as chunks:
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def _answer(
    request: Request, file: VirtualFile, max_ranges: int
) -> tuple[int, tuple[tuple[int, int], ...]]:
    selection = select(request.method, request.headers, file.size, file.etag, max_ranges)
    return selection.status, selection.ranges


def _multipart(ranges: Iterable[tuple[int, int]], size: int, boundary: str) -> Iterator[Piece]:
    """Several ranges as one body (RFC 9110 §14.6)."""
    lead = ""
    for start, stop in ranges:
        yield (
            f"{lead}--{boundary}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-range: {content_range(start, stop, size)}\r\n\r\n"
        ).encode()
        yield (start, stop)
        lead = "\r\n"
    yield f"\r\n--{boundary}--\r\n".encode()


@contextlib.asynccontextmanager
async def _cancelled_on_disconnect(receive: Receive) -> AsyncIterator[None]:
    """Leave the body as soon as the client does.

    The request's body has been read by now, so the next message can only be the disconnect.
    """
    body = asyncio.current_task()
    if body is None:
        raise EngineError("a response is sent outside of any task")
    gone = finished = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        if not finished:
            gone = True
            body.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone or body.uncancel() > 0:
            raise
    finally:
        finished = True
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher
