"""Attacks by connections, from one host, on a service with its usual settings."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.serving import PATIENCE_SECONDS, Server, free_port, serving
from tests.stress.loads import SIXTEEN_MIB, digest_of, download
from tests.stress.scale import note, sizes
from tests.web.local import TERABYTE, Raw

SMALL = "/v1/tensors/normal/64x64.safetensors"

ANOTHER_HOST = "127.0.0.2"
"""All of 127.0.0.0/8 are addresses of this machine, so the attacker can have one of its own."""


@contextlib.contextmanager
def crowd(port: int, count: int, said: bytes = b"") -> Iterator[list[Raw]]:
    """So many connections from another host, on each of which the same is said."""
    made = []
    try:
        for _ in range(count):
            raw = Raw(port, receive_buffer=2**14, host=ANOTHER_HOST)
            made.append(raw)
            with contextlib.suppress(ConnectionError):
                raw.send(said)
        yield made
    finally:
        for raw in made:
            raw.socket.close()


def longest_answer(*urls: str, times: int = 20) -> float:
    """Seconds of the slowest of so many requests, each by a connection of its own; all succeed."""
    longest = 0.0
    for _ in range(times):
        for url in urls:
            began = time.perf_counter()
            assert httpx.get(url, timeout=PATIENCE_SECONDS).status_code == 200
            longest = max(longest, time.perf_counter() - began)
    return longest


def cpu_seconds(server: Server) -> float:
    """What the process has had of the processors so far."""
    times = psutil.Process(server.pid).cpu_times()
    return float(times.user + times.system)


SILENCES = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: here\r\nX: y",
    "a request each": b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n",
}


@pytest.mark.parametrize("said", SILENCES.values(), ids=SILENCES)
@pytest.mark.parametrize("count", sizes(600, 1500, 5000))
def test_silent_connections(tmp_path: Path, count: int, said: bytes) -> None:
    """However many connections say nothing, all others are served, at both ports."""
    with contextlib.ExitStack() as stack:
        probes = free_port()
        server = stack.enter_context(serving(tmp_path, log_level="warning", probe_port=probes))
        _allow_descriptors(count + 500)
        before = cpu_seconds(server)
        stack.enter_context(crowd(server.port, count, said))
        urls = (f"{server.url}/healthz", server.url + SMALL, f"http://127.0.0.1:{probes}/healthz")
        longest = longest_answer(*urls)
        assert server.log.read_text() == ""
        taken = cpu_seconds(server) - before
    assert taken < 1 + count / 250
    note("silent_connections", count=count, cpu_seconds=round(taken, 2),
         longest_seconds=round(longest, 2))  # fmt: skip


def _allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, count), hard), hard))


@pytest.mark.parametrize("readers", sizes(64, 200, 400))
def test_slow_readers_of_one_host(tmp_path: Path, readers: int) -> None:
    """However many downloads one host holds and does not read, another's begin at once."""
    with serving(tmp_path, log_level="warning") as server:
        request = f"GET {TERABYTE} HTTP/1.1\r\nHost: here\r\n\r\n".encode()
        with crowd(server.port, readers, request):
            expected = digest_of(1)
            for _ in range(3):
                found, seconds = download(f"{server.url}{SIXTEEN_MIB}?seed=1")
                assert found == expected
            longest = longest_answer(f"{server.url}/healthz", server.url + SMALL)
    note("slow_readers_of_one_host", readers=readers, longest_seconds=round(longest, 2),
         download_seconds=round(seconds, 2))  # fmt: skip


def test_bodies_that_do_not_end(tmp_path: Path) -> None:
    """Bodies begun by one host on all the connections that it may have leave room for others."""
    with serving(tmp_path, log_level="warning") as server:
        body = (
            b"POST /v1/describe HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        with crowd(server.port, 600, body):
            longest = longest_answer(f"{server.url}/healthz", server.url + SMALL)
    note("bodies_that_do_not_end", longest_seconds=round(longest, 2))


@pytest.mark.parametrize("clients", sizes(3, 6, 20))
def test_directories_of_tiny_files(tmp_path: Path, clients: int) -> None:
    """As many shards as may be cost little, once, and more are refused; clients that leave nothing.

    A shard limit in bytes makes files by the ten thousand of a model of many tensors.
    """
    with serving(tmp_path, log_level="warning") as server:
        before = cpu_seconds(server)
        tiny = server.url + "/seedbed/qwen3-235b-a22b.shard-1B/resolve/main/README.md"
        assert httpx.get(tiny, timeout=PATIENCE_SECONDS).headers["x-error-code"] == "EntryNotFound"
        many = "/seedbed/qwen3-235b-a22b.shard-260MB/resolve/main/README.md"
        with crowd(server.port, clients, f"GET {many} HTTP/1.1\r\nHost: h\r\n\r\n".encode()):
            pass  # and go
        longest = longest_answer(f"{server.url}/healthz", server.url + SMALL)
        assert httpx.get(server.url + many, timeout=PATIENCE_SECONDS).status_code == 200
        seconds = cpu_seconds(server) - before
        assert server.log.read_text() == ""
    assert seconds < 3 + 2 * clients  # 46 each, with a search of all names for each name
    note("tiny_files", clients=clients, cpu_seconds=round(seconds, 1),
         longest_seconds=round(longest, 2))  # fmt: skip


@pytest.mark.parametrize("clients", sizes(2, 10, 30))
def test_sums_of_huge_files(tmp_path: Path, clients: int) -> None:
    """While one host waits for the sums of huge files, another's listings come at once."""
    huge = "/v1/models/qwen3-32b/model.safetensors?seed="
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(tmp_path, log_level="warning"))
        for seed in range(clients):
            said = f"HEAD {huge}{seed} HTTP/1.1\r\nHost: h\r\nWant-Repr-Digest: sha-256=1\r\n\r\n"
            stack.enter_context(crowd(server.port, 1, said.encode()))
        longest = longest_answer(f"{server.url}/healthz", server.url + SMALL, times=5)
        for seed in range(3):
            tree = f"{server.url}/api/models/seedbed/tiny-resnet/tree/seed-{seed}"
            began = time.perf_counter()
            listing = httpx.get(tree, timeout=PATIENCE_SECONDS).json()
            assert any("lfs" in entry for entry in listing)
            seconds = time.perf_counter() - began
    note("sums_of_huge_files", clients=clients, listing_seconds=round(seconds, 2),
         longest_seconds=round(longest, 2))  # fmt: skip
