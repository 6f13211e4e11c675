from __future__ import annotations

import asyncio
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from seedbed.errors import EngineError
from seedbed.files import Checkpoint, CheckpointSpec, SmallFile, VirtualFile
from seedbed.web.digests import Digests
from seedbed.web.problems import RequestProblem
from tests.serving import wait_until
from tests.web.local import Local, Raw

HUGE = "/v1/models/llama-2-13b/model.safetensors"  # 52 GB


def file_of(rows: int) -> VirtualFile:
    """A file of so many kilobytes."""
    tensors = [{"name": "a", "shape": [rows, 250], "init": "ones"}]
    return Checkpoint(CheckpointSpec.model_validate({"tensors": tensors})).whole


def request(client: str = "192.0.2.1", *, stays: bool = True) -> Request:
    """One whose client stays, or has left."""

    async def receive() -> Message:
        if stays:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    headers = [(b"want-repr-digest", b"sha-256=1")]
    return Request({"type": "http", "headers": headers, "client": (client, 1)}, receive)


@pytest.fixture
def digests() -> Iterator[Digests]:
    """Sums of files up to 1 TB, for each client of 10 GB at a time."""
    made = Digests(10**12, 10**10, 7)
    yield made
    made.close()


def test_one_pass_for_all_who_wait(digests: Digests) -> None:
    """Many who want one sum get the same, which is true, and is then known."""
    file = file_of(4000)

    async def ask() -> list[str]:
        return await asyncio.gather(*(digests.of(request(), file) for _ in range(5)))

    expected = hashlib.sha256(bytes(file.read(0, file.size))).hexdigest()
    assert asyncio.run(ask()) == [expected] * 5
    assert digests.known.find(file) == expected


def test_a_client_that_leaves_ends_the_pass(digests: Digests) -> None:
    """A sum that nobody waits for is given up, and the next file's is made."""

    async def ask() -> str:
        with pytest.raises(ClientDisconnect):
            await digests.of(request(stays=False), file_of(10**9))
        return await digests.of(request(), file_of(4))

    small = file_of(4)
    found = asyncio.run(ask())
    assert found == hashlib.sha256(bytes(small.read(0, small.size))).hexdigest()


def test_who_stays_gets_the_sum(digests: Digests) -> None:
    """One of two clients leaves: the other's sum goes on."""
    file = file_of(400_000)

    async def ask() -> str:
        left = asyncio.create_task(digests.of(request(stays=False), file))
        stays = asyncio.create_task(digests.of(request(), file))
        await asyncio.wait({left})
        return await stays

    found = asyncio.run(ask())
    whole = hashlib.sha256()
    for chunk in file.chunks():
        whole.update(chunk)
    assert found == whole.hexdigest()


def test_turns(digests: Digests) -> None:
    """Small files are summed beside huge ones, another client's at once and one's own first."""
    huge = [file_of(3 * 10**6 + i) for i in range(3)]  # of three gigabytes each

    async def ask() -> None:
        waits = [asyncio.create_task(digests.of(request("192.0.2.1"), one)) for one in huge]
        await asyncio.sleep(0)
        for client in ("192.0.2.1", "192.0.2.2"):
            small = [asyncio.create_task(digests.of(request(client), file_of(4))) for _ in range(2)]
            await asyncio.gather(*small)
        assert not any(one.done() for one in waits)
        for one in waits:
            one.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        assert not digests._jobs
        assert not digests._turns

    asyncio.run(ask())


def test_what_one_client_may_ask(digests: Digests) -> None:
    """Past a client's part a header is ignored and a listing refused; others have their own."""
    large, more = file_of(2 * 10**7), file_of(10**4)

    async def ask() -> None:
        waits = asyncio.create_task(
            digests.of(request("192.0.2.1"), large)
        )  # one alone may be larger
        await asyncio.sleep(0)
        assert await digests.header_for(request("192.0.2.1"), more) == []
        with pytest.raises(RequestProblem) as refusal:
            await digests.of(request("192.0.2.1"), more)
        assert (refusal.value.status, refusal.value.headers) == (429, {"retry-after": "7"})
        assert len(await digests.header_for(request("192.0.2.2"), more)) == 1
        assert len(await digests.header_for(request("192.0.2.1"), more)) == 1  # known by now
        waits.cancel()

    asyncio.run(ask())


def test_an_error_is_everybody_s(digests: Digests) -> None:
    """If a file cannot be drawn, all who wait are told, and the next file's sum is made."""

    class Broken(SmallFile):
        def read_into(self, start: int, out: memoryview) -> None:
            raise EngineError(f"provoked at {start} of {len(out)}")

    async def ask() -> None:
        waits = [digests.of(request(), Broken("x", b"abc")) for _ in range(3)]
        found = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(one) for one in found] == [EngineError] * 3
        assert len(await digests.of(request(), file_of(1))) == 64

    asyncio.run(ask())


def test_a_file_that_is_too_large() -> None:
    """Past the limit the preference is ignored, which RFC 9530 allows."""
    digests = Digests(10, 10, 1)
    assert asyncio.run(digests.header_for(request(), file_of(1))) == []
    digests.close()


def test_over_a_socket() -> None:
    """A client that hangs up while 52 GB are summed leaves nothing running behind."""
    with Local() as local:
        with Raw(local.port) as raw:
            raw.send(
                f"HEAD {HUGE} HTTP/1.1\r\nhost: x\r\nwant-repr-digest: sha-256=1\r\n\r\n".encode()
            )
            wait_until(lambda: local.service.digests._jobs, "the pass to begin")
        wait_until(lambda: not local.service.digests._jobs, "the pass to end")
        with local.client() as client:
            answer = client.head(
                "/v1/models/tiny-resnet/model.safetensors",
                headers={"want-repr-digest": "sha-256=1"},
            )
        assert len(b64decode(answer.headers["repr-digest"][9:-1])) == 32


def test_every_kind_of_file(tmp_path: Path) -> None:
    """One tensor, a link, a preset, a stored spec and a repository have the header alike."""
    spec = {"tensors": [{"name": "a", "shape": [50, 3], "init": "normal"}]}
    with Local(registry_url=f"sqlite:///{tmp_path}/r.db") as local, local.client() as client:
        link = client.post("/v1/checkpoints", json=spec).headers["content-location"]
        client.put("/v1/specs/a/b", json=spec)
        for path in (
            "/v1/tensors/normal/50x3.safetensors",
            link,
            "/v1/models/tiny-resnet/model.safetensors",
            "/v1/specs/a/b/model.safetensors",
            "/v1/specs/a/b/README.md",
            "/a/b/resolve/main/model.safetensors",
        ):
            whole = client.get(path)
            assert "repr-digest" not in whole.headers
            wants = {"want-repr-digest": "sha-256=1"}
            digest = b64encode(hashlib.sha256(whole.content).digest()).decode()
            for answer in (
                client.get(path, headers=wants),
                client.head(path, headers=wants),
                client.get(path, headers={**wants, "range": "bytes=3-5"}),
            ):
                assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
