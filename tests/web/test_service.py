from __future__ import annotations

import asyncio
import gc
import json
import pickle
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from seedbed.errors import TokenError
from seedbed.files import CheckpointSpec
from seedbed.web import jobs
from seedbed.web.jobs import Source
from seedbed.web.planning import Planners
from seedbed.web.problems import RequestProblem
from seedbed.web.service import Service, while_connected
from seedbed.web.settings import Settings
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


# Without a server: what is planned where, and for whom


@pytest.fixture
def service() -> Iterator[Service]:
    """One with its usual settings, and no registry."""
    made = Service(Settings(registry_url="none", engine="numpy"))
    yield made
    made.close()


def request(leaves: asyncio.Event | None = None, query: bytes = b"") -> Request:
    """One whose body has been read, of a client that stays, or leaves when it is told to."""

    async def receive() -> dict[str, Any]:
        await (leaves or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    scope = {"type": "http", "headers": [], "query_string": query, "client": ("127.0.0.1", 1)}
    return Request(scope, receive)


def source(**fields: Any) -> Source:
    """The text of a spec."""
    return Source(json.dumps(fields).encode())


def tensors(count: int, **fields: Any) -> list[dict[str, Any]]:
    """So many tensors of a few bytes."""
    return [{"name": f"t{i}", "shape": [2], "init": "ones", **fields} for i in range(count)]


LONG_NAME = "n" * 1000

SHORT = {
    "a tensor": source(tensors=tensors(1)),
    "two hundred": source(tensors=tensors(200)),
    "spaces": Source(source(tensors=tensors(1)).text.ljust(1 << 14)),
    "another seed": Source(source(tensors=tensors(1)).text, changes={"seed": 7}),
}
ELSEWHERE = {
    "a tensor more": source(tensors=tensors(201)),
    "layers of many": source(
        layers=[{"type": "lstm", "name": "l", "input_size": 1, "hidden_size": 1,
                 "num_layers": 51}]
    ),
    "a text that is longer": Source(source(tensors=tensors(1)).text.ljust((1 << 14) + 1)),
    "a preset": Source(preset="tiny-gpt2"),
    "a model": source(model={"preset": "tiny-gpt2"}),
    "rules": source(
        tensors=[{"name": f"{i}{LONG_NAME}", "shape": [2], "init": "ones"} for i in range(9)],
        rules=[{"match": f"*{i}", "init": "ones", "optional": True} for i in range(120)],
    ),
}  # fmt: skip


@pytest.fixture
def elsewhere(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[Source]:
    """What is given to other processes to plan, whose answers are made here, in parts."""
    given: list[Source] = []

    async def run(client: str, job: Any, wanted: Source, *arguments: Any) -> AsyncIterator[bytes]:
        assert (client, job) == ("127.0.0.1", jobs.plan)
        given.append(wanted)
        for part in job(wanted, *arguments):
            yield part

    monkeypatch.setattr(service.planners, "run", run)
    return given


def planned(service: Service, wanted: Source) -> list[str]:
    """Names of the tensors of a spec's checkpoint, and that it is made once."""

    async def work() -> list[str]:
        twice = [
            await service.checkpoint_of(request(), wanted.text + wanted.preset.encode(), 9, again)
            for again in (lambda: wanted, lambda: pytest.fail("it is remembered"))
        ]
        assert twice[0] is twice[1]
        return [tensor.name for tensor in twice[0].tensors]

    return asyncio.run(work())


@pytest.mark.parametrize("kind", SHORT)
def test_what_is_short_is_planned_here(
    service: Service, elsewhere: list[Source], kind: str
) -> None:
    """A spec that surely takes milliseconds costs no process."""
    wanted = SHORT[kind]
    spec = wanted.spec(service.settings.text_limits)
    assert sorted(planned(service, wanted)) == sorted(tensor.name for tensor in spec.tensors)
    assert elsewhere == []


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_what_may_take_long_is_not(service: Service, elsewhere: list[Source], kind: str) -> None:
    """Whatever makes a spec long, the loop does not plan it, and it means the same tensors."""
    wanted = ELSEWHERE[kind]
    names = planned(service, wanted)
    assert elsewhere == [wanted]
    spec = wanted.spec(service.settings.text_limits)
    tensors_here = service.plan_checkpoint(spec).tensors
    assert sorted(names) == sorted(tensor.name for tensor in tensors_here)


def test_what_was_planned_here_is_held_while_it_is_there(service: Service) -> None:
    """It takes room of the budget too."""
    before = service.memory.used_bytes
    planned(service, SHORT["two hundred"])
    assert service.memory.used_bytes - before > 200 * 1000


def test_what_was_planned_elsewhere_is_held_while_it_is_there(
    service: Service, elsewhere: list[Source]
) -> None:
    """Its bytes are claimed of the budget, as much as its process says."""
    before = service.memory.used_bytes
    planned(service, wanted := ELSEWHERE["a tensor more"])
    limits = service.settings.text_limits
    packed, _ = pickle.loads(next(iter(jobs.plan(elsewhere[0], limits, None, ""))))
    assert wanted == elsewhere[0]
    assert service.memory.used_bytes - before >= packed.size_bytes > 0


def test_work_ends_with_its_client() -> None:
    """A client that leaves has its work cancelled; one that stays has the answer."""
    cancelled = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    async def work() -> None:
        leaves = asyncio.Event()
        asyncio.get_running_loop().call_soon(leaves.set)
        with pytest.raises(ClientDisconnect):
            await while_connected(request(leaves), endless())
        assert cancelled == [True]
        assert await while_connected(request(), answer()) == 7
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(work())


def test_a_link_leads_to_its_files_or_says_which_there_are(service: Service) -> None:
    """A name that a link does not have is a 404 that lists some; a damaged token is refused."""
    token = CheckpointSpec.model_validate({"tensors": tensors(3), "max_shard_size": 16}).token

    async def work() -> None:
        for name in ("model.safetensors", "model-00002-of-00002.safetensors"):
            assert (await service.file_of_token(request(), token, name)).name == name
        with pytest.raises(RequestProblem, match=r"model-00001-of-00002\.safetensors") as caught:
            await service.file_of_token(request(), token, "model-00003-of-00002.safetensors")
        assert caught.value.status == 404
        with pytest.raises(TokenError) as damaged:
            await service.file_of_token(request(), token[:-3], "model.safetensors")
        assert damaged.value.path[0] == "token"
        with pytest.raises(Exception, match="says everything"):
            await service.file_of_token(request(query=b"seed=1"), token, "model.safetensors")

    asyncio.run(work())
