"""A file as an HTTP response: whole, in ranges, or only its headers.

A client that leaves stops the work at once; an error after the first header breaks the
connection, so that a cut body never looks whole.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import lru_cache

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from seedbed.errors import EngineError
from seedbed.files import File
from seedbed.web.clients import client_of
from seedbed.web.problems import problem
from seedbed.web.ranges import conditions, content_range, select
from seedbed.web.streaming import Piece, Streamer

CACHE_CONTROL = "public, max-age=31536000, immutable"
MEDIA_TYPE = "application/octet-stream"
_MEDIA_TYPES = {
    "json": "application/json",
    "md": "text/markdown; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}

_FOR_GET = (b"accept-ranges", b"bytes")


def media_type_of(name: str) -> str:
    """The media type of a file of this name."""
    return _MEDIA_TYPES.get(name.rpartition(".")[2], MEDIA_TYPE)


@lru_cache(maxsize=4096)
def _describing(etag: str, download_name: str) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that say what the file is."""
    media_type = media_type_of(download_name)
    return (
        (b"etag", f'"{etag}"'.encode()),
        (b"content-type", media_type.encode()),
        (b"content-disposition", f'attachment; filename="{download_name}"'.encode("latin-1")),
        (b"x-content-type-options", b"nosniff"),
    )


class FileResponse(Response):
    """The answer to a request for a file of a checkpoint.

    Evaluates conditions and ranges for GET and HEAD; a POST has neither and gets the file.
    """

    def __init__(
        self,
        request: Request,
        file: File,
        streamer: Streamer,
        *,
        download_name: str,
        max_ranges: int,
        location: str | None = None,
        cache_control: str = CACHE_CONTROL,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        self.background = None
        self._file = file
        self._streamer = streamer
        self._method = request.method
        self._pieces: tuple[Piece, ...] = ((0, file.size),)
        self._problem: Response | None = None
        self.status_code = 200
        self.raw_headers = [*_describing(file.etag, download_name), *headers]
        if location is not None:
            self._say("content-location", location)
        if request.method in ("GET", "HEAD"):
            self.raw_headers += (_FOR_GET, (b"cache-control", cache_control.encode()))
            given = conditions(request.scope["headers"])
            if given:
                selection = select(request.method, given, file.size, file.etag, max_ranges)
                self._apply(selection.status, selection.ranges)
        length = sum(len(p) if isinstance(p, bytes) else p[1] - p[0] for p in self._pieces)
        if self.status_code in (200, 206):
            self._say("content-length", str(length))

    def _say(self, name: str, value: str) -> None:
        """Add a header."""
        self.raw_headers.append((name.encode("latin-1"), value.encode("latin-1")))

    def _drop(self, *names: bytes) -> None:
        """Take headers back."""
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name not in names]

    def _apply(self, status: int, ranges: tuple[tuple[int, int], ...]) -> None:
        """Turn what was selected into status, headers and pieces."""
        size = self._file.size
        self.status_code = status
        self._pieces = ranges
        if status == 206 and len(ranges) == 1:
            self._say("content-range", content_range(*ranges[0], size))
        elif status == 206:
            boundary = f"seedbed-{self._file.etag}"
            media_type = media_type_of(self._file.name)
            self._pieces = tuple(_multipart(ranges, size, boundary, media_type))
            self._drop(b"content-type")
            self._say("content-type", f"multipart/byteranges; boundary={boundary}")
        elif status == 304:
            self._drop(b"content-type", b"content-disposition")
        elif status == 412:
            self._problem = problem(
                412, "precondition-failed", "Precondition Failed",
                f'The file\'s ETag is "{self._file.etag}", which If-Match does not name.',
                headers={"etag": f'"{self._file.etag}"'},
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
        if (body := self._streamer.small(self._file, self._pieces)) is not None:
            await send(start)
            await send({"type": "http.response.body", "body": body})
            return
        admitted = self._streamer.admission.slot(client_of(scope))
        async with _cancelled_on_disconnect(receive), admitted:
            async with contextlib.aclosing(
                self._streamer.chunks(self._file, self._pieces)
            ) as chunks:
                first = await anext(chunks)  # what fails in it is still answered by an error
                await send(start)
                await send({"type": "http.response.body", "body": first, "more_body": True})
                del first  # its buffer is wanted again
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def _multipart(
    ranges: Iterable[tuple[int, int]], size: int, boundary: str, media_type: str
) -> Iterator[Piece]:
    """Several ranges as one body (RFC 9110 §14.6)."""
    lead = ""
    for start, stop in ranges:
        yield (
            f"{lead}--{boundary}\r\ncontent-type: {media_type}\r\n"
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
