from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from seedbed.files import Checkpoint, CheckpointSpec, VirtualFile
from seedbed.web.sums import Sums
from tests.serving import wait_until
from tests.web.local import Local, Raw

HUGE = "/v1/models/llama-2-13b/model.safetensors"  # 52 GB


def file_of(rows: int) -> VirtualFile:
    """A file of so many kilobytes."""
    tensors = [{"name": "a", "shape": [rows, 250], "init": "ones"}]
    return Checkpoint(CheckpointSpec.model_validate({"tensors": tensors})).whole


def request(*, stays: bool = True) -> Request:
    """One whose client stays, or has left."""

    async def receive() -> Message:
        if stays:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    headers = [(b"want-repr-digest", b"sha-256=1")]
    return Request({"type": "http", "headers": headers}, receive)


@pytest.fixture
def sums() -> Iterator[Sums]:
    """Sums of files up to 1 TB."""
    made = Sums(10**12)
    yield made
    made.close()


def test_one_pass_for_all_who_wait(sums: Sums) -> None:
    """Many who want one sum get the same, which is true, and is then known."""
    file = file_of(4000)

    async def ask() -> list[str]:
        return await asyncio.gather(*(sums.of(request(), file) for _ in range(5)))

    expected = hashlib.sha256(bytes(file.read(0, file.size))).hexdigest()
    assert asyncio.run(ask()) == [expected] * 5
    assert sums.known.find(file) == expected


def test_a_client_that_leaves_ends_the_pass(sums: Sums) -> None:
    """A sum that nobody waits for is given up, and the next file's is made."""

    async def ask() -> str:
        with pytest.raises(ClientDisconnect):
            await sums.of(request(stays=False), file_of(10**9))
        return await sums.of(request(), file_of(4))

    small = file_of(4)
    found = asyncio.run(ask())
    assert found == hashlib.sha256(bytes(small.read(0, small.size))).hexdigest()


def test_who_stays_gets_the_sum(sums: Sums) -> None:
    """One of two clients leaves: the other's sum goes on."""
    file = file_of(400_000)

    async def ask() -> str:
        left = asyncio.create_task(sums.of(request(stays=False), file))
        stays = asyncio.create_task(sums.of(request(), file))
        await asyncio.wait({left})
        return await stays

    found = asyncio.run(ask())
    whole = hashlib.sha256()
    for chunk in file.chunks():
        whole.update(chunk)
    assert found == whole.hexdigest()


def test_a_file_that_is_too_large() -> None:
    """Past the limit the preference is ignored, which RFC 9530 allows."""
    sums = Sums(10)
    assert asyncio.run(sums.header_for(request(), file_of(1))) == []
    sums.close()


def test_over_a_socket() -> None:
    """A client that hangs up while 52 GB are summed leaves nothing running behind."""
    with Local() as local:
        with Raw(local.port) as raw:
            raw.send(
                f"HEAD {HUGE} HTTP/1.1\r\nhost: x\r\nwant-repr-digest: sha-256=1\r\n\r\n".encode()
            )
            wait_until(lambda: local.service.sums._making, "the pass to begin")
        wait_until(lambda: not local.service.sums._making, "the pass to end")
        with local.client() as client:
            answer = client.head(
                "/v1/models/tiny-resnet/model.safetensors",
                headers={"want-repr-digest": "sha-256=1"},
            )
        assert len(base64.b64decode(answer.headers["repr-digest"][9:-1])) == 32
