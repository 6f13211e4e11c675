from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from seedbed.web.shared import Shared
from tests.processes import PATIENCE_SECONDS


class Work:
    """Work that is counted, and that ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.given_up = 0
        self.go_on = asyncio.Event()

    async def do(self) -> int:
        """What it comes to: how often it was begun."""
        self.begun += 1
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return self.begun


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test in a loop of its own, with a bound on a hang."""
    asyncio.run(asyncio.wait_for(test(), PATIENCE_SECONDS))


async def settle() -> None:
    """Let all tasks go as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_once_for_all_who_wait() -> None:
    """Work is begun by the first, and what it comes to is everybody's; then it may begin again."""

    async def test() -> None:
        shared, work = Shared[int](), Work()
        clients = [asyncio.create_task(shared.share("key", work.do)) for _ in range(5)]
        await settle()
        assert len(shared) == 1
        work.go_on.set()
        assert await asyncio.gather(*clients) == [1] * 5
        assert len(shared) == 0
        assert await shared.share("key", work.do) == 2

    run(test)


def test_it_ends_with_the_last_who_waits() -> None:
    """The first may leave, and others still get it; when all have left it is given up."""

    async def test() -> None:
        shared, work = Shared[int](), Work()
        first, second, third = (asyncio.create_task(shared.share("key", work.do)) for _ in range(3))
        await settle()
        first.cancel()
        second.cancel()
        await settle()
        assert (work.given_up, len(shared)) == (0, 1)
        third.cancel()
        late = asyncio.create_task(shared.share("key", work.do))
        await settle()
        assert (work.begun, work.given_up, len(shared)) == (2, 1, 1)
        work.go_on.set()
        assert await late == 2
        assert len(shared) == len(shared._waiting) == 0

    run(test)


def test_an_error_is_everybody_s() -> None:
    """All who wait are told what went wrong, and whoever comes later tries again."""

    async def test() -> None:
        shared = Shared[int]()

        async def fail() -> int:
            await asyncio.sleep(0)
            raise ValueError("no")

        clients = [shared.share("key", fail) for _ in range(3)]
        told = await asyncio.gather(*clients, return_exceptions=True)
        assert [str(error) for error in told] == ["no"] * 3
        with pytest.raises(ValueError, match="no"):
            await shared.share("key", fail)
        assert len(shared) == 0

    run(test)
