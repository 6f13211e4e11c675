from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path

import pytest

from seedbed.errors import UnavailableError, UnknownSpecError
from seedbed.registry import Expected, Registry, SpecId, SpecStore
from tests.processes import attempts, wait_until
from tests.registry.suite import NET, spec_of, text_of


def run(registry: Registry, scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario in an event loop of its own, then close the registry."""

    async def main() -> None:
        await scenario()

    try:
        asyncio.run(main())
    finally:
        registry.close()


def test_it_asks_the_store(tmp_path: Path) -> None:
    """Answers and errors of the store come back as they are."""
    registry = Registry(f"sqlite:///{tmp_path}/r.db")

    async def scenario() -> None:
        assert registry.exists
        text = text_of(1)
        await registry.ask(SpecStore.put, NET, text, spec_of(text), Expected())
        assert (await registry.ask(SpecStore.get, NET)).text == text
        page = await registry.ask(SpecStore.list, search="NET", limit=1)
        assert [entry.id for entry in page.entries] == [NET]
        with pytest.raises(UnknownSpecError):
            await registry.ask(SpecStore.find, "0" * 24)

    run(registry, scenario)


def test_none() -> None:
    """Without a registry every question is refused, and trying again is not advised."""
    registry = Registry("none")

    async def scenario() -> None:
        assert not registry.exists
        with pytest.raises(UnavailableError, match="SEEDBED_REGISTRY_URL") as caught:
            await registry.ask(SpecStore.get, NET)
        assert caught.value.retry_seconds is None

    run(registry, scenario)


def test_when_to_ask_again(tmp_path: Path) -> None:
    """An error that may pass says when to ask again, as the service has it; others do not."""
    (tmp_path / "r.db").write_bytes(b"no database" * 1000)
    for where, seconds in ((tmp_path / "r.db", 17), (tmp_path / "r.db" / "within.db", None)):
        registry = Registry(f"sqlite:///{where}", retry_seconds=17)

        async def scenario(registry: Registry = registry, seconds: int | None = seconds) -> None:
            with pytest.raises(UnavailableError) as caught:
                await registry.ask(SpecStore.get, NET)
            assert caught.value.retry_seconds == seconds

        run(registry, scenario)


def test_a_database_that_hangs_holds_up_only_so_many(tmp_path: Path) -> None:
    """Questions end after a bound, those past the queue at once, and threads stay few."""
    registry = Registry(f"sqlite:///{tmp_path}/r.db", connections=2, queued=3, seconds=0.5)
    release = threading.Event()
    names = set()

    def hang(_: SpecStore) -> int:
        names.add(threading.current_thread().name)
        release.wait(60)
        return 7

    async def scenario() -> None:
        questions = [registry.ask(hang) for _ in range(9)]
        answers = await asyncio.gather(*questions, return_exceptions=True)
        texts = [str(answer) for answer in answers if isinstance(answer, UnavailableError)]
        assert len(texts) == 9
        assert len([text for text in texts if "within 0.5 seconds" in text]) == 5
        assert len([text for text in texts if "5 requests are waiting" in text]) == 4
        # The two that hang still count, though nobody waits for them; those not begun do not.
        questions = [registry.ask(hang) for _ in range(4)]
        answers = await asyncio.gather(*questions, return_exceptions=True)
        assert ["requests are waiting" in str(a) for a in answers] == [False] * 3 + [True]
        release.set()
        for _ in attempts("those that hang to end"):
            try:
                assert await registry.ask(hang) == 7
                break
            except UnavailableError:
                await asyncio.sleep(0.01)
        assert len(names) == 2

    run(registry, scenario)


def test_a_question_that_is_given_up(tmp_path: Path) -> None:
    """When whoever asked leaves, the call counts until it ends, and its error bothers nobody."""
    registry = Registry(f"sqlite:///{tmp_path}/r.db", connections=1, queued=0)
    begun, release = threading.Event(), threading.Event()

    def fail(_: SpecStore) -> None:
        begun.set()
        release.wait(60)
        raise UnknownSpecError("nobody hears this")

    async def scenario() -> None:
        question = asyncio.create_task(registry.ask(fail))
        await asyncio.to_thread(begun.wait, 60)
        question.cancel()
        with pytest.raises(asyncio.CancelledError):
            await question
        with pytest.raises(UnavailableError, match="waiting"):
            await registry.ask(fail)
        release.set()
        for _ in attempts("the call to end"):
            try:
                with pytest.raises(UnknownSpecError):
                    await registry.ask(SpecStore.get, NET)
                break
            except UnavailableError:
                await asyncio.sleep(0.01)

    run(registry, scenario)


def test_log_lines_know_their_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a call logs in its thread has the context of who asked."""
    request: ContextVar[str] = ContextVar("request", default="nobody")
    registry = Registry(f"sqlite:///{tmp_path}/r.db")

    def say(_: SpecStore) -> None:
        logging.getLogger("seedbed.registry").warning("for %s", request.get())

    async def scenario() -> None:
        request.set("someone")
        await registry.ask(say)

    run(registry, scenario)
    assert "for someone" in caplog.text


def test_reads_go_on_while_writes_wait(tmp_path: Path) -> None:
    """While somebody else holds the lock for writing, writes end after a bound, and reads go on.

    A write that had not begun by then never does.
    """
    path = tmp_path / "r.db"
    registry = Registry(f"sqlite:///{path}", connections=1, queued=50, seconds=3)
    first, second = text_of(1), text_of(2)

    async def write(name: str) -> None:
        spec_id = SpecId("a", name)
        await registry.ask(SpecStore.put, spec_id, second, spec_of(second), Expected())

    async def scenario() -> None:
        await registry.ask(SpecStore.put, NET, first, spec_of(first), Expected())
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writes = [asyncio.ensure_future(write(f"n{i}")) for i in range(40)]
            while not all(one.done() for one in writes):
                assert (await registry.ask(SpecStore.get, NET)).text == first
                assert len((await registry.ask(SpecStore.list)).entries) == 1
                await asyncio.sleep(0.01)
            assert {type(one.exception()) for one in writes} == {UnavailableError}
            other.execute("ROLLBACK")
        await asyncio.to_thread(wait_until, lambda: not registry._writes.calls, "it to end")
        assert len((await registry.ask(SpecStore.list)).entries) <= 2
        await write("after")

    run(registry, scenario)
