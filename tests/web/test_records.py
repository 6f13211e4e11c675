from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from safetensors.numpy import load

from seedbed.web import records
from tests.models.test_recorded import ENTRIES, TINY_GPT2
from tests.serving import wait_until
from tests.web import odd_recorder
from tests.web.local import Local, Raw

NOBODYS = {"model_type": "nobodys", "architectures": ["NobodysModel"], "entries": ENTRIES}

Serve = Callable[..., Local]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Has a library installed in a release, or none, for services that start then."""
    monkeypatch.setattr(records, "RECORDER", odd_recorder.__name__)

    def install(version: str | None) -> None:
        monkeypatch.setattr(records, "installed", lambda: version)

    install(odd_recorder.VERSION)
    return install


@pytest.fixture
def server(library: Callable[[str | None], None]) -> Iterator[Local]:
    """A service that has it."""
    assert library
    with Local(queue_seconds=60) as local:
        yield local


def body(config: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A spec of a config."""
    return {"model": {"config": config}, "seed": 7, **more}


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and kind of a problem."""
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def test_a_config_that_the_catalogue_does_not_know(server: Local) -> None:
    """It is planned by the library's word; header, ranges, index and link are of one file."""
    with server.client() as client:
        posted = client.post("/v1/checkpoints", json=body(NOBODYS, max_shard_size="100B"))
        assert posted.status_code == 200, posted.text
        link = posted.headers["content-location"]
        assert client.get(link).content == posted.content
        part = client.get(link, headers={"range": "bytes=100-300"})
        assert (part.status_code, part.content) == (206, posted.content[100:301])
        directory = link.rpartition("/")[0]
        index = client.get(f"{directory}/model.safetensors.index.json").json()
        tensors: dict[str, Any] = {}
        for name in set(index["weight_map"].values()):
            tensors |= load(client.get(f"{directory}/{name}").content)
        whole = load(posted.content)
        assert {k: v.tobytes() for k, v in tensors.items()} == {
            k: v.tobytes() for k, v in whole.items()
        }
        described = client.post("/v1/describe", json=body(NOBODYS)).json()
        said = json.loads(described["metadata"]["seedbed.spec"])["model"]["recorded"]
        assert (said["library"], said["version"]) == ("transformers", odd_recorder.VERSION)
        card = client.get(f"{directory}/README.md").text
        assert f"transformers {odd_recorder.VERSION}, recorded" in card


def test_what_the_catalogue_knows_is_not_recorded(
    server: Local, library: Callable[[str | None], None], tmp_path: Path
) -> None:
    """One spec has one file, whether or not a library is installed."""
    told = tmp_path / "told"
    with server.client() as client:
        answer = client.post("/v1/checkpoints", json=body(TINY_GPT2))
        client.post("/v1/checkpoints", json=body({**NOBODYS, "tell": str(told)}))
    assert len(told.read_text().split()) == 1
    library(None)
    with Local() as light, light.client() as client:
        other = client.post("/v1/checkpoints", json=body(TINY_GPT2))
    assert (other.headers["etag"], other.content) == (answer.headers["etag"], answer.content)
    assert other.headers["content-location"] == answer.headers["content-location"]
    assert b"recorded" not in answer.content[:4000]


def test_once_for_all_who_ask(server: Local, tmp_path: Path) -> None:
    """Ten clients at once have one recording made, and those who come later none."""
    told = tmp_path / "told"
    spec = body({**NOBODYS, "tell": str(told), "wait": 0.5})

    async def ask() -> set[str]:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            work = (client.post("/v1/describe", json=spec) for _ in range(10))
            answers = await asyncio.gather(*work)
            answers.append(await client.post("/v1/describe", json={**spec, "seed": 8}))
            return {answer.json()["spec_sha256"] for answer in answers}

    assert len(asyncio.run(ask())) == 1
    assert len(told.read_text().split()) == 1


def test_its_client_leaves(server: Local, tmp_path: Path) -> None:
    """The process ends with the last client that waits for it."""
    told = tmp_path / "told"
    text = json.dumps(body({**NOBODYS, "tell": str(told), "wait": 600})).encode()
    with Raw(server.port) as raw:
        head = "POST /v1/describe HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        raw.send(f"{head}Content-Length: {len(text)}\r\n\r\n".encode(), text)
        wait_until(lambda: told.exists() and told.read_text().endswith("\n"), "it to begin")
        pid = int(told.read_text())
        assert psutil.pid_exists(pid)
    wait_until(lambda: not psutil.pid_exists(pid), "it to end")
    wait_until(lambda: server.service.memory.used_bytes == 0, "its room to be given back")


