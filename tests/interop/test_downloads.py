"""Download managers end with the same bytes, also when the service dies in mid-download.

The service is killed, not asked to end, and started again on its port. Downloads are slowed down
by the clients' own limits, and each test makes sure that the kill did fall into the middle.
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedbed.files import VirtualFile
from seedbed.files.one_tensor import spec_of_one
from tests.interop.conftest import EXAMPLES
from tests.interop.running import run
from tests.serving import PATIENCE_SECONDS, Server, serving, wait_until

pytestmark = pytest.mark.interop

TARGET = "/v1/tensors/he_normal/4096x4096.safetensors?seed=42"
SIZE = 64 << 20

BEGUN = 4 << 20
"""So much of a file is there when the service is killed."""

CURL = ("curl", "--disable", "--silent", "--show-error", "--fail")
WGET = ("wget", "--no-config", "--no-verbose")
ARIA = ("aria2c", "--no-conf", "--quiet", "--file-allocation=none", "-x8", "-s8", "-k1M")


@pytest.fixture(scope="module")
def sha256() -> str:
    """Of the file, drawn in this process."""
    digest = hashlib.sha256()
    for chunk in VirtualFile(spec_of_one("he_normal", "4096x4096", {"seed": "42"})).chunks():
        digest.update(chunk)
    return digest.hexdigest()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Server]:
    """A service of the test's own, which it may kill."""
    with serving(tmp_path, log_format="json") as server:
        yield server


def digest(path: Path) -> str:
    """SHA-256 of what was downloaded."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_plain(server: Server, tmp_path: Path, sha256: str) -> None:
    """A plain download has the bytes that are drawn here."""
    path = tmp_path / "w.safetensors"
    run(*CURL, "--output", path, server.url + TARGET)
    assert digest(path) == sha256


def test_parallel_pieces(server: Server, tmp_path: Path, sha256: str) -> None:
    """Pieces fetched side by side, of any length and in any order, join to the file."""
    head = run(*CURL, "--head", server.url + TARGET).stdout.lower()
    size = int(head.split("content-length:")[1].split()[0])
    assert SIZE < size < SIZE + 4096
    ends = [0, 1, 4097, 10_000_003, 10_000_004, 33_554_432, 60_000_001, size]
    pieces = [tmp_path / f"piece{i}" for i in range(len(ends) - 1)]
    places = zip(pieces, ends, ends[1:], strict=False)
    clients = [
        subprocess.Popen(
            [*CURL, "--range", f"{start}-{stop - 1}", "--output", str(piece), server.url + TARGET]
        )
        for piece, start, stop in reversed(list(places))
    ]
    assert [client.wait(PATIENCE_SECONDS) for client in clients] == [0] * len(clients)
    whole = tmp_path / "w.safetensors"
    whole.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    assert digest(whole) == sha256


def test_aria2(server: Server, tmp_path: Path, sha256: str) -> None:
    """aria2c over eight connections writes the same file."""
    run(*ARIA, "--dir", tmp_path, "--out", "w.safetensors", server.url + TARGET)
    assert digest(tmp_path / "w.safetensors") == sha256


def test_posted_spec(server: Server, tmp_path: Path) -> None:
    """Posting a spec by curl --json gets the file of the link in Content-Location."""
    posted, got, headers = (tmp_path / name for name in ("posted", "got", "headers"))
    spec = f"@{EXAMPLES / 'mlp.json'}"
    url = f"{server.url}/v1/checkpoints"
    run(*CURL, "--json", spec, "--dump-header", headers, "--output", posted, url)
    fields = dict(line.split(": ", 1) for line in headers.read_text().splitlines() if ": " in line)
    run(*CURL, "--output", got, server.url + fields["content-location"])
    assert digest(posted) == digest(got)
    assert str(posted.stat().st_size) == fields["content-length"]


def kill_midway(server: Server, client: subprocess.Popen[bytes], path: Path) -> None:
    """Kill the service when a part of the file is there, and hold it to be no more than a part."""

    def begun() -> bool:
        assert client.poll() is None, "the download ended before the service was killed"
        if not path.exists():
            return False
        file = path.stat()  # aria2 may write the end first, and leave holes
        return min(file.st_size, file.st_blocks * 512) > BEGUN

    wait_until(begun, f"{path.name} to be begun")
    server.end(signal.SIGKILL)
    aria2_has_more_to_do = path.with_name(f"{path.name}.aria2").exists()
    assert path.stat().st_size < SIZE or aria2_has_more_to_do


def answers(server: Server, since: int) -> list[tuple[int, int]]:
    """Status and bytes sent of each request for the file, from a place in the log on."""
    lines = map(json.loads, server.log.read_bytes()[since:].splitlines())
    return [(line["status"], line["sent_bytes"]) for line in lines if "/v1/tensors/" in str(line)]


CLIENTS = {
    "curl": (*CURL, "-C", "-", "-o", "w.safetensors"),
    "wget": (*WGET, "-c", "-O", "w.safetensors"),
    "aria2": (*ARIA, "-c", "-o", "w.safetensors"),
}
SLOWLY = {
    "curl": ("--limit-rate", "8M"),
    "wget": ("--limit-rate=8m",),
    "aria2": ("--max-overall-download-limit=8M",),
}
ONCE = {"curl": (), "wget": ("--tries=1",), "aria2": ("--max-tries=1",)}
AGAIN = {
    "curl": ("--retry", "60", "--retry-delay", "1", "--retry-all-errors"),
    "wget": ("--tries=60", "--waitretry=1", "--retry-connrefused"),
    "aria2": ("--max-tries=60", "--retry-wait=1"),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_resumed_by_a_second_command(
    mortal: Server, tmp_path: Path, sha256: str, name: str
) -> None:
    """A client that was cut off fails; run again, it gets only what is missing, and the file."""
    command = [*CLIENTS[name], *ONCE[name], mortal.url + TARGET]
    with subprocess.Popen([*command, *SLOWLY[name]], cwd=tmp_path) as client:
        kill_midway(mortal, client, tmp_path / "w.safetensors")
        assert client.wait(PATIENCE_SECONDS) != 0

    log_bytes = mortal.log.stat().st_size
    mortal.start()
    run(*command, cwd=tmp_path)
    assert digest(tmp_path / "w.safetensors") == sha256
    wait_until(lambda: answers(mortal, log_bytes), "the service to log the request")
    whole, part = (
        [sent for status, sent in answers(mortal, log_bytes) if status == wanted]
        for wanted in (200, 206)
    )
    assert len(whole) <= (name == "aria2")  # it asks once for all, to learn the size
    assert 0 < sum(part) < SIZE


@pytest.mark.parametrize("name", CLIENTS)
def test_resumed_by_the_client(mortal: Server, tmp_path: Path, sha256: str, name: str) -> None:
    """A client that tries again by itself outlives the service and ends with the file."""
    command = [*CLIENTS[name], *SLOWLY[name], *AGAIN[name], mortal.url + TARGET]
    with subprocess.Popen(command, cwd=tmp_path) as client:
        kill_midway(mortal, client, tmp_path / "w.safetensors")
        mortal.start()
        assert client.wait(PATIENCE_SECONDS) == 0
    assert digest(tmp_path / "w.safetensors") == sha256
