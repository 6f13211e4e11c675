from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import psutil
import pytest

from seedbed.files import VirtualFile
from seedbed.files.one_tensor import spec_of_one
from seedbed.web.settings import Settings
from tests.processes import PATIENCE_SECONDS, attempts, run, wait_until
from tests.serving import Server, serving
from tests.stress.scale import note
from tests.web.local import MIB, TERABYTE, CountingEngine, Local, Raw

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
            over.wait(PATIENCE_SECONDS)

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
    note("sixteen_downloads", peak_mb=round(watch.peak_bytes / 1e6))
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


def test_slow_reader_has_little_made() -> None:
    """However many chunks may be made ahead, for a reader that stalls hardly any are."""
    with Local(engine="numpy", chunks_ahead=64, chunk_bytes=2**18) as local:
        engine = CountingEngine().install(local.service)
        with Raw(local.port, receive_buffer=2**14) as raw:
            raw.get(TERABYTE).head()
            calls = -1
            for _ in attempts("drawing to stop"):
                if calls == (calls := engine.calls):
                    break
                time.sleep(0.3)
            held = calls * 2**18 - 8 * MIB  # what the system's own buffers may have taken
        assert held < 4 * 2**18


def test_free_memory_goes_back() -> None:
    """Large blocks that are free are not kept, whatever was allocated behind them."""
    script = (
        "import psutil; from seedbed.web.memory import return_what_is_free;"
        "assert return_what_is_free(); rss = psutil.Process().memory_info;"
        "warm = bytearray(2**23); del warm; before = rss().rss;"
        "held = [(b'%d' % i * 2**20, bytes(5000)) for i in range(50)]; most = rss().rss;"
        "held = [small for _, small in held]; print(most - before, rss().rss - before)"
    )
    done = run(sys.executable, "-c", script, text=True)
    assert done.returncode == 0, done.stderr
    most, kept = map(int, done.stdout.split())
    assert most > 40 * MIB
    assert kept < 5 * MIB


def test_the_defaults_fit_the_container(tmp_path: Path) -> None:
    """What a process has at rest and all that its default settings let it take are within 1 GiB.

    That is the limit of deploy/kubernetes: the process itself, the one that plans, the budget of
    what requests hold, the chunks of as many downloads as there may be, and the beginnings of as
    many bodies as there may be connections.
    """
    deployment = Path(__file__).parents[2] / "deploy" / "kubernetes" / "deployment.yaml"
    shipped = re.findall(r"limits:[^}]*?memory: (\d+)Gi", deployment.read_text(encoding="utf-8"))
    assert shipped == ["1"]
    settings = Settings(registry_url="none")
    with serving(tmp_path, log_level="error") as server:
        body = {"model": {"preset": "tiny-gpt2"}}
        httpx.post(f"{server.url}/v1/checkpoints", json=body, timeout=60).raise_for_status()
        process = psutil.Process(server.pid)
        family = [process, *process.children(recursive=True)]
        at_rest = sum(one.memory_full_info().uss for one in family if one.is_running())
    # A slow reader has two; so many at once are fast for nobody.
    downloads = settings.max_streams * 2 * settings.chunk_bytes
    bodies = settings.max_connections * 2**14
    assert at_rest + settings.memory_bytes + downloads + bodies <= 2**30
    assert settings.planner_bytes <= settings.memory_bytes
    assert settings.max_dense_bytes <= settings.memory_bytes
    assert settings.max_compare_bytes <= settings.memory_bytes
