from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, Future
from contextlib import aclosing
from typing import Any

import pytest

from seedbed.web.admission import Admission
from seedbed.web.streaming import INLINE_BYTES, Buffers, Piece, Streamer
from tests.processes import PATIENCE_SECONDS, wait_until
from tests.web.local import MIB

AHEAD = 4


class Gated:
    """A file of bytes that say their chunk, which are made only as often as a gate is opened."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.made: list[int] = []
        self.gate = threading.Semaphore(0)

    def is_direct(self, start: int, stop: int) -> bool:
        """A streamer asks this of each chunk when it begins it."""
        if stop - start > INLINE_BYTES:
            self.asked.append(start // MIB)
        return True

    def read(self, start: int, stop: int) -> bytes:
        """What is short is there at once."""
        return bytes([start // MIB % 256]) * (stop - start)

    def read_into(self, start: int, room: memoryview) -> None:
        """A chunk."""
        assert self.gate.acquire(timeout=PATIENCE_SECONDS)
        self.made.append(start // MIB)
        room[:] = self.read(start, start + len(room))


class AtOnce(Executor):
    """Does what it is given before it answers."""

    def submit(self, work: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        """As threads do that are always in time."""
        done: Future[Any] = Future()
        done.set_result(work(*arguments, **named))
        return done


@pytest.fixture
def streamer() -> Iterator[Streamer]:
    """One thread, chunks of a MiB."""
    made = Streamer(1, MIB, AHEAD, Admission(1, 1, 1.0, 1))
    yield made
    made.close()


class Client:
    """Takes the chunks of a file, by a clock that only it moves, and sees how many are made ahead.

    A machine that is busy is no slow client, since none of its time counts.
    """

    def __init__(self, streamer: Streamer, file: Gated, *pieces: Piece) -> None:
        self._now = 0.0
        asyncio.get_running_loop().time = lambda: self._now  # type: ignore[method-assign]
        self._file = file
        self._chunks = streamer.chunks(file, pieces)  # type: ignore[arg-type]
        self._taken = 0

    async def take(self, count: int, *, after_seconds: float = 0.0) -> list[int]:
        """How many chunks are begun beyond each of the next ones, the gate being opened for it."""
        ahead = []
        for _ in range(count):
            self._now += after_seconds
            asyncio.get_running_loop().call_soon(self._file.gate.release)
            chunk = await anext(self._chunks)
            assert bytes(chunk) == bytes([self._taken]) * len(chunk)
            self._taken += 1
            del chunk
            await asyncio.sleep(0)  # what was made at once is known to be
            ahead.append(len(self._file.asked) - self._taken)
        return ahead

    async def leave(self) -> None:
        """As a client does."""
        await self._chunks.aclose()
        for _ in range(2):
            await asyncio.sleep(0)  # threads are told of what is cancelled by the loop's next turn


WHOLE = (0, 100 * MIB)


def test_more_is_made_ahead_while_it_is_not_made_in_time(streamer: Streamer) -> None:
    """Nothing at first, what the system may have buffered, then a chunk more each time."""

    async def work() -> None:
        client = Client(streamer, Gated(), WHOLE)
        assert await client.take(10) == [0, 0, 0, 0, 0, 1, 2, 3, 3, 3]
        await client.leave()

    asyncio.run(work())


def test_one_is_made_ahead_while_it_is_in_time(streamer: Streamer) -> None:
    """A client that is no faster than the threads has the next chunk ready, and no more."""

    async def work() -> None:
        streamer._pool.shutdown()
        streamer._pool = AtOnce()  # type: ignore[assignment]
        file = Gated()
        file.gate.release(WHOLE[1] // MIB)
        client = Client(streamer, file, WHOLE)
        assert await client.take(10) == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
        await client.leave()

    asyncio.run(work())


def test_nothing_is_made_ahead_of_a_slow_client(streamer: Streamer) -> None:
    """Who takes long for a chunk holds no others, until it is quick again."""

    async def work() -> None:
        client = Client(streamer, Gated(), WHOLE)
        await client.take(9)
        assert await client.take(6, after_seconds=0.06) == [2, 1, 0, 0, 0, 0]
        assert await client.take(4, after_seconds=0.04) == [1, 2, 3, 3]
        await client.leave()

    asyncio.run(work())


def test_a_client_that_leaves_has_nothing_more_made(streamer: Streamer) -> None:
    """Chunks that were asked for and not begun are never drawn."""

    async def work() -> Gated:
        file = Gated()
        client = Client(streamer, file, WHOLE)
        await client.take(9)
        await client.leave()
        file.gate.release(AHEAD)
        return file

    file = asyncio.run(work())
    streamer._pool.shutdown(wait=True)
    assert len(file.asked) == 12
    assert file.made in (file.asked[:9], file.asked[:10])  # one may have begun


def test_pieces_come_in_order(streamer: Streamer) -> None:
    """Text between ranges, short ranges and long ones, each split into chunks, none held up."""
    file = Gated()
    file.gate.release(10)
    pieces = [b"--x", (0, 7), b"--y", (MIB, 3 * MIB + 5), (3 * MIB, 3 * MIB + INLINE_BYTES + 1)]

    async def work() -> list[bytes]:
        async with aclosing(streamer.chunks(file, pieces)) as chunks:  # type: ignore[arg-type]
            return [bytes(chunk) async for chunk in _checked(chunks)]

    assert asyncio.run(work()) == [
        b"--x", bytes(7), b"--y", b"\1" * MIB, b"\2" * MIB, b"\3" * 5, b"\3" * (INLINE_BYTES + 1),
    ]  # fmt: skip
    assert file.made == [1, 2, 3]


async def _checked(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The same, if a chunk that is held is not written to for the next."""
    async for chunk in chunks:
        before = bytes(chunk)
        yield chunk
        assert bytes(chunk) == before


