"""Comparisons on their way: how many at the same time, their progress, and their end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor

import threadpoolctl

from seedbed.compare import Cancelled, CompareResult, Comparison, Progress
from seedbed.web.problems import RequestProblem


class Comparisons:
    """Threads that compare, apart from those that draw for downloads; one for the process.

    Args:
        slots: comparisons at the same time; one more is refused, since it may take long.
        retry_after_seconds: what a refusal says.
    """

    def __init__(self, slots: int, retry_after_seconds: int) -> None:
        self._slots = slots
        self._retry_after_seconds = retry_after_seconds
        self._pool = ThreadPoolExecutor(
            slots, thread_name_prefix="compare", initializer=_one_thread_each
        )
        self.active = 0

    def close(self) -> None:
        """Begin no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def reserve(self) -> None:
        """Take a slot, to be used by `begin` or given back by `forgo`.

        Raises:
            RequestProblem: 429 with Retry-After: there are as many as there may be.
        """
        if self.active >= self._slots:
            raise RequestProblem(
                429,
                "busy",
                f"The service is making {self.active} comparisons, as many as it may "
                f"(SEEDBED_MAX_COMPARISONS). Try again in {self._retry_after_seconds} seconds.",
                {"retry-after": str(self._retry_after_seconds)},
            )
        self.active += 1

    def forgo(self) -> None:
        """Give back a slot that was reserved."""
        self.active -= 1

    def begin(self, make: Callable[[], Comparison]) -> Running:
        """Plan and run a comparison in the slot that was reserved for it."""
        return Running(self._pool, make, self.forgo)


class Running:
    """One comparison on its way.

    It holds its slot until its thread has ended, which is soon after `stop`, but not at once.
    """

    def __init__(
        self, pool: ThreadPoolExecutor, make: Callable[[], Comparison], ended: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._stopped = threading.Event()
        self._told: asyncio.Queue[Progress | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._ended = ended
        self._comparison = self._loop.run_in_executor(pool, make)
        self._result: asyncio.Future[CompareResult] | None = None
        self._comparison.add_done_callback(self._planned)

    def stop(self) -> None:
        """Nobody waits any more."""
        self._stopped.set()

    async def planned(self) -> Comparison:
        """The comparison, once it is sure that it can be made.

        Raises:
            SpecError: it cannot be made.
            LimitError: it may not.
        """
        return await asyncio.shield(self._comparison)

    async def result(self) -> CompareResult:
        """The answer."""
        await self.planned()
        assert self._result is not None  # noqa: S101 (set when it was planned)
        return await asyncio.shield(self._result)

    async def progress(self) -> AsyncGenerator[Progress]:
        """How far it is, as often as that changes, until the answer is there."""
        while (step := await self._told.get()) is not None:
            yield step

    def _planned(self, planned: asyncio.Future[Comparison]) -> None:
        if planned.cancelled() or planned.exception() is not None or self._stopped.is_set():
            self._told.put_nowait(None)
            self._ended()
            return
        comparison = planned.result()
        total = comparison.steps

        def tell(done: int, label: str) -> None:
            step = Progress(done=done, total=total, label=label)
            self._loop.call_soon_threadsafe(self._told.put_nowait, step)

        self._told.put_nowait(Progress(done=0, total=total))
        self._result = self._loop.run_in_executor(
            self._pool, comparison.run, tell, self._raise_if_stopped
        )
        self._result.add_done_callback(self._finished)

    def _finished(self, result: asyncio.Future[CompareResult]) -> None:
        if not result.cancelled():
            result.exception()  # seen here, if by nobody else: a comparison may be left alone
        self._told.put_nowait(None)
        self._ended()

    def _raise_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise Cancelled


def _one_thread_each() -> None:
    """BLAS' own threads would spin on cores that draw for others: five times slower when busy."""
    threadpoolctl.threadpool_limits(1, "blas")
