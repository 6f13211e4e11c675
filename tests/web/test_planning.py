from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from seedbed.errors import BusyError, Choices, EngineError, LimitError, ParameterError, SpecError
from seedbed.memory import MemoryBudget
from seedbed.web import planner
from seedbed.web.planning import Planners, Turns
from tests.processes import attempts
from tests.serving import Server, wait_until
from tests.web import odd_jobs
from tests.web.local import MIB

BUDGET = 600 * MIB


def planners(**given: Any) -> Planners:
    """Some, with a second of processor and 128 MiB each."""
    usual: dict[str, Any] = {
        "slots": 2, "queue": 4, "patience_seconds": 30.0, "memory_bytes": 128 * MIB,
        "cpu_seconds": 1, "clock": 100, "retry_seconds": 2,
        "memory": MemoryBudget(BUDGET, "memory_bytes"),
    }  # fmt: skip
    return Planners(**{**usual, **given})


@contextlib.asynccontextmanager
async def running(**given: Any) -> AsyncIterator[Planners]:
    """Some, until the block ends."""
    made = planners(**given)
    try:
        yield made
    finally:
        made.close()


async def all_of(
    made: Planners, job: Callable[..., Iterator[bytes]], *arguments: Any, client: str = "me"
) -> list[bytes]:
    """All parts of an answer."""
    async with contextlib.aclosing(made.run(client, job, *arguments)) as parts:
        return [part async for part in parts]


def held(made: Planners) -> int:
    """What is claimed."""
    return made._memory.used_bytes


async def gone(pid: int) -> None:
    """Wait until there is no such process."""
    await asyncio.to_thread(wait_until, lambda: not psutil.pid_exists(pid), f"{pid} to end")


def test_an_answer_in_parts() -> None:
    """Parts come in order, whatever their size, from a process for each job."""

    async def work() -> None:
        async with running() as made:
            parts = [b"", b"a", b"x" * (3 * MIB), b"end"]
            assert await all_of(made, odd_jobs.say, *parts) == parts
            both = await asyncio.gather(*(all_of(made, odd_jobs.say, b"%d" % i) for i in range(5)))
            assert both == [[b"%d" % i] for i in range(5)]
            assert (held(made), made.active) == (0, 0)

    asyncio.run(work())


def test_an_error_keeps_its_facts() -> None:
    """What a job raises on purpose is raised here, whole; a defect is a failure with its trace."""

    async def work() -> None:
        async with running() as made:
            with pytest.raises(ParameterError, match="wrong") as refused:
                await all_of(made, odd_jobs.refuse)
            error = refused.value
            assert (error.path, error.allowed, error.others[0].message) == (
                ("a", 3), ("this", "that"), "also",
            )  # fmt: skip
            assert error.allowed.word == "thit"  # type: ignore[attr-defined]
            with pytest.raises(EngineError, match="ZeroDivisionError: a defect"):
                await all_of(made, odd_jobs.fail)

    asyncio.run(work())


@pytest.mark.parametrize("job", [odd_jobs.burn, odd_jobs.hold_the_lock])
def test_too_much_processor(job: Callable[..., Iterator[bytes]]) -> None:
    """A job that takes too long is ended, whatever it does; the next one is served."""

    async def work() -> None:
        async with running() as made:
            with pytest.raises(LimitError) as refused:
                await all_of(made, job)
            assert refused.value.limit == "planner_seconds"
            assert refused.value.actual > refused.value.maximum == 1
            assert await all_of(made, odd_jobs.say, b"a") == [b"a"]
            assert held(made) == 0

    asyncio.run(work())


def test_long_is_not_much_processor() -> None:
    """A job that ends after a while in which others had the processor has not used it up."""

    async def work() -> None:
        async with running() as made:
            with pytest.raises(LimitError) as refused:
                await all_of(made, odd_jobs.die, 1.5)
            assert refused.value.limit == "planner_bytes"

    asyncio.run(work())


def test_too_much_time() -> None:
    """A job that only waits is ended too, and its client is told to come again."""

    async def work() -> None:
        async with running(clock=1) as made:
            with pytest.raises(BusyError, match="takes longer than 1 seconds"):
                await all_of(made, odd_jobs.sleep)
            assert (held(made), made.active) == (0, 0)

    asyncio.run(work())


