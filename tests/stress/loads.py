"""Clients in numbers: slow, fast, leaving; and a look at the process that they meet."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import psutil

from seedbed.files import VirtualFile
from seedbed.files.one_tensor import spec_of_one
from tests.serving import PATIENCE_SECONDS, Server, wait_until
from tests.web.local import TERABYTE, Raw

SIXTEEN_MIB = "/v1/tensors/normal/2048x2048.safetensors"


def digest_of(seed: int) -> str:
    """SHA-256 of `SIXTEEN_MIB` with this seed, made without HTTP."""
    file = VirtualFile(spec_of_one("normal", "2048x2048", {"seed": str(seed)}))
    return hashlib.sha256(file.read(0, file.size)).hexdigest()


@dataclass(frozen=True)
class Usage:
    """What a process has."""

    rss_bytes: int
    descriptors: int
    threads: int


def usage(server: Server) -> Usage:
    """What a service has now."""
    process = psutil.Process(server.pid)
    return Usage(process.memory_info().rss, process.num_fds(), process.num_threads())


def metric(server: Server, name: str) -> float:
    """The sum of a metric over its labels."""
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    named = (line for line in lines if line.split("{")[0].split(" ")[0] == name)
    return sum(float(line.rpartition(" ")[2]) for line in named)


def settle(server: Server) -> Usage:
    """What a service has when no download is under way."""
    wait_until(lambda: metric(server, "seedbed_streams") == 0, "the downloads to end")
    return usage(server)


@contextlib.contextmanager
def slow_readers(server: Server, count: int) -> Iterator[list[int]]:
    """So many downloads of a terabyte that are read at 80 KB a second each, in the background.

    Yields:
        Bytes that each has read, as they become more.
    """
    raws = [Raw(server.port, receive_buffer=2**14) for _ in range(count)]
    taken = [0] * count
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.05):
            for i, raw in enumerate(raws):
                with contextlib.suppress(BlockingIOError):
                    taken[i] += len(raw.socket.recv(4096))

    for seed, raw in enumerate(raws):
        raw.get(f"{TERABYTE}?seed={seed}")
        assert raw.head()[0] == 200
        raw.socket.setblocking(False)  # noqa: FBT003
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield taken
    finally:
        over.set()
        reader.join(PATIENCE_SECONDS)
        for raw in raws:
            raw.socket.close()


def download(url: str) -> tuple[str, float]:
    """SHA-256 of what is at a URL, and the seconds that it took to come."""
    began = time.perf_counter()
    digest = hashlib.sha256()
    with httpx.stream("GET", url, timeout=PATIENCE_SECONDS) as response:
        assert response.status_code == 200, response.status_code
        for part in response.iter_raw():
            digest.update(part)
    return digest.hexdigest(), time.perf_counter() - began


def leave_in_mid_stream(server: Server, seed: int) -> None:
    """Begin to read a terabyte and go away, in order or with a reset."""
    with Raw(server.port) as raw:
        raw.get(f"{TERABYTE}?seed={seed}")
        assert raw.head()[0] == 200
        raw.take(1 + 40_000 * (seed % 5))
        if seed % 2:
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
