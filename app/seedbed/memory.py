"""One budget of memory for everything that requests make a process hold.

Bodies on their way, plans, matrices and planning processes all claim their bytes here before they
take them, so that a process stays within what it was lent whatever clients combine. Caches lend
theirs: when a claim does not fit, they are asked to let go of what nobody is using.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from seedbed.errors import BusyError


class MemoryBudget:
    """Bytes that may be held at the same time; any thread may claim.

    Args:
        max_bytes: of all claims together.
        name: the setting that says so, for whoever is refused.
        retry_seconds: when a refused client should ask again.
        within: a larger budget, from which every claim is taken as well.
    """

    def __init__(
        self,
        max_bytes: int,
        name: str,
        retry_seconds: int = 2,
        within: MemoryBudget | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self.name = name
        self._retry_seconds = retry_seconds
        self._within = within
        self._lock = threading.Lock()
        self._used = 0
        self._caches: list[Callable[[int], None]] = []

    @property
    def used_bytes(self) -> int:
        """What is claimed now."""
        return self._used

    def lend(self, give_back: Callable[[int], None]) -> None:
        """Have a cache asked when room is short.

        Args:
            give_back: is told how many bytes are wanted, and releases claims on what is kept for
                requests to come, at least so many if it can. It may be called in any thread; so a
                claim must not be made while holding a lock that it takes.
        """
        self._caches.append(give_back)

    def try_claim(self, size_bytes: int) -> bool:
        """Take so many bytes, if there is room or caches can make it.

        Returns:
            Whether they were taken. If so, `release` them later.
        """
        if self._within is not None and not self._within.try_claim(size_bytes):
            return False
        if self._take(size_bytes):
            return True
        for give_back in self._caches:
            give_back(size_bytes)
            if self._take(size_bytes):
                return True
        if self._within is not None:
            self._within.release(size_bytes)
        return False

    def claim(self, size_bytes: int, what: str) -> None:
        """Take so many bytes.

        Args:
            size_bytes: how many.
            what: they are for, in the plural.

        Raises:
            BusyError: there is no room now.
        """
        if not self.try_claim(size_bytes):
            raise BusyError(
                f"there is no room for {what} now: {size_bytes:,} bytes beside {self._used:,} of "
                f"{self.max_bytes:,} (SEEDBED_{self.name.upper()}); try again in "
                f"{self._retry_seconds} seconds",
                self._retry_seconds,
            )

    def release(self, size_bytes: int) -> None:
        """Give back what was claimed."""
        with self._lock:
            self._used -= size_bytes
        if self._within is not None:
            self._within.release(size_bytes)

    def _take(self, size_bytes: int) -> bool:
        with self._lock:
            if self._used + size_bytes > self.max_bytes:
                return False
            self._used += size_bytes
            return True


class Claim:
    """Bytes of a budget that are held as long as this object is, or until `end`.

    Args:
        budget: that they are taken from.
        size_bytes: how many.
        what: they are for, in the plural.

    Raises:
        BusyError: there is no room now.
    """

    def __init__(self, budget: MemoryBudget, size_bytes: int, what: str) -> None:
        self._budget = budget
        self.size_bytes = 0
        self._what = what
        self.grow(size_bytes)

    def grow(self, size_bytes: int) -> None:
        """Hold so many more.

        Raises:
            BusyError: there is no room now; what was held is still held.
        """
        self._budget.claim(size_bytes, self._what)
        self.size_bytes += size_bytes

    def end(self) -> None:
        """Hold nothing any more."""
        held, self.size_bytes = self.size_bytes, 0
        if held:
            self._budget.release(held)

    def __del__(self) -> None:
        self.end()
