"""Matrices that are made as a whole: each once for all who want it, within a bound of memory.

Range reads of one tensor come in chunks, and each would make the matrix again. So matrices are
kept, and those used least recently go first. They are made in threads of their own, a few at a
time, and only for as long as somebody holds a lease of them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import BusyError
from seedbed.memory import MemoryBudget

Matrix = NDArray[np.float32]
Check = Callable[[], None]
"""Raises if a matrix is not wanted any more."""

AT_ONCE = 2
"""Matrices made at the same time."""

_SMALL_BYTES = 1 << 20
"""What a square matrix of some 200 rows takes, and a few milliseconds."""

_LOOK_SECONDS = 0.05
"""How often one that waits for memory looks whether it is still wanted."""


class Job(NamedTuple):
    """A matrix that can be made.

    Attributes:
        key: tells it from all others.
        working_bytes: memory that it takes while it is made, its own included.
        make: makes it; calls what it is given every now and then.
    """

    key: Hashable
    working_bytes: int
    make: Callable[[Check], Matrix]

    @property
    def is_small(self) -> bool:
        """Whether it is made sooner than it is waited for: where it is read, and not kept."""
        return self.working_bytes < _SMALL_BYTES


class _UnwantedError(Exception):
    """Nobody waits for the matrix any more."""


@dataclass(eq=False, slots=True)
class _Entry:
    """A matrix that is wanted, being made, or there."""

    job: Job
    made: Future[Matrix] = field(default_factory=Future)
    leases: int = 0
    held_bytes: int = 0

    def check(self) -> None:
        """Raise if nobody wants it."""
        if not self.leases:
            raise _UnwantedError


class Lease:
    """A claim on a matrix: it is made, and stays, until the last lease of it ends.

    Attributes:
        made: has the matrix, or what went wrong.
    """

    def __init__(self, made: Future[Matrix], end: Callable[[], None]) -> None:
        self.made = made
        self._end: Callable[[], None] | None = end

    def end(self) -> None:
        """Give it up; once is enough."""
        end, self._end = self._end, None
        if end is not None:
            end()


class MatrixCache:
    """Whole matrices: those that are wanted, and those made lately.

    Args:
        max_bytes: kept at the most while nobody has a lease of them.
        threads: that make one matrix at the same time.
        seen: told of each lease whether the matrix was there, or being made.
        memory: from which they take what they need; without bound if there is none.
        max_waiting: matrices that may wait to be made.
        retry_seconds: when to ask again if more do.
    """

    def __init__(
        self,
        max_bytes: int,
        threads: int,
        seen: Callable[[bool], None] = lambda _: None,
        memory: MemoryBudget | None = None,
        max_waiting: int = 64,
        retry_seconds: int = 2,
    ) -> None:
        self.threads = threads
        self._max_bytes = max_bytes
        self._seen = seen
        self._memory = memory
        self._max_waiting = max_waiting
        self._retry_seconds = retry_seconds
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _Entry] = {}
        self._idle: OrderedDict[Hashable, _Entry] = OrderedDict()  # made, and nobody's
        self._idle_bytes = 0
        self._pool: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._making = 0
        self._ended = threading.Condition(self._lock)
        if memory is not None:
            memory.lend(self._give_back)

    @contextmanager
    def hold(self, job: Job) -> Iterator[Matrix]:
        """The matrix, which is waited for.

        Raises:
            BusyError: there is no room to make it now.
        """
        if job.is_small:
            yield job.make(lambda: None)
            return
        lease = self._take(job, within=True)
        try:
            yield lease.made.result()
        finally:
            lease.end()

    def lease(self, job: Job) -> Lease:
        """A lease of a matrix, which is begun unless it is there or being made.

        Raises:
            BusyError: too many others wait to be made.
        """
        return self._take(job)

    def _take(self, job: Job, *, within: bool = False) -> Lease:
        """A lease; if it is `within` another of the same matrix, it is no new wish for it."""
        with self._lock:
            entry = self._entries.get(job.key)
            seen = entry is not None
            if entry is None:
                if self._waiting >= self._max_waiting:
                    raise BusyError(
                        f"{self._waiting} matrices are waiting to be made already; try again in "
                        f"{self._retry_seconds} seconds",
                        self._retry_seconds,
                    )
                entry = self._entries[job.key] = _Entry(job)
                entry.made.set_running_or_notify_cancel()  # who waits cannot cancel it for others
                self._waiting += 1
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="matrix")
                self._pool.submit(self._run, entry)
            if job.key in self._idle:
                self._idle_bytes -= self._idle.pop(job.key).made.result().nbytes
            counts = not (within and entry.leases)
            entry.leases += 1
        if counts:
            self._seen(seen)
        return Lease(entry.made, lambda: self._leave(entry))

    def close(self) -> None:
        """Begin no more, and stop those that are being made."""
        with self._lock:
            for entry in self._entries.values():
                if not entry.made.done():
                    entry.leases = 0
            if self._pool is not None:
                self._pool.shutdown(wait=False)

    def _leave(self, entry: _Entry) -> None:
        """End a lease; a matrix that nobody waits for is not made any further."""
        with self._lock:
            entry.leases = max(entry.leases - 1, 0)
            if not entry.leases and self._entries.get(entry.job.key) is entry:
                if not entry.made.done():
                    self._forget(entry)
                elif entry.job.key not in self._idle:
                    self._idle[entry.job.key] = entry
                    self._idle_bytes += entry.made.result().nbytes
            self._ended.notify_all()
        self._shrink(self._max_bytes)

    def _run(self, entry: _Entry) -> None:
        """Make a matrix, in a thread of the pool."""
        with self._lock:
            self._waiting -= 1
        try:
            self._claim(entry)
            try:
                matrix = entry.job.make(entry.check)
            finally:
                with self._lock:
                    self._making -= 1
                    self._ended.notify_all()
            self._release(entry, entry.held_bytes - matrix.nbytes)
        except BaseException as error:  # noqa: BLE001  handed to those who wait
            with self._lock:
                self._forget(entry)
            self._release(entry, entry.held_bytes)
            entry.made.set_exception(error)
            return
        with self._lock:
            entry.made.set_result(matrix)
            if not entry.leases:  # given up at the last moment
                self._release(entry, entry.held_bytes)

    def _claim(self, entry: _Entry) -> None:
        """Take the memory for a matrix, if need be after another one is made.

        Raises:
            BusyError: there is none, and no other that would give any back.
        """
        size_bytes = entry.job.working_bytes
        while True:
            entry.check()
            with self._lock:
                alone = not self._making
                self._making += 1
            if self._memory is None or self._memory.try_claim(size_bytes):
                entry.held_bytes = size_bytes
                return
            with self._lock:
                self._making -= 1
            if alone:
                self._memory.claim(size_bytes, "matrices that are made as a whole")
                self._memory.release(size_bytes)  # it had become free just now
            with self._lock:
                self._ended.wait(_LOOK_SECONDS)

    def _release(self, entry: _Entry, size_bytes: int) -> None:
        entry.held_bytes -= size_bytes
        if self._memory is not None:
            self._memory.release(size_bytes)

    def _forget(self, entry: _Entry) -> None:
        if self._entries.get(entry.job.key) is entry:
            del self._entries[entry.job.key]

    def _give_back(self, size_bytes: int) -> None:
        """Let go of matrices that nobody uses, so many bytes of them."""
        self._shrink(self._idle_bytes - size_bytes)

    def _shrink(self, most: int) -> None:
        """Keep no more than so many bytes of matrices that nobody uses."""
        with self._lock:
            while self._idle and self._idle_bytes > most:
                _, entry = self._idle.popitem(last=False)
                self._idle_bytes -= entry.made.result().nbytes
                self._forget(entry)
                self._release(entry, entry.held_bytes)
