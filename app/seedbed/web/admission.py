"""How many downloads are sent at the same time, and who waits."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count

from seedbed.web.problems import RequestProblem


@dataclass(eq=False, slots=True)
class _Waiter:
    """A download in the queue."""

    client: str
    turn: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Admission:
    """A number of slots, and a queue of limited length and patience before them.

    No client gets more than a share of what is free or its own, so whoever has none yet finds a
    slot, however many one other client would take: of 64 slots and a share of ¾ one client has at
    most 48, two have 27 each, ten have 6 each. The queue's places are given by the same rule. Of
    those who wait, the client with fewest slots is next, then the one whose last turn was longest
    ago, and of one client's downloads the first to come.

    Refusals are 429 and not 503: Hub clients wait and retry after 429, but give up at once on 503.

    Args:
        slots: downloads at the same time.
        queue: that may wait.
        patience_seconds: for which one may wait.
        retry_after_seconds: what a refusal says.
        share: the part of what is free or its own that one client may have, rounded up.
    """

    def __init__(
        self,
        slots: int,
        queue: int,
        patience_seconds: float,
        retry_after_seconds: int,
        share: float = 1.0,
    ) -> None:
        self.slots = slots
        self._places = queue
        self._patience_seconds = patience_seconds
        self._retry_after_seconds = retry_after_seconds
        self._share = share
        self._held: Counter[str] = Counter()
        self._queue: list[_Waiter] = []
        self._turns = count(1)
        self._last_turn: dict[str, int] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called when `active` or `waiting` has changed."""
        self.on_wait: Callable[[float], None] = lambda _: None
        """Told how many seconds a download has waited for its slot, in vain or not."""

    @property
    def active(self) -> int:
        """Slots that are held."""
        return self._held.total()

    @property
    def waiting(self) -> int:
        """Downloads in the queue."""
        return len(self._queue)

    @contextlib.asynccontextmanager
    async def slot(self, client: str = "") -> AsyncIterator[None]:
        """Hold a slot, after waiting for it if need be.

        Args:
            client: who wants it; see `clients.client_of`.

        Raises:
            RequestProblem: 429 with Retry-After: the queue is full, or patience has run out.
        """
        if self._may_have_slot(client):
            self._take(client)
        else:
            await self._wait(client)
        self.on_change()
        try:
            yield
        finally:
            self._leave(client)

    def _may_have_slot(self, client: str) -> bool:
        return self._is_in_share(self._held[client], self.slots - self.active)

    def _is_in_share(self, own: int, free: int) -> bool:
        """Whether a client that has so many may have one more of those that are free."""
        return free > 0 and (not own or own + 1 <= math.ceil(self._share * (own + free)))

    def _take(self, client: str) -> None:
        self._held[client] += 1
        self._last_turn[client] = next(self._turns)

    def _leave(self, client: str) -> None:
        """Give a slot back, and on to those who have waited for it."""
        self._held[client] -= 1
        self._forget(client)
        while able := [
            waiter
            for waiter in self._queue
            if not waiter.turn.done() and self._may_have_slot(waiter.client)  # done: it gives up
        ]:
            first = min(able, key=self._rank)
            self._queue.remove(first)
            self._take(first.client)
            first.turn.set_result(None)
        self.on_change()

    def _rank(self, waiter: _Waiter) -> tuple[int, int]:
        return self._held[waiter.client], self._last_turn.get(waiter.client, 0)

    def _forget(self, client: str) -> None:
        """Keep nothing of a client that has no slot and waits for none."""
        if not self._held[client]:
            del self._held[client]
            if all(waiter.client != client for waiter in self._queue):
                self._last_turn.pop(client, None)

    async def _wait(self, client: str) -> None:
        own = sum(waiter.client == client for waiter in self._queue)
        if not self._is_in_share(own, self._places - len(self._queue)):
            raise self._refusal(f"{own} of yours are waiting already, and {self.waiting} in all")
        waiter = _Waiter(client)
        self._queue.append(waiter)
        self.on_change()
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._patience_seconds):
                try:
                    await waiter.turn
                except BaseException:
                    if waiter in self._queue:
                        self._queue.remove(waiter)
                        self._forget(client)
                    else:  # its turn came at the very moment when it gave up
                        self._leave(client)
                    raise
        except TimeoutError as error:
            raise self._refusal(
                f"none became free for you within {self._patience_seconds:g} seconds"
            ) from error
        finally:
            self.on_change()
            self.on_wait(time.perf_counter() - began)

    def _refusal(self, why: str) -> RequestProblem:
        return RequestProblem(
            429,
            "busy",
            f"The service is sending as many downloads as it may, or you have your share of them "
            f"(SEEDBED_MAX_STREAMS, SEEDBED_CLIENT_SHARE); {why}. Try again in "
            f"{self._retry_after_seconds} seconds.",
            {"retry-after": str(self._retry_after_seconds)},
        )