def test_too_much_memory() -> None:
    """A job that takes too much memory is ended; one that takes nearly as much is not."""

    async def work() -> None:
        async with running(cpu_seconds=20) as made:
            assert await all_of(made, odd_jobs.eat, 110 * MIB) == [b"110"]  # at the second try
            for job, arguments in ((odd_jobs.eat, (200 * MIB,)), (odd_jobs.die, ())):
                with pytest.raises(LimitError) as refused:
                    await all_of(made, job, *arguments)
                assert refused.value.limit == "planner_bytes"
            assert await all_of(made, odd_jobs.say, b"a") == [b"a"]
            assert held(made) == 0

    asyncio.run(work())


@pytest.mark.parametrize("job", [odd_jobs.burn, odd_jobs.sleep])
def test_nobody_waits_any_more(job: Callable[..., Iterator[bytes]]) -> None:
    """Whoever leaves ends the process, and gives back its memory and its turn."""

    async def work() -> None:
        async with running(cpu_seconds=60) as made:
            run = made.run("me", job)
            pid = int(await anext(run))
            assert psutil.pid_exists(pid)
            assert (held(made), made.active) == (96 * MIB, 1)
            await run.aclose()
            await gone(pid)
            assert (held(made), made.active) == (0, 0)

    asyncio.run(work())


def test_no_room() -> None:
    """A job whose memory the budget does not have is refused, and nothing is held."""

    async def work() -> None:
        async with running(memory=MemoryBudget(90 * MIB, "memory_bytes")) as made:
            with pytest.raises(BusyError, match="SEEDBED_MEMORY_BYTES"):
                await all_of(made, odd_jobs.say, b"a")
            assert (held(made), made.active) == (0, 0)

    asyncio.run(work())


def test_what_a_process_has() -> None:
    """It has its one socket, none that listens or is a client's, and no engine or web library."""

    async def work() -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        async with server, running() as made:
            (said,) = await all_of(made, odd_jobs.tell)
            sockets, heavy, megabytes = said.decode().split(" ")
            assert (sockets, heavy) == ("1", "")
            assert int(megabytes) < 120

    asyncio.run(work())


def test_a_template_keeps_nothing_of_its_jobs() -> None:
    """The sockets by which it tells how its children ended are closed when they have."""

    async def work() -> None:
        async with running() as made:
            await all_of(made, odd_jobs.say, b"first")
            template = psutil.Process(made.template.pid)
            await asyncio.to_thread(wait_until, lambda: not template.children(), "the first's end")
            before = template.num_fds()
            for _ in range(10):
                await all_of(made, odd_jobs.say, b"more")
            await asyncio.to_thread(
                wait_until, lambda: template.num_fds() <= before, "all sockets to be closed"
            )

    asyncio.run(work())


def test_a_process_that_was_taken_over_runs_nothing_here(tmp_path: Path) -> None:
    """An answer is an error of ours, whole, or nothing at all: no other class or function."""
    place = tmp_path / "made"
    by_own_module = f"cseedbed.web.planning\nos.mkdir\n(S'{place}'\ntR.".encode()
    for content in (pickle.dumps(_Hostile(str(place))), by_own_module, b"", b"\x80\x05."):
        with pytest.raises(EngineError):
            Planners._refuse(planner.REFUSED, content)
        assert not place.exists()
    error = SpecError("no such word", ("a", 0), Choices(("one", "two"), "ome", ("one", "uno")))
    error.others = (SpecError("b"),)
    with pytest.raises(SpecError) as caught:
        Planners._refuse(planner.REFUSED, pickle.dumps(error))
    assert caught.value.allowed == error.allowed
    assert caught.value.path == error.path
    assert [other.message for other in caught.value.others] == ["b"]


