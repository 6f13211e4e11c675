from __future__ import annotations

import threading
from collections import OrderedDict

import pytest

from seedbed.errors import BusyError
from seedbed.memory import Claim, MemoryBudget
from tests.processes import PATIENCE_SECONDS


class Cache:
    """Keeps entries of 10 bytes as long as the budget lets it."""

    def __init__(self, budget: MemoryBudget) -> None:
        self.kept: OrderedDict[int, Claim] = OrderedDict()
        self.budget = budget
        budget.lend(self.give_back)

    def keep(self, key: int) -> None:
        """Keep one more."""
        self.kept[key] = Claim(self.budget, 10, "entries")

    def give_back(self, size_bytes: int) -> None:
        """The oldest go first."""
        while size_bytes > 0 and self.kept:
            self.kept.popitem(last=False)
            size_bytes -= 10


def test_a_claim_past_the_budget_is_refused_and_changes_nothing() -> None:
    """What does not fit is BusyError with the setting's name; what was held is still held."""
    budget = MemoryBudget(100, "memory_bytes", 3)
    claim = Claim(budget, 60, "bodies")
    with pytest.raises(BusyError, match=r"bodies.*SEEDBED_MEMORY_BYTES") as refused:
        claim.grow(41)
    assert refused.value.retry_seconds == 3
    assert (claim.size_bytes, budget.used_bytes) == (60, 60)
    claim.grow(40)
    claim.end()
    claim.end()
    assert budget.used_bytes == 0


def test_a_forgotten_claim_ends_by_itself() -> None:
    """Bytes are free again when nobody has the claim any more."""
    budget = MemoryBudget(100, "memory_bytes")
    claim = Claim(budget, 100, "plans")
    del claim
    assert budget.used_bytes == 0


def test_caches_make_room() -> None:
    """A claim that does not fit takes from caches what it needs and no more."""
    budget = MemoryBudget(100, "memory_bytes")
    cache = Cache(budget)
    for key in range(10):
        cache.keep(key)
    held = Claim(budget, 25, "bodies")
    assert sorted(cache.kept) == [3, 4, 5, 6, 7, 8, 9]
    assert budget.used_bytes == 95
    held.end()
    with pytest.raises(BusyError):
        budget.claim(101, "bodies")


def test_a_part_of_a_budget_is_taken_from_both() -> None:
    """A part refuses at its own bound and at that of the whole, and then holds nothing."""
    whole = MemoryBudget(100, "memory_bytes")
    part = MemoryBudget(50, "body_bytes", within=whole)
    assert not part.try_claim(51)
    assert part.try_claim(50)
    assert (part.used_bytes, whole.used_bytes) == (50, 50)
    part.release(50)
    assert whole.try_claim(80)
    assert not part.try_claim(30)
    assert (part.used_bytes, whole.used_bytes) == (0, 80)


def test_threads_never_pass_the_budget() -> None:
    """Whatever eight threads claim and release, the sum stays within the bound and ends at 0."""
    budget = MemoryBudget(1000, "memory_bytes")
    cache = Cache(budget)
    seen: list[int] = []

    def work(seed: int) -> None:
        for i in range(300):
            if budget.try_claim(size := (seed * 37 + i * 101) % 400):
                seen.append(budget.used_bytes)
                budget.release(size)
            if budget.try_claim(10):
                budget.release(10)

    for key in range(50):
        cache.keep(key)
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert max(seen) <= 1000
    cache.give_back(1000)
    assert budget.used_bytes == 0
