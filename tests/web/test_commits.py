from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from typing import Any

import pytest
from fastapi import Request

from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.web import commits
from seedbed.web.commits import Commits
from tests.processes import PATIENCE_SECONDS

BODY = {"tensors": [{"name": "a", "shape": [1], "init": "ones"}]}


def request() -> Request:
    """Of a client who stays."""

    async def receive() -> Any:
        await asyncio.Event().wait()

    return Request({"type": "http"}, receive)


def test_one_thread_makes_a_commit_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask at once, it is made once, remembered, and after an error made again."""
    made, at_work = [], threading.Semaphore()

    def make(one: Checkpoint) -> Generator[None, None, str]:
        made.append(one)
        for _ in range(3):
            assert at_work.acquire(timeout=0)
            yield
            at_work.release()
        if len(made) == 2:
            raise RuntimeError("provoked")
        return "c"

    monkeypatch.setattr(commits, "committing", make)
    monkeypatch.setattr(commits, "_SLICE_SECONDS", 0.0)
    one, other = (Checkpoint(CheckpointSpec.model_validate(BODY)) for _ in "ab")

    async def ask() -> None:
        service = Commits()
        answers = await asyncio.gather(*(service.of(request(), one) for _ in range(50)))
        assert answers == ["c"] * 50
        assert await service.of(request(), one) == "c"
        assert made == [one]
        with pytest.raises(RuntimeError, match="provoked"):
            await service.of(request(), other)
        assert await service.of(request(), other) == "c"

    asyncio.run(asyncio.wait_for(ask(), PATIENCE_SECONDS))


def test_nobody_makes_what_nobody_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last client has left, the next file is not begun."""
    begun, go_on, files = threading.Event(), threading.Event(), []

    def make(_: Checkpoint) -> Generator[None, None, str]:
        for number in range(1000):
            files.append(number)
            begun.set()
            assert go_on.wait(PATIENCE_SECONDS)
            yield
        return "c"

    monkeypatch.setattr(commits, "committing", make)
    monkeypatch.setattr(commits, "_SLICE_SECONDS", 0.0)

    async def ask() -> None:
        one = Checkpoint(CheckpointSpec.model_validate(BODY))
        task = asyncio.create_task(Commits().of(request(), one))
        assert await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        go_on.set()

    asyncio.run(asyncio.wait_for(ask(), PATIENCE_SECONDS))  # ends when all threads have ended
    assert files == [0]
