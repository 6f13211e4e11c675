"""The registry for an event loop: calls to the store in a few threads, with bounded queues.

Calls that write have a thread and a queue apart: whoever holds the database's one lock for writing
holds up writers, and readers go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Concatenate, ParamSpec, TypeVar

from seedbed.errors import UnavailableError
from seedbed.registry.database import NONE, Database, registry_url
from seedbed.registry.records import RegistryLimits
from seedbed.registry.store import RETRY_SECONDS, SpecStore

_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


_WRITING = (SpecStore.put, SpecStore.delete, SpecStore.put_record)


class Registry:
    """Stored specs, asked without holding up the event loop.

    Args:
        setting: which database; see `registry_url`. Nothing is opened yet.
        limits: how much may be stored.
        connections: calls that read at the same time, each in a thread; one beside them writes.
        queued: calls that may wait, of each kind.
        seconds: how long a call may take, waiting included.
        retry_seconds: after how many to ask again, in errors that may pass.

    Raises:
        ValueError: the setting names no database.
    """

    def __init__(
        self,
        setting: str,
        limits: RegistryLimits | None = None,
        *,
        connections: int = 4,
        queued: int = 128,
        seconds: float = 5.0,
        retry_seconds: int = RETRY_SECONDS,
    ) -> None:
        self._store: SpecStore | None = None
        if setting != NONE:
            self._store = SpecStore(Database(registry_url(setting), connections, seconds), limits)
        self._reads = _Lane("registry", connections, queued)
        self._writes = _Lane("registry-write", 1, queued)
        self._seconds = seconds
        self._retry_seconds = retry_seconds

    @property
    def exists(self) -> bool:
        """Whether there is one at all, reachable or not."""
        return self._store is not None

    async def ask(
        self,
        call: Callable[Concatenate[SpecStore, _Given], _Found],
        *arguments: _Given.args,
        **named: _Given.kwargs,
    ) -> _Found:
        """What a method of `SpecStore` gives: `await registry.ask(SpecStore.get, spec_id)`.

        A write that takes too long is reported as failed. It may still come about if it has begun.

        Raises:
            UnavailableError: there is no registry, too many ask it, or it takes too long.
            RegistryError: as the method says.
        """
        store = self._store
        if store is None:
            raise UnavailableError("this service stores no specs (SEEDBED_REGISTRY_URL)", None)
        lane = self._writes if call in _WRITING else self._reads
        if lane.calls >= lane.most:
            raise UnavailableError(
                f"{lane.calls} requests are waiting for the registry already",
                self._retry_seconds,
            )
        begun = lane.threads.submit(copy_context().run, lambda: call(store, *arguments, **named))
        work = asyncio.wrap_future(begun)
        lane.calls += 1
        work.add_done_callback(lane.done)
        try:
            # Shielded, since a thread cannot be stopped: it counts until it ends.
            return await asyncio.wait_for(asyncio.shield(work), self._seconds)
        except TimeoutError as error:
            raise UnavailableError(
                f"the registry did not answer within {self._seconds:g} seconds",
                self._retry_seconds,
            ) from error
        except UnavailableError as error:
            if error.retry_seconds is not None:
                error.retry_seconds = self._retry_seconds
            raise
        finally:
            begun.cancel()  # if nobody waits for it and no thread has taken it, none will

    def close(self) -> None:
        """End the threads when their calls end, and close the connections."""
        for lane in (self._reads, self._writes):
            lane.threads.shutdown(wait=False, cancel_futures=True)
        if self._store is not None:
            self._store.close()


class _Lane:
    """Threads, and the calls that are theirs, waiting ones included."""

    def __init__(self, name: str, threads: int, queued: int) -> None:
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self.most = threads + queued
        self.calls = 0

    def done(self, work: asyncio.Future[Any]) -> None:
        """A call has ended, or never begun."""
        self.calls -= 1
        if not work.cancelled():
            work.exception()  # of a call that nobody waits for any more
