"""How many downloads are sent at the same time, and who waits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from seedbed.web.problems import RequestProblem


class Admission:
    """A number of slots, and a queue of limited length and patience before them.

    Refusals are 429 and not 503: Hub clients wait and retry after 429, but give up at once on 503.
    """

    def __init__(
        self, slots: int, queue: int, patience_seconds: float, retry_after_seconds: int
    ) -> None:
        self._slots = asyncio.Semaphore(slots)
        self.slots = slots
        self._queue = queue
        self._patience_seconds = patience_seconds
        self._retry_after_seconds = retry_after_seconds
        self.waiting = 0
        self.active = 0
        self.on_change: Callable[[], None] = lambda: None
        """Called when one of those has changed."""
        self.on_wait: Callable[[float], None] = lambda _: None
        """Told how many seconds a download has waited for its slot, in vain or not."""

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot, after waiting for one if need be.

        Raises:
            RequestProblem: 429 with Retry-After: the queue is full, or patience has run out.
        """
        await self._enter()
        self.active += 1
        self.on_change()
        try:
            yield
        finally:
            self.active -= 1
            self._slots.release()
            self.on_change()

    async def _enter(self) -> None:
        if not self._slots.locked():
            await self._slots.acquire()
            return
        if self.waiting >= self._queue:
            raise self._refusal(f"{self.waiting} downloads are waiting already")
        self.waiting += 1
        self.on_change()
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise self._refusal(
                f"no download ended within {self._patience_seconds:g} seconds"
            ) from error
        finally:
            self.waiting -= 1
            self.on_change()
            self.on_wait(time.perf_counter() - began)

    def _refusal(self, why: str) -> RequestProblem:
        return RequestProblem(
            429,
            "busy",
            f"The service is sending as many downloads as it may, and {why}. Try again in "
            f"{self._retry_after_seconds} seconds.",
            {"retry-after": str(self._retry_after_seconds)},
        )
