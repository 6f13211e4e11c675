from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for

import numpy as np
import pytest

from seedbed.errors import BusyError
from seedbed.init.matrices import AT_ONCE, Check, Job, Matrix, MatrixCache
from seedbed.memory import MemoryBudget

PATIENCE_SECONDS = 60
MIB = 1 << 20


class Maker:
    """Jobs that are made when they are let, and what has become of them."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.stopped = threading.Semaphore(0)
        self.made: list[str] = []

    def job(self, key: str, size_bytes: int = 20 * MIB) -> Job:
        """A matrix of a fifth of the memory that making it takes."""

        def make(check: Check) -> Matrix:
            self.begun.release()
            try:
                while not self.go.wait(0.001):
                    check()
            except BaseException:
                self.stopped.release()
                raise
            self.made.append(key)
            return np.zeros(size_bytes // 20, np.float32)

        return Job(key, size_bytes, make)

    def await_begun(self) -> None:
        """Wait until one more is being made."""
        assert self.begun.acquire(timeout=PATIENCE_SECONDS)


@pytest.fixture
def maker() -> Iterator[Maker]:
    """One whose jobs end when the test does."""
    maker = Maker()
    yield maker
    maker.go.set()


@pytest.fixture
def memory() -> MemoryBudget:
    """Room for two jobs under way."""
    return MemoryBudget(50 * MIB, "max_dense_bytes")


def cache_of(memory: MemoryBudget | None, kept: int = 0, waiting: int = 9) -> MatrixCache:
    """A cache that keeps so many bytes."""
    return MatrixCache(kept, 1, memory=memory, max_waiting=waiting)


def test_who_waits_for_one_matrix_shares_it(maker: Maker, memory: MemoryBudget) -> None:
    """It is made once, however many ask while it is made, and its memory is given back."""
    seen: list[bool] = []
    cache = MatrixCache(0, 1, seen.append, memory)
    leases = [cache.lease(maker.job("a")) for _ in range(3)]
    maker.await_begun()
    assert memory.used_bytes == 20 * MIB
    maker.go.set()
    assert len({id(lease.made.result(PATIENCE_SECONDS)) for lease in leases}) == 1
    assert maker.made == ["a"]
    assert seen == [False, True, True]
    assert memory.used_bytes == 4 * MIB
    for lease in [*leases, *leases]:
        lease.end()
    assert memory.used_bytes == 0


def test_it_stops_when_the_last_has_left(maker: Maker, memory: MemoryBudget) -> None:
    """While one waits it goes on; without any it is given up, and made anew for who comes later."""
    cache = cache_of(memory)
    first, second = (cache.lease(maker.job("a")) for _ in range(2))
    maker.await_begun()
    first.end()
    assert not maker.stopped.acquire(timeout=0.05)
    second.end()
    assert maker.stopped.acquire(timeout=PATIENCE_SECONDS)
    maker.go.set()
    with cache.hold(maker.job("a")) as matrix:
        assert matrix.nbytes == 4 * MIB
    assert maker.made == ["a"]
    assert memory.used_bytes == 0


def test_one_that_was_never_begun_is_never_made(maker: Maker) -> None:
    """A matrix whose clients left while it waited for its turn costs nothing."""
    cache = cache_of(None)
    busy = [cache.lease(maker.job(f"busy{i}")) for i in range(AT_ONCE)]
    for _ in busy:
        maker.await_begun()
    cache.lease(maker.job("left")).end()
    maker.go.set()
    wait_for([lease.made for lease in busy], PATIENCE_SECONDS)
    with cache.hold(maker.job("last")):
        assert sorted(maker.made) == ["busy0", "busy1", "last"]


def test_too_many_that_wait_are_refused(maker: Maker) -> None:
    """Beyond a number, who wants one more is told to come back."""
    cache = cache_of(None, waiting=1)
    leases = []
    for i in range(AT_ONCE):
        leases.append(cache.lease(maker.job(f"{i}")))
        maker.await_begun()
    leases.append(cache.lease(maker.job("waits")))
    with pytest.raises(BusyError, match="waiting") as caught:
        cache.lease(maker.job("too many"))
    assert caught.value.retry_seconds == 2
    leases.append(cache.lease(maker.job("waits")))  # for the same
    maker.go.set()
    assert wait_for([lease.made for lease in leases], PATIENCE_SECONDS).not_done == set()


def test_memory_is_waited_for_while_another_gives_it_back(maker: Maker) -> None:
    """One that does not fit beside the other is made after it, not refused."""
    memory = MemoryBudget(30 * MIB, "max_dense_bytes")
    cache = cache_of(memory)
    first = cache.lease(maker.job("a"))
    maker.await_begun()
    second = cache.lease(maker.job("b"))
    assert not maker.begun.acquire(timeout=0.2)
    maker.go.set()
    for lease in (first, second):
        assert lease.made.result(PATIENCE_SECONDS).nbytes == 4 * MIB
        lease.end()
    assert memory.used_bytes == 0


def test_what_nobody_will_give_back_is_not_waited_for(maker: Maker) -> None:
    """If others hold the memory and no matrix is under way, it is refused, and holds none."""
    memory = MemoryBudget(30 * MIB, "max_dense_bytes")
    memory.claim(15 * MIB, "bodies")
    cache = cache_of(memory)
    with pytest.raises(BusyError, match="no room for matrices"), cache.hold(maker.job("a")):
        pass
    memory.release(15 * MIB)
    maker.go.set()
    with cache.hold(maker.job("a")):
        assert maker.made == ["a"]


def test_kept_ones_make_room(maker: Maker, memory: MemoryBudget) -> None:
    """Within the bound matrices stay, the latest longest, and go when the memory is wanted."""
    maker.go.set()
    cache = cache_of(memory, kept=9 * MIB)
    for key in "abc":
        with cache.hold(maker.job(key)):
            pass
    assert memory.used_bytes == 8 * MIB
    for key in "bc":
        with cache.hold(maker.job(key)):
            assert maker.made == ["a", "b", "c"]
    memory.claim(42 * MIB, "bodies")  # for which there is room beside them
    assert memory.used_bytes == 50 * MIB
    memory.claim(3 * MIB, "bodies")
    with cache.hold(maker.job("c")):  # used last
        assert maker.made == ["a", "b", "c"]
    memory.claim(4 * MIB, "bodies")
    assert memory.used_bytes == 49 * MIB


def test_a_failure_is_everybody_s_and_not_kept() -> None:
    """Who waits gets the error; who comes later a matrix."""
    begun: list[int] = []

    def make(_check: Check) -> Matrix:
        begun.append(1)
        if len(begun) == 1:
            raise MemoryError
        return np.zeros(4, np.float32)

    cache = cache_of(MemoryBudget(2 * MIB, "max_dense_bytes"))
    with pytest.raises(MemoryError), cache.hold(Job("a", MIB, make)):
        pass
    with cache.hold(Job("a", MIB, make)) as matrix:
        assert matrix.size == 4


def test_small_ones_are_made_where_they_are_read(memory: MemoryBudget) -> None:
    """A matrix of a few milliseconds takes no turn, and none of the memory."""
    thread: list[int] = []

    def make(_check: Check) -> Matrix:
        thread.append(threading.get_ident())
        return np.zeros(4, np.float32)

    with cache_of(memory).hold(Job("a", MIB - 1, make)):
        assert memory.used_bytes == 0
    assert thread == [threading.get_ident()]


def test_leaving_and_coming_from_many_threads(memory: MemoryBudget) -> None:
    """Whatever clients do, nobody is left waiting and no byte is left claimed."""
    cache = cache_of(memory, kept=5 * MIB, waiting=100)

    def make(check: Check) -> Matrix:
        for _ in range(20):
            check()
        return np.zeros(MIB, np.float32)

    def client(number: int) -> None:
        for i in range(60):
            lease = cache.lease(Job((number * i) % 5, 20 * MIB, make))
            if (number + i) % 3:
                assert lease.made.result(PATIENCE_SECONDS).size == MIB
            lease.end()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(8)))
    cache.close()
    memory.claim(50 * MIB, "bodies")  # for which all that was kept has gone
    assert memory.used_bytes == 50 * MIB
