from __future__ import annotations

import hashlib
import signal
from pathlib import Path

import httpx
import pytest

from seedbed.files import CheckpointSpec, VirtualFile
from tests.serving import Server, serving
from tests.web.local import MIB, Raw

BODY = {
    "seed": 2**60 + 1,
    "tensors": [
        {"name": "a", "shape": [4000, 3001], "init": "he_normal"},
        {"name": "b", "shape": [5_000_001], "init": "uniform", "dtype": "BF16"},
    ],
}
FILE = VirtualFile(CheckpointSpec.model_validate(BODY))


def digest_of_all() -> str:
    """SHA-256 of the file, made without HTTP."""
    digest = hashlib.sha256()
    for chunk in FILE.chunks():
        digest.update(chunk)
    return digest.hexdigest()


def until_killed(server: Server, link: str, start: int, etag: str | None, least: int) -> bytes:
    """What a download from `start` on gets of the file before the server is killed."""
    headers = [f"Range: bytes={start}-", f"If-Range: {etag}"] if etag else []
    with Raw(server.port, receive_buffer=2**16) as raw:
        status, fields = raw.get(link, *headers).head()
        assert status == (206 if etag else 200)
        assert int(fields["content-length"]) == FILE.size - start
        begun = raw.take(least)
        server.end(signal.SIGKILL)
        got = begun + raw.rest()
    assert least <= len(got) < FILE.size - start
    return got


def test_killed_and_started_again(tmp_path: Path) -> None:
    """A server killed −9 in the middle of a download, twice, goes on where it was cut.

    The link, the ETag and the bytes are the same after each start.
    """
    with serving(tmp_path) as server:
        described = httpx.post(f"{server.url}/v1/describe", json=BODY).json()
        link, etag = described["links"]["file"], f'"{described["etag"]}"'
        got = until_killed(server, link, 0, None, 3 * MIB)
        server.start()
        got += until_killed(server, link, len(got), etag, 2 * MIB + 1)
        server.start()
        rest = httpx.get(
            server.url + link, headers={"range": f"bytes={len(got)}-", "if-range": etag}
        )
        assert rest.status_code == 206
        assert rest.headers["content-range"] == f"bytes {len(got)}-{FILE.size - 1}/{FILE.size}"
        assert rest.headers["etag"] == etag
        got += rest.content
    assert len(got) == FILE.size
    assert hashlib.sha256(got).hexdigest() == digest_of_all()


@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_another_replica_goes_on(tmp_path: Path, client: httpx.Client, engine: str) -> None:
    """The rest of a download may come from a replica with another engine and other settings."""
    link = client.post("/v1/describe", json=BODY).json()["links"]["file"]
    cut = 7_654_321
    with serving(tmp_path, engine=engine, threads=3, chunk_bytes=123_457) as other:
        last = httpx.get(other.url + link, headers={"range": f"bytes={cut}-{cut + 3 * MIB}"})
        first = client.get(link, headers={"range": f"bytes={cut - 100}-{cut + 100}"})
    assert last.headers["etag"] == first.headers["etag"] == f'"{FILE.etag}"'
    assert last.content == FILE.read(cut, cut + 3 * MIB + 1)
    assert first.content[100:] == last.content[:101]
