"""Commits of checkpoints, which take the headers of all their files: made once for all who ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from weakref import WeakKeyDictionary

from fastapi import Request

from seedbed.files import Checkpoint
from seedbed.hub import committing
from seedbed.web.shared import Shared, while_connected

_SLICE_SECONDS = 0.05
"""How long a thread works at one commit before others have it; a file is never cut."""


class Commits:
    """Those of one service, remembered for as long as their checkpoints are."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Checkpoint, str] = WeakKeyDictionary()
        self._work = Shared[str]()

    async def of(self, request: Request, checkpoint: Checkpoint) -> str:
        """The commit of a checkpoint, for as long as the client waits.

        Raises:
            ClientDisconnect: it does so no more.
        """
        if (known := self._known.get(checkpoint)) is not None:
            return known
        return await while_connected(
            request, self._work.share(checkpoint, lambda: self._make(checkpoint))
        )

    async def _make(self, checkpoint: Checkpoint) -> str:
        steps = committing(checkpoint)
        while (commit := await asyncio.to_thread(_advance, steps)) is None:
            pass
        self._known[checkpoint] = commit
        return commit


def _advance(steps: Generator[None, None, str]) -> str | None:
    """Work at a commit for a while: what it is, once it is made."""
    end = time.perf_counter() + _SLICE_SECONDS
    try:
        while True:
            next(steps)
            if time.perf_counter() >= end:
                return None
    except StopIteration as done:
        commit: str = done.value
        return commit
