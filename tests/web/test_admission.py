from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.web.admission import Admission
from seedbed.web.problems import RequestProblem
from tests.strategies import untimed

FOREVER = 3600.0


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario in an event loop of its own."""

    async def main() -> None:
        await scenario()

    asyncio.run(main())


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


class Download:
    """A task that holds a slot until it is told to end."""

    def __init__(self, admission: Admission, client: str = "") -> None:
        self.end = asyncio.Event()
        self.began = False
        self.client = client
        self.task = asyncio.create_task(self._hold(admission))

    async def _hold(self, admission: Admission) -> None:
        async with admission.slot(self.client):
            self.began = True
            await self.end.wait()


def test_slots_and_queue() -> None:
    """So many hold a slot, so many wait, and one more is refused at once with Retry-After."""

    async def scenario() -> None:
        admission = Admission(2, 3, FOREVER, 7)
        downloads = [Download(admission) for _ in range(5)]
        await settle()
        assert [d.began for d in downloads] == [True, True, False, False, False]
        assert (admission.active, admission.waiting) == (2, 3)
        with pytest.raises(RequestProblem) as refusal:
            async with admission.slot():
                raise AssertionError("it was let in")
        assert refusal.value.status == 429
        assert refusal.value.headers == {"retry-after": "7"}
        for download in downloads:
            download.end.set()
        await asyncio.gather(*(d.task for d in downloads))
        assert (admission.active, admission.waiting) == (0, 0)

    run(scenario)


def test_first_come_first_served() -> None:
    """Whoever has waited longest is next, and nobody who comes later overtakes."""

    async def scenario() -> None:
        admission = Admission(1, 10, FOREVER, 1)
        downloads = [Download(admission) for _ in range(4)]
        await settle()
        for i in range(4):
            assert [d.began for d in downloads] == [j <= i for j in range(4)]
            downloads[i].end.set()
            await settle()

    run(scenario)


def test_patience_ends() -> None:
    """Who has waited as long as one may is refused, and has left the queue."""

    async def scenario() -> None:
        admission = Admission(1, 1, 0.01, 3)
        first, second = Download(admission), Download(admission)
        with pytest.raises(RequestProblem) as refusal:
            await second.task
        assert refusal.value.status == 429
        assert refusal.value.headers == {"retry-after": "3"}
        assert (admission.active, admission.waiting) == (1, 0)
        first.end.set()
        await first.task

    run(scenario)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_leaving(which: int) -> None:
    """A task that is cancelled gives up its slot or its place, and the others move up."""

    async def scenario() -> None:
        admission = Admission(1, 5, FOREVER, 1)
        downloads = [Download(admission) for _ in range(3)]
        await settle()
        downloads.pop(which).task.cancel()
        await settle()
        assert [d.began for d in downloads] == [True, False]
        assert (admission.active, admission.waiting) == (1, 1)

    run(scenario)


def test_an_error_gives_the_slot_back() -> None:
    """A download that fails frees its slot."""

    async def scenario() -> None:
        admission = Admission(1, 0, FOREVER, 1)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="provoked"):
                async with admission.slot():
                    raise RuntimeError("provoked")
        assert admission.active == 0

    run(scenario)


@pytest.mark.parametrize(("clients", "each"), [(1, 48), (2, 27), (10, 6)])
def test_shares(clients: int, each: int) -> None:
    """Greedy clients share 64 slots evenly, and whoever comes later still finds one at once."""

    async def scenario() -> None:
        admission = Admission(64, 256, FOREVER, 1, share=0.75)
        greedy = [Download(admission, f"c{i % clients}") for i in range(100)]
        await settle()
        for client in range(clients):
            held = sum(d.began for d in greedy if d.client == f"c{client}")
            assert abs(held - each) <= 1
        honest = Download(admission, "honest")
        await settle()
        assert honest.began
        for download in [*greedy, honest]:
            download.task.cancel()

    run(scenario)


def test_one_client_does_not_fill_the_queue() -> None:
    """However many downloads one client has waiting, there is a place for another's."""

    async def scenario() -> None:
        admission = Admission(1, 8, FOREVER, 1, share=0.75)
        greedy = [Download(admission, "greedy") for _ in range(50)]
        await settle()
        assert admission.waiting == 6
        honest = Download(admission, "honest")
        await settle()
        assert admission.waiting == 7
        next(d for d in greedy if d.began).end.set()
        await settle()
        assert honest.began  # who has none is next, though it came last
        for download in [*greedy, honest]:
            download.task.cancel()
        await asyncio.gather(*(d.task for d in greedy), return_exceptions=True)

    run(scenario)


@untimed
@given(
    slots=st.integers(1, 3),
    queue=st.integers(0, 4),
    share=st.sampled_from((0.01, 0.5, 0.75, 1.0)),
    events=st.lists(
        st.tuples(
            st.sampled_from(("come", "come", "end", "leave")), st.integers(0, 99), st.booleans()
        ),
        max_size=60,
    ),
)
def test_any_order_of_events(
    slots: int, queue: int, share: float, events: list[tuple[str, int, bool]]
) -> None:
    """Whatever the order of coming, ending and leaving, never too many are in, nobody is lost.

    A client that has no slot waits only while there is none.
    """

    async def scenario() -> None:
        admission = Admission(slots, queue, FOREVER, 1, share)
        alive: list[Download] = []
        for action, which, pause in events:
            if action == "come":
                alive.append(Download(admission, str(which % 3)))
            elif alive:
                download = alive.pop(which % len(alive))
                download.end.set() if action == "end" else download.task.cancel()
            if pause:
                await settle()
            alive = [d for d in alive if not d.task.done()]
            assert admission.active <= slots
            assert admission.waiting <= queue
            waiting = {waiter.client for waiter in admission._queue}
            assert admission.active == slots or not waiting - set(admission._held)
        for download in alive:
            download.end.set()
        await asyncio.gather(*(d.task for d in alive), return_exceptions=True)
        await settle()
        assert (admission.active, admission.waiting) == (0, 0)
        assert not admission._held
        assert not admission._last_turn
        async with admission.slot():
            assert admission.active == 1

    run(scenario)