class _Hostile:
    """What makes a folder when it is unpickled."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.place,)


def test_a_template_that_dies() -> None:
    """When the process that forks the others is killed, another takes its place after a pause."""

    async def work() -> None:
        async with running() as made:
            assert await all_of(made, odd_jobs.say, b"a") == [b"a"]
            first = made.template.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            for _ in attempts("another to take its place"):
                try:
                    assert await all_of(made, odd_jobs.say, b"b") == [b"b"]
                    break
                except BusyError:
                    await asyncio.sleep(0.05)
            assert made.template.pid not in (None, first)

    asyncio.run(work())


_PARENT = """
import asyncio, sys
from tests.web import odd_jobs
from tests.web.test_planning import planners

async def work():
    made = planners(cpu_seconds=60)
    print(int(await anext(made.run("me", odd_jobs.burn))), made.template.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(work())
"""


def test_no_orphans() -> None:
    """When the service is killed, its template and a job in the middle of its work end too."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], cwd=root, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    for pid in pids:
        wait_until(lambda pid=pid: not psutil.pid_exists(pid), f"{pid} to end")


def turns(slots: int, queue: int = 10, patience: float = 30.0) -> Turns:
    """Turns."""
    return Turns(slots, queue, patience, 2)


async def _hold(
    made: Turns, client: str, began: list[str], until: asyncio.Event | None = None
) -> None:
    async with made.turn(client):
        began.append(client)
        if until is not None:
            await until.wait()


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_no_client_has_all_turns() -> None:
    """One client waits for its own jobs, while another that comes later has the turn left free."""

    async def work() -> None:
        made, began, over = turns(3), [], asyncio.Event()
        tasks = [asyncio.create_task(_hold(made, "a", began, over)) for _ in range(4)]
        await _settle()
        tasks.append(asyncio.create_task(_hold(made, "b", began, over)))
        await _settle()
        assert began == ["a", "a", "b"]
        over.set()
        await asyncio.gather(*tasks)
        assert (began, made.active) == (["a", "a", "b", "a", "a"], 0)

    asyncio.run(work())


def test_the_only_turn_is_everybody_s() -> None:
    """Where there is one turn, clients have it in the order in which they came."""

    async def work() -> None:
        made, began = turns(1), []
        await asyncio.gather(*(_hold(made, client, began) for client in "abab"))
        assert began == list("abab")

    asyncio.run(work())


def test_waiting_ends() -> None:
    """Who waits too long, or finds too many waiting, is refused; who leaves makes room."""

    async def work() -> None:
        made, over = turns(1, queue=1), asyncio.Event()
        holder = asyncio.create_task(_hold(made, "a", [], over))
        await _settle()
        made._patience_seconds = 0.01
        with pytest.raises(BusyError, match="none of them ended"):
            await _hold(made, "b", [])
        made._patience_seconds = 30.0
        leaver = asyncio.create_task(_hold(made, "b", []))
        await _settle()
        with pytest.raises(BusyError, match="wait for that already"):
            await _hold(made, "c", [])
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        began: list[str] = []
        waiter = asyncio.create_task(_hold(made, "c", began))
        await _settle()
        over.set()
        await asyncio.gather(holder, waiter)
        assert (began, made.active) == (["c"], 0)

    asyncio.run(work())


def test_a_turn_that_comes_as_its_client_leaves() -> None:
    """A turn that is given to somebody who is cancelled at the same moment goes to the next."""

    async def work() -> None:
        made, over, began = turns(1), asyncio.Event(), []
        tasks: list[Coroutine[Any, Any, None]] = [
            _hold(made, "a", began, over), _hold(made, "b", began), _hold(made, "c", began),
        ]  # fmt: skip
        first, second, third = map(asyncio.create_task, tasks)
        await _settle()
        over.set()
        await first
        second.cancel()
        await asyncio.gather(first, second, third, return_exceptions=True)
        assert "c" in began
        assert made.active == 0

    asyncio.run(work())


def test_a_service_has_one_template(server: Server) -> None:
    """However many jobs there have been, a service has one process more than before the first."""
    for _ in range(3):
        body = {"model": {"preset": "tiny-gpt2"}}
        assert httpx.post(f"{server.url}/v1/describe", json=body, timeout=60).status_code == 200
    family = psutil.Process(server.pid).children()
    alive = [one for one in family if one.status() != psutil.STATUS_ZOMBIE]
    assert len(alive) == 1
