from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from seedbed.web import jobs
from seedbed.web.planning import Planners
from tests.serving import wait_until
from tests.stress.attacks import lstm
from tests.web.local import Local, Raw

SHARDED = "/seedbed/qwen3-0.6b.shard-100MB/resolve/main/README.md"


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What processes are asked to plan, as it is asked."""
    asked: list[object] = []
    run = Planners.run

    def counted(self: Planners, client: str, function: Any, *arguments: Any) -> Any:
        if function is jobs.plan:
            asked.append(arguments[0])
        return run(self, client, function, *arguments)

    monkeypatch.setattr(Planners, "run", counted)
    return asked


def test_many_clients_share_one_plan(plans: list[object]) -> None:
    """Those who ask for files of one checkpoint at the same time wait for one plan of it."""
    with Local() as local, local.client() as client, ThreadPoolExecutor(6) as pool:
        answers = [*pool.map(lambda _: client.get(SHARDED), range(6))]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert len(plans) == 1
        assert len(local.service.cache) == 1


def test_a_plan_outlives_the_client_that_began_it(plans: list[object]) -> None:
    """It ends with the last who waits for it, and gives back the room that it had."""
    with Local() as local:
        planners, memory = local.service.planners, local.service.memory
        with Raw(local.port) as first:
            first.get(SHARDED)
            wait_until(lambda: len(plans) == 1, "a plan to begin")
            second = Raw(local.port).get(SHARDED)
            wait_until(
                lambda: (
                    2 in [*local.service._plans._waiting.values()] or len(local.service.cache) == 1
                ),
                "the second client to wait for the same plan",
            )
        with second:
            assert second.answer().status == 200
        assert len(plans) == 1
        for seed in range(3):
            with Raw(local.port) as one:
                one.get(SHARDED.replace("main", f"seed-{seed}"))
        wait_until(lambda: planners.active == 0, "plans that nobody waits for to end")
        local.service.cache.give_back(2**62)
        assert memory.used_bytes == 0


def test_a_large_plan_is_not_looked_through_for_garbage() -> None:
    """To look through all that lives holds the loop: it is not done while a plan comes in."""
    stops: list[int] = []

    def count(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            stops.append(info["collected"])

    with Local() as local, local.client() as client:
        gc.collect()  # which begins to count anew
        gc.callbacks.append(count)
        try:
            layers = [lstm(f"l{i}") for i in range(8)]
            answer = client.post("/v1/checkpoints", json={"layers": layers})
        finally:
            gc.callbacks.remove(count)
    assert answer.status_code == 200
    assert stops == []
