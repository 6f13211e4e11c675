"""Downloads that cost most, beside honest ones: nobody starves, whatever the layout or the scheme.

Bounds are of the service's own processor time, which other processes on the machine do not change.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from seedbed.files import VirtualFile
from seedbed.files.one_tensor import spec_of_one
from tests.serving import PATIENCE_SECONDS, Server, serving, wait_until
from tests.stress.loads import download, metric, settle, usage
from tests.stress.scale import note
from tests.web.local import MIB, Raw

SIXTY_ONE_MB = "/v1/tensors/he_normal/3900x3900.safetensors"
SMALL = "/v1/tensors/he_normal/64x64.safetensors"
DENSE = "/v1/tensors/orthogonal/4096x4096.safetensors"
HUGE_KERAS = {
    "framework": "keras",
    "layers": [{"type": "linear", "name": "fc", "in_features": 10**6, "out_features": 10**6}],
}
MIDDLE = 2 * 10**12


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """With the default settings."""
    with serving(tmp_path, log_level="error") as running:
        yield running


def cpu_seconds(server: Server) -> float:
    """Processor time of the service so far."""
    times = psutil.Process(server.pid).cpu_times()
    return times.user + times.system


def honest(server: Server, seed: int) -> float:
    """Have a 61 MB file and a small one, both to the byte, and say what it cost the service."""
    began = cpu_seconds(server)
    for path, shape in ((SIXTY_ONE_MB, "3900x3900"), (SMALL, "64x64")):
        file = VirtualFile(spec_of_one("he_normal", shape, {"seed": str(seed)}))
        expected = hashlib.sha256(file.read(0, file.size)).hexdigest()
        assert download(f"{server.url}{path}?seed={seed}")[0] == expected
    return cpu_seconds(server) - began


@contextlib.contextmanager
def asking(server: Server, requests: list[tuple[str, str]]) -> Iterator[list[Raw]]:
    """Requests for ranges that nobody reads an answer to; they leave by a reset."""
    raws = []
    for path, bytes_ in requests:
        raw = Raw(server.port, receive_buffer=2**20)
        raw.get(path, f"Range: bytes={bytes_}")
        raws.append(raw)
    try:
        yield raws
    finally:
        for raw in raws:
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            raw.socket.close()


def test_transposed_downloads_starve_nobody(server: Server) -> None:
    """Beside two downloads from the middle of a transposed tensor an honest client is served."""
    link = link_of(server, HUGE_KERAS)
    began = cpu_seconds(server)
    url, ranges = server.url + link, {"range": f"bytes={MIDDLE}-{MIDDLE + 4 * MIB - 1}"}
    assert len(httpx.get(url, headers=ranges).content) == 4 * MIB
    range_seconds = cpu_seconds(server) - began
    assert range_seconds < 2
    over = threading.Event()

    def hostile() -> None:
        with httpx.stream("GET", url, headers={"range": f"bytes={MIDDLE}-"}) as response:
            for _ in response.iter_raw():
                if over.is_set():
                    return

    readers = [threading.Thread(target=hostile, daemon=True) for _ in range(2)]
    for reader in readers:
        reader.start()
    wait_until(lambda: metric(server, "seedbed_streams") == 2, "the downloads to begin")
    cost = honest(server, 1)
    over.set()
    for reader in readers:
        reader.join(PATIENCE_SECONDS)
    assert cost < 60  # two others are drawn for meanwhile
    note("transposed_downloads", range_seconds=round(range_seconds, 3), beside=round(cost, 1))


def test_matrices_starve_nobody(server: Server) -> None:
    """Four large matrices by ranges of a byte: within memory, beside others, and given up."""
    alone = honest(server, 2)
    before = usage(server).rss_bytes
    requests = [(f"{DENSE}?seed={seed}", "1000000-1000000") for seed in range(4)]
    with asking(server, requests):
        wait_until(lambda: metric(server, "seedbed_streams") == 4, "the requests to come")
        most = 0
        for seed in range(3, 6):
            cost = honest(server, seed)
            most = max(most, usage(server).rss_bytes)
            assert cost < 30 + 4 * alone
        most = max(most, usage(server).rss_bytes)
    assert most < 900 * MIB
    assert most - before < 600 * MIB
    left = cpu_seconds(server)
    settle(server)
    for _ in range(100):
        before_pause = cpu_seconds(server)
        time.sleep(0.5)
        if cpu_seconds(server) - before_pause < 0.05:  # nothing is made any more
            break
    after = cpu_seconds(server) - left
    assert after < 5
    note("matrices_beside", peak_mb=round(most / 1e6), after_seconds=round(after, 2))


def link_of(server: Server, spec: dict[str, object]) -> str:
    """The link to a spec's file."""
    link: str = httpx.post(f"{server.url}/v1/describe", json=spec).json()["links"]["file"]
    return link