def test_short_bodies_are_drawn_where_they_are_sent(streamer: Streamer) -> None:
    """One range up to a size is there at once; longer ones, several and text are not."""
    file: Any = Gated()
    assert streamer.small(file, [(0, INLINE_BYTES)]) == bytes(INLINE_BYTES)
    assert streamer.small(file, [(0, INLINE_BYTES + 1)]) is None
    assert streamer.small(file, [(0, 1), (2, 3)]) is None
    assert streamer.small(file, [b"text"]) is None
    assert streamer.small(file, []) is None


def test_buffers_are_used_again_when_nobody_looks_at_them() -> None:
    """A buffer is lent to one at a time, and of any number only so many are kept."""
    buffers = Buffers(10, spare=3)
    first, second = buffers.take(), buffers.take()
    assert first.obj is not second.obj
    free = id(first.obj)
    first.release()
    third, fourth = buffers.take(), buffers.take()
    assert id(third.obj) == free
    assert {len(one) for one in (second, third, fourth)} == {10}
    lent = [second, third, fourth, *(buffers.take() for _ in range(5))]
    assert len({id(one.obj) for one in lent}) == 8
    assert len(buffers._lent) == 3


def test_a_thread_is_not_held_by_a_reader(streamer: Streamer) -> None:
    """While one client has taken nothing yet, the only thread makes all of another's chunks."""

    async def work() -> None:
        file = Gated()
        file.gate.release(6)
        stalled = streamer.chunks(file, [WHOLE])  # type: ignore[arg-type]
        assert bytes(await anext(stalled))[:1] == b"\0"
        async with aclosing(streamer.chunks(file, [(0, 5 * MIB)])) as chunks:  # type: ignore[arg-type]
            assert len([chunk async for chunk in chunks]) == 5
        await stalled.aclose()
        wait_until(lambda: len(file.made) == 6, "all to be made")

    asyncio.run(work())
