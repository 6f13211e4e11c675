"""Work that clients wait for: done once for several, and given up when nobody is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

_Result = TypeVar("_Result")


class Shared(Generic[_Result]):
    """Work by a key: whoever comes while it is under way waits for that, and begins no other.

    It goes on for as long as anybody waits for it.
    """

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[_Result]] = {}
        self._waiting: dict[asyncio.Task[_Result], int] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    async def share(
        self, key: Hashable, begin: Callable[[], Coroutine[Any, Any, _Result]]
    ) -> _Result:
        """What the work of this key comes to, or the error that it raises.

        Args:
            key: tells it from all other work.
            begin: does it, unless somebody else has begun.
        """
        if (task := self._tasks.get(key)) is None:
            task = self._tasks[key] = asyncio.create_task(begin())
            self._waiting[task] = 0
            task.add_done_callback(lambda done: self._forget(key, done))
        self._waiting[task] += 1
        try:
            await asyncio.wait({task})
            return task.result()
        finally:
            self._waiting[task] -= 1
            if not self._waiting[task]:
                del self._waiting[task]
                self._forget(key, task)  # whoever comes now begins anew
                task.cancel()

    def _forget(self, key: Hashable, task: asyncio.Task[_Result]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]


async def while_connected(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """What some work comes to, unless the client, whose request has been read, leaves.

    Raises:
        ClientDisconnect: it has.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(until_disconnected(request))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientDisconnect
        return doing.result()
    finally:
        for task in (doing, leaving):
            task.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def until_disconnected(request: Request) -> None:
    """Return when the client, whose body has been read, is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
