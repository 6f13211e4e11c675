"""A file as an HTTP response: whole, in ranges, or only its headers.

A client that leaves stops the work at once; an error after the first header breaks the
connection, so that a cut body never looks whole.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import lru_cache

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from seedbed.errors import EngineError
from seedbed.files import File
from seedbed.web.clients import client_of
from seedbed.web.problems import problem
from seedbed.web.ranges import Selection, conditions, content_range, select
from seedbed.web.streaming import Piece, Streamer

CACHE_CONTROL = "public, max-age=31536000, immutable"
MEDIA_TYPE = "application/octet-stream"
_MEDIA_TYPES = {
    "json": "application/json",
    "md": "text/markdown; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}


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
        self._only_headers = request.method == "HEAD"
        self._selection = Selection(200, ((0, file.size),))
        self.raw_headers = [*_describing(file.etag, download_name), *headers]
        if location is not None:
            self.headers["content-location"] = location
        if request.method in ("GET", "HEAD"):
            self.headers["accept-ranges"] = "bytes"
            self.headers["cache-control"] = cache_control
            self._selection = self._select(request, max_ranges)
        self.status_code = self._selection.status

    def _select(self, request: Request, max_ranges: int) -> Selection:
        """What conditions and ranges leave of the file."""
        wanted = conditions(request.scope["headers"])
        if not wanted:
            return self._selection
        return select(request.method, wanted, self._file.size, self._file.etag, max_ranges)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as conditions and ranges ask."""
        match self._selection:
            case Selection(412):
                await self._precondition_failed()(scope, receive, send)
            case Selection(416):
                await self._range_not_satisfiable()(scope, receive, send)
            case Selection(304):
                await self._send_not_modified(send)
            case Selection(206, (only,)):
                self.headers["content-range"] = content_range(*only, self._file.size)
                await self._send_body((only,), scope, receive, send)
            case Selection(206, ranges):
                await self._send_multipart(ranges, scope, receive, send)
            case Selection(_, ranges):
                await self._send_body(ranges, scope, receive, send)

    def _precondition_failed(self) -> Response:
        return problem(
            412, "precondition-failed", "Precondition Failed",
            f'The file\'s ETag is "{self._file.etag}", which If-Match does not name.',
            headers={"etag": f'"{self._file.etag}"'},
        )  # fmt: skip

    def _range_not_satisfiable(self) -> Response:
        size = self._file.size
        return problem(
            416, "range-not-satisfiable", "Range Not Satisfiable",
            f"The range lies past the end of the file, which has {size} bytes.",
            headers={"content-range": f"bytes */{size}", "accept-ranges": "bytes"},
        )  # fmt: skip

    async def _send_not_modified(self, send: Send) -> None:
        del self.headers["content-type"], self.headers["content-disposition"]
        await self._send_start(send)
        await send({"type": "http.response.body", "body": b""})

    async def _send_multipart(
        self, ranges: Iterable[tuple[int, int]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Several ranges as one body (RFC 9110 §14.6)."""
        boundary = f"seedbed-{self._file.etag}"
        media_type = media_type_of(self._file.name)
        pieces = tuple(_multipart(ranges, self._file.size, boundary, media_type))
        self.headers["content-type"] = f"multipart/byteranges; boundary={boundary}"
        await self._send_body(pieces, scope, receive, send)

    async def _send_body(
        self, pieces: Sequence[Piece], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Pieces: none of them for HEAD, a short range at once, others when there is a slot."""
        length = sum(len(p) if isinstance(p, bytes) else p[1] - p[0] for p in pieces)
        self.headers["content-length"] = str(length)
        body = b"" if self._only_headers else self._streamer.small(self._file, pieces)
        if body is not None:
            await self._send_start(send)
            await send({"type": "http.response.body", "body": body})
            return
        admitted = self._streamer.admission.slot(client_of(scope))
        async with _cancelled_on_disconnect(receive), admitted:
            async with contextlib.aclosing(self._streamer.chunks(self._file, pieces)) as chunks:
                first = await anext(chunks)  # what fails in it is still answered by an error
                await self._send_start(send)
                await send({"type": "http.response.body", "body": first, "more_body": True})
                del first  # its buffer is wanted again
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async def _send_start(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )


def _multipart(
    ranges: Iterable[tuple[int, int]], size: int, boundary: str, media_type: str
) -> Iterator[Piece]:
    """The ranges, and between them the lines that say which each is."""
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
