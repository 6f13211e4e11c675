"""Chunks of files, made ahead by worker threads and handed over in order.

Each download has asked for only a few chunks at a time, and threads take chunks in the order they
were asked for, so all share the threads evenly. How many it asks for follows the client: more
while they are not made in time, none ahead for a client that takes long. So a slow reader holds two
chunks of memory, the one that is on its way and the next, and no core. Buffers are used again,
since fresh memory costs a page fault for every 4 KB of it, nearly as much as drawing.

Matrices that are made as a whole are made by threads of their own. A chunk is drawn when those that
it is taken from are there, and nobody makes them any further when the last client has left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from seedbed.errors import BusyError
from seedbed.files import File, split
from seedbed.init import Lease
from seedbed.web.admission import Admission

INLINE_BYTES = 1 << 16
"""Ranges up to this size are drawn where they are sent: a thread switch would cost more."""

_SLOW_SECONDS = 0.05
"""A client that takes longer for a chunk would not notice that the next is still to be drawn."""

_SYSTEM_BYTES = 1 << 22
"""What the system's own buffers may take of an answer at once, whatever the client does."""

_WHOLE_THREADS = 2
"""Threads for chunks of tensors that are made as a whole, of which many may be in one chunk."""

Piece = bytes | tuple[int, int]
"""A part of a body: bytes as they are, or a half-open range of the file."""

Chunk = bytes | bytearray | memoryview


class Buffers:
    """Buffers of one size that are used again as soon as nobody looks at them.

    A chunk on its way out is held by the transport, as a view, for as long as it needs. So nobody
    gives a buffer back: it is free when it has no views.
    """

    def __init__(self, size_bytes: int, spare: int) -> None:
        self._size_bytes = size_bytes
        self._lent: deque[bytearray] = deque(maxlen=spare)

    def take(self) -> memoryview:
        """A buffer that nobody else uses, as a view, which keeps it taken."""
        for _ in range(len(self._lent)):
            buffer = self._lent.popleft()
            if _is_free(buffer):
                break
            self._lent.append(buffer)
        else:
            buffer = bytearray(self._size_bytes)
        self._lent.append(buffer)
        return memoryview(buffer)


def _is_free(buffer: bytearray) -> bool:
    """Whether there is no view of a buffer: only then does Python let it change its size."""
    try:
        buffer.append(0)
    except BufferError:
        return False
    buffer.pop()
    return True


class Streamer:
    """Makes chunks in worker threads; one for the process.

    Args:
        threads: how many draw at the same time.
        chunk_bytes: drawn by one thread at a time.
        chunks_ahead: made, at most, for each download before the client takes them.
        admission: how many downloads are sent at the same time.
    """

    def __init__(
        self, threads: int, chunk_bytes: int, chunks_ahead: int, admission: Admission
    ) -> None:
        self.admission = admission
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="draw")
        self._whole_pool = ThreadPoolExecutor(_WHOLE_THREADS, thread_name_prefix="whole")
        self._chunk_bytes = chunk_bytes
        self._chunks_ahead = chunks_ahead
        self._buffers = Buffers(chunk_bytes, spare=4 * chunks_ahead)

    def close(self) -> None:
        """Stop the threads; chunks not begun are dropped."""
        for pool in (self._pool, self._whole_pool):
            pool.shutdown(wait=False, cancel_futures=True)

    def small(self, file: File, pieces: Sequence[Piece]) -> Chunk | None:
        """The whole body of one short range, drawn at once, or None if it is not that.

        It takes less time than a place in the queue would.
        """
        if len(pieces) != 1 or isinstance(piece := pieces[0], bytes):
            return None
        start, stop = piece
        return file.read(start, stop) if _is_quick(file, start, stop) else None

    async def chunks(self, file: File, pieces: Iterable[Piece]) -> AsyncGenerator[Chunk]:
        """The pieces' bytes in order, ranges in chunks.

        A chunk may be overwritten once nobody holds it any more.

        Raises:
            BusyError: there is no room for a matrix that the first chunk is taken from. Later ones
                wait for it.
        """
        loop = asyncio.get_running_loop()
        todo = self._parts(pieces)
        ahead: deque[asyncio.Future[memoryview] | Chunk] = deque()
        depth = -_SYSTEM_BYTES // self._chunk_bytes
        begun = False
        try:
            while True:
                while len(ahead) <= max(depth, 0) and (part := next(todo, None)) is not None:
                    ahead.append(self._begin(file, part, patient=begun))
                    begun = begun or not isinstance(part, bytes)
                if not ahead:
                    return
                chunk = ahead.popleft()
                if isinstance(chunk, asyncio.Future):
                    chunk = await chunk
                else:  # nothing else waits, and the loop is not only for this download
                    await asyncio.sleep(0)
                began = loop.time()
                yield chunk
                del chunk
                if loop.time() - began > _SLOW_SECONDS:
                    depth = 0
                elif depth <= 0 or not all(map(_is_made, ahead)):
                    depth = min(depth + 1, self._chunks_ahead - 1)
        finally:
            for rest in ahead:
                if isinstance(rest, asyncio.Future):
                    rest.cancel()

    def _begin(
        self, file: File, piece: Piece, *, patient: bool
    ) -> asyncio.Future[memoryview] | Chunk:
        """A chunk that is there already, or will be.

        Args:
            file: that it is a part of.
            piece: which part.
            patient: whether a matrix waits for room to be made; else there is none.
        """
        if isinstance(piece, bytes):
            return piece
        start, stop = piece
        if _is_quick(file, start, stop):
            return file.read(start, stop)
        room = self._buffers.take()[: stop - start]
        loop = asyncio.get_running_loop()
        if file.is_direct(start, stop):
            return loop.run_in_executor(self._pool, _draw, file, start, room)
        leases = _lease(file, start, stop, patient=patient)
        drawing = loop.create_task(self._draw_from(leases, file, start, room, patient=patient))
        drawing.add_done_callback(lambda _: _end(leases))  # even if it never began
        return drawing

    async def _draw_from(
        self, leases: list[Lease], file: File, start: int, room: memoryview, *, patient: bool
    ) -> memoryview:
        """A chunk whose matrices are made first, so that no thread that draws waits for them."""
        while True:
            try:
                leases += leases or file.lease(start, start + len(room))
                for lease in leases:
                    await asyncio.wrap_future(lease.made)
                break
            except BusyError as busy:
                if not patient:
                    raise
                _end(leases)
                await asyncio.sleep(busy.retry_seconds)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._whole_pool, _draw, file, start, room)

    def _parts(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Pieces with their ranges split into chunks."""
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from split(*piece, self._chunk_bytes)


def _is_made(chunk: asyncio.Future[memoryview] | Chunk) -> bool:
    return not isinstance(chunk, asyncio.Future) or chunk.done()


def _is_quick(file: File, start: int, stop: int) -> bool:
    return stop - start <= INLINE_BYTES and file.is_direct(start, stop)


def _lease(file: File, start: int, stop: int, *, patient: bool) -> list[Lease]:
    """Leases of the matrices that a range needs; none yet if it is to wait for room."""
    try:
        return file.lease(start, stop)
    except BusyError:
        if not patient:
            raise
        return []


def _end(leases: list[Lease]) -> None:
    while leases:
        leases.pop().end()


def _draw(file: File, start: int, room: memoryview) -> memoryview:
    file.read_into(start, room)
    return room
