"""Work that several clients wait for, done once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

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
