from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Self

import httpx
import psutil
import pytest

from seedbed.files import VirtualFile
from seedbed.files.one_tensor import spec_of_one
from tests.serving import PATIENCE_SECONDS, Server, serving, wait_until
from tests.web.local import MIB, TERABYTE, Raw

MOST_BYTES = 250 * 10**6
"""What the process may take, whatever it sends (shared/design.md §7)."""

DOWNLOADS = 16


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of which nothing has been asked yet."""
    with serving(tmp_path_factory.mktemp("memory")) as running:
        yield running


class Watch:
    """The most memory that a process is seen to have while a block runs."""

    def __init__(self, process_id: int) -> None:
        self._process = psutil.Process(process_id)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE_SECONDS)

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)


def test_the_end_of_a_terabyte(fresh: Server) -> None:
    """The last kilobyte of a terabyte takes no memory to speak of."""
    file = VirtualFile(spec_of_one("normal", "500000x500000", {}))
    before = psutil.Process(fresh.pid).memory_info().rss
    with Watch(fresh.pid) as watch:
        response = httpx.get(fresh.url + TERABYTE, headers={"range": "bytes=-1024"})
        assert response.content == file.read(file.size - 1024, file.size)
        time.sleep(0.05)
    assert watch.peak_bytes < MOST_BYTES
    assert watch.peak_bytes - before < 30 * MIB


def test_many_downloads_of_a_terabyte(fresh: Server) -> None:
    """With 16 downloads of a terabyte in flight, fast, slow and stalled, memory stays low."""
    with Watch(fresh.pid) as watch:
        flights = [Raw(fresh.port) for _ in range(DOWNLOADS)]
        over = threading.Event()

        def fast(raw: Raw) -> None:
            while not over.is_set():
                raw.take(MIB)

        def slow(raw: Raw) -> None:
            while not over.wait(0.02):
                raw.take(2**14)

        def stalled(raw: Raw) -> None:
            raw.take(1)
            over.wait()

        readers = []
        for i, raw in enumerate(flights):
            status, _ = raw.get(f"{TERABYTE}?seed={i}").head()
            assert status == 200
            reader = (fast, slow, stalled)[i % 3]
            readers.append(threading.Thread(target=reader, args=(raw,), daemon=True))
        for reader in readers:
            reader.start()
        sent = "seedbed_streams"
        assert f"{sent} {DOWNLOADS}.0" in httpx.get(f"{fresh.url}/metrics").text
        time.sleep(3)  # of memory that grows there would be much to see by now
        assert f"{sent} {DOWNLOADS}.0" in httpx.get(f"{fresh.url}/metrics").text
        over.set()
        for reader in readers:
            reader.join(PATIENCE_SECONDS)
        for raw in flights:
            raw.socket.close()
    assert watch.peak_bytes < MOST_BYTES, f"{watch.peak_bytes / 1e6:.0f} MB"
    wait_until(
        lambda: f"{sent} 0.0" in httpx.get(f"{fresh.url}/metrics").text, "the downloads to end"
    )


def test_memory_does_not_grow(fresh: Server) -> None:
    """A hundred downloads that are broken off leave nothing behind."""

    def break_off(count: int) -> int:
        for seed in range(count):
            with Raw(fresh.port) as raw:
                raw.get(f"{TERABYTE}?seed={seed}").head()
                raw.take(MIB)
        wait_until(
            lambda: "seedbed_streams 0.0" in httpx.get(f"{fresh.url}/metrics").text, "the end"
        )
        return psutil.Process(fresh.pid).memory_info().rss

    settled = break_off(30)
    assert break_off(100) - settled < 20 * MIB
    process = psutil.Process(fresh.pid)
    assert process.num_fds() < 60
    assert process.num_threads() < 40