def test_what_the_library_refuses(server: Local) -> None:
    """Its words come first, what the catalogue says after them; a limit is said as one."""
    with server.client() as client:
        answer = client.post("/v1/describe", json=body({**NOBODYS, "fail": "no such width"}))
        assert problem_of(answer) == (422, "invalid-spec")
        first, second = answer.json()["errors"][:2]
        assert (first["detail"], first["pointer"]) == ("no such width", "#/model/config")
        assert "nobodys" in second["detail"]


def test_too_long(library: Callable[[str | None], None]) -> None:
    """A recording that takes longer than it may is ended, and the setting is named."""
    assert library
    with Local(recorder_seconds=1) as local, local.client() as client:
        answer = client.post("/v1/describe", json=body({**NOBODYS, "wait": 600}))
        assert problem_of(answer) == (503, "busy")
        assert "to record this takes longer" in answer.json()["detail"]


def test_a_library_that_is_not_here(library: Callable[[str | None], None]) -> None:
    """A link leads to its file where the record is, or the release; else what is needed is said."""
    with Local() as local, local.client() as client:
        link = client.post("/v1/checkpoints", json=body(NOBODYS)).headers["content-location"]
        spec = client.post("/v1/describe", json=body(NOBODYS)).json()["metadata"]["seedbed.spec"]
    digest = json.loads(spec)["model"]["recorded"]["digest"]
    for version in (None, "9.9.8"):
        library(version)
        with Local() as other, other.client() as client:
            assert (version is None) == (
                client.post("/v1/describe", json=body(NOBODYS)).status_code == 422
            )
            for answer in (
                client.get(link),
                client.post("/v1/checkpoints", json=json.loads(spec)),
                client.post("/v1/describe", json=json.loads(spec)),
            ):
                assert problem_of(answer) == (409, "not-recorded")
                assert answer.json()["needs"] == {
                    "library": "transformers", "version": odd_recorder.VERSION, "digest": digest,
                }  # fmt: skip
    library(odd_recorder.VERSION)
    with Local() as again, again.client() as client:
        assert client.get(link, headers={"range": "bytes=0-9"}).status_code == 206
        other_digest = json.loads(spec.replace(digest, "0" * 32))
        answer = client.post("/v1/checkpoints", json=other_digest)
        assert problem_of(answer) == (409, "recorded-differently")


def test_a_link_says_whose_it_is(server: Local, library: Callable[[str | None], None]) -> None:
    """Of a link that names no release nothing is recorded: it is the catalogue's, or a 404."""
    from seedbed.files import CheckpointSpec

    token = CheckpointSpec.model_validate(body(NOBODYS)).token
    assert library
    with server.client() as client:
        answer = client.get(f"/v1/checkpoints/{token}/model.safetensors")
        assert problem_of(answer) == (404, "invalid-token")


def test_names(library: Callable[[str | None], None], tmp_path: Path) -> None:
    """What is stored names the release; by the registry its files need no library."""
    url = f"sqlite:///{tmp_path}/registry.db"
    path = "/v1/specs/team/nobodys"
    with Local(registry_url=url) as local, local.client() as client:
        assert client.put(path, json=body(NOBODYS)).status_code == 201
        assert client.put(path, json=body(NOBODYS)).status_code == 200
        stored = client.get(path).json()
        assert stored["model"]["recorded"]["version"] == odd_recorder.VERSION
        assert (stored["seed"], stored["model"]["config"]) == (7, NOBODYS)
        file = client.get(f"{path}/model.safetensors")
        hub = client.get("/team/nobodys/resolve/main/model.safetensors")
        assert file.content == hub.content
        assert client.put("/v1/specs/team/gpt2", json=body(TINY_GPT2)).status_code == 201
        assert client.get("/v1/specs/team/gpt2").json() == body(TINY_GPT2)
    library(None)
    with Local(registry_url=url) as light, light.client() as client:
        assert client.get(f"{path}/model.safetensors").content == file.content
        commit = hub.headers["x-repo-commit"]
        pinned = client.get(f"/team/nobodys/resolve/{commit}/model.safetensors")
        assert pinned.content == file.content
        other = {
            "model": {"config": NOBODYS, "recorded": {"library": "transformers", "version": "1"}}
        }
        assert problem_of(client.put(path, json=other)) == (409, "not-recorded")


def test_the_library_rests(library: Callable[[str | None], None]) -> None:
    """It is loaded when it is first wanted, and goes when it has not been for a while."""
    assert library
    with Local(recorder_idle_seconds=0.2) as local, local.client() as client:
        template = local.service.records.planners.template
        assert template.pid is None
        assert client.post("/v1/describe", json=body(NOBODYS)).status_code == 200
        wait_until(lambda: template.pid is None, "it to go")
        assert client.post("/v1/describe", json=body({**NOBODYS, "a": 1})).status_code == 200
