from __future__ import annotations

import pytest

from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.files.one_tensor import spec_of_one
from seedbed.memory import Claim, MemoryBudget
from seedbed.stream import get_engine
from seedbed.web.plan_cache import PlanCache

NUMPY = get_engine("numpy")


def small(seed: int = 0) -> VirtualFile:
    """The plan of one tensor."""
    return VirtualFile(spec_of_one("zeros", "1", {"seed": str(seed)}), engine=NUMPY)


def large(tensors: int, note: str = "") -> VirtualFile:
    """The plan of many."""
    spec = CheckpointSpec.model_validate(
        {
            "tensors": [{"name": f"t{i}", "shape": [1], "init": "ones"} for i in range(tensors)],
            "metadata": {"note": note},
        }
    )
    return VirtualFile(spec, engine=NUMPY)


def test_cache_finds_what_it_keeps() -> None:
    """A file is found under its key, the very same object, and under no other."""
    cache = PlanCache(10**6)
    file = small()
    assert cache.find("a") is None
    assert cache.keep("a", file, 1) is file
    assert cache.find("a") is file
    assert cache.find("b") is None
    assert len(cache) == 1


def test_cache_forgets_the_least_recently_used() -> None:
    """When there are too many, those go that nobody has asked for longest."""
    cache = PlanCache(10**5)
    files = {seed: cache.keep(seed, small(seed), 8) for seed in range(10)}
    for seed in range(10, 200):
        assert cache.find(3) is files[3]
        cache.keep(seed, small(seed), 8)
    assert cache.find(0) is None
    assert cache.find(3) is files[3]
    assert cache.find(199) is not None
    assert 5 < len(cache) < 50


@pytest.mark.parametrize("heavy", ["tensors", "metadata", "key"])
def test_cache_counts_what_is_large(heavy: str) -> None:
    """Many tensors, long metadata and long keys each push others out."""
    cache = PlanCache(10**5)
    for seed in range(5):
        cache.keep(seed, small(seed), 8)
    file = large(200 if heavy == "tensors" else 1, "x" * 60_000 if heavy == "metadata" else "")
    cache.keep("large", file, 10**6 if heavy == "key" else 5)
    assert cache.find("large") is file
    assert len(cache) == 1


def test_cache_keeps_one_at_least() -> None:
    """The last file stays, however large: the ranges of a download come one after the other."""
    cache = PlanCache(0)
    cache.keep("a", small(1), 1)
    file = cache.keep("b", large(100), 1)
    assert cache.find("a") is None
    assert cache.find("b") is file


def test_cache_counts_a_key_once() -> None:
    """Two requests that plan one file at the same time do not use up the room twice."""
    cache = PlanCache(10**5)
    for _ in range(1000):
        cache.keep("same", small(), 8)
    for seed in range(5):
        cache.keep(seed, small(seed), 8)
    assert len(cache) == 6
    assert cache.find("same") is not None


def held(seed: int, claim: Claim) -> VirtualFile:
    """The plan of one tensor, which holds a claim for as long as it is there."""
    return VirtualFile(spec_of_one("zeros", "1", {"seed": str(seed)}), engine=NUMPY, held=claim)


def test_cache_counts_what_a_plan_holds() -> None:
    """A plan that says how much it takes is not estimated."""
    memory, cache = MemoryBudget(10**7, "memory_bytes"), PlanCache(10**6)
    for seed in range(10):
        cache.keep(seed, held(seed, Claim(memory, 3 * 10**5, "plans")), 8)
    assert len(cache) == 3


def test_cache_gives_back_what_others_need() -> None:
    """When there is no room, the oldest plans go, the last of them too, and no more than need."""
    memory = MemoryBudget(1000, "memory_bytes")
    cache = PlanCache(10**6, memory=memory)
    for seed in range(10):
        cache.keep(seed, held(seed, Claim(memory, 100, "plans")), 0)
    some = Claim(memory, 250, "bodies")
    assert (len(cache), memory.used_bytes) == (7, 950)
    assert cache.find(2) is None
    assert cache.find(3) is not None
    some.end()
    Claim(memory, 1000, "bodies").end()
    assert (len(cache), memory.used_bytes) == (0, 0)
