from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.processes import PATIENCE_SECONDS, attempts, wait_until
from tests.serving import serving
from tests.stress.loads import (
    SIXTEEN_MIB,
    digest_of,
    download,
    leave_in_mid_stream,
    metric,
    settle,
    slow_readers,
    usage,
)
from tests.stress.scale import note, sizes
from tests.web.local import MIB, TERABYTE


@pytest.mark.parametrize("slow", sizes(12, 60, 200))
def test_fast_readers_beside_slow_ones(tmp_path: Path, slow: int) -> None:
    """Beside four slow readers for each, fast ones get their files, and slow ones theirs."""
    fast = slow // 4
    digests = {seed: digest_of(seed) for seed in range(3)}
    urls = [f"{SIXTEEN_MIB}?seed={i % 3}" for i in range(fast)]
    with serving(tmp_path, log_level="error", max_streams=slow + fast, client_share=1) as server:

        def all_fast() -> float:
            began = time.perf_counter()
            with ThreadPoolExecutor(fast) as pool:
                found = pool.map(lambda url: download(server.url + url)[0], urls)
                assert list(found) == [digests[i % 3] for i in range(fast)]
            return time.perf_counter() - began

        alone = all_fast()
        before = settle(server)
        with slow_readers(server, slow) as taken:
            beside = all_fast()
            wait_until(lambda: min(taken) >= 2**16, "every slow reader")  # nobody is forgotten
            assert metric(server, "seedbed_streams") == slow
            during = usage(server)
        after = settle(server)
    each = (during.rss_bytes - before.rss_bytes) / slow
    assert each < 2.5 * MIB
    assert during.threads <= before.threads
    assert after.rss_bytes - before.rss_bytes < 30 * MIB
    assert after.descriptors <= before.descriptors + 2
    note(
        "fast_beside_slow", slow=slow, fast=fast, alone_mb_s=round(fast * 16.8 / alone),
        beside_mb_s=round(fast * 16.8 / beside), mb_each_slow=round(each / 1e6, 2),
        peak_mb=round(during.rss_bytes / 1e6),
    )  # fmt: skip


@pytest.mark.parametrize("count", sizes(60, 400, 1000))
def test_disconnects_in_mid_stream(tmp_path: Path, count: int) -> None:
    """Clients that leave in mid-stream, in order or by a reset, leave nothing behind."""
    with serving(tmp_path, log_level="warning", log_format="json") as server:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda seed: leave_in_mid_stream(server, seed), range(20)))
            before = settle(server)
            list(pool.map(lambda seed: leave_in_mid_stream(server, seed), range(count)))
        after = settle(server)
        assert metric(server, "seedbed_aborted_responses_total") == count + 20
        log = server.log.read_text()
    assert "Traceback" not in log
    assert '"failure"' not in log
    grown = after.rss_bytes - before.rss_bytes
    assert grown < 30 * MIB
    assert after.descriptors <= before.descriptors + 2
    assert after.threads <= before.threads
    note("disconnects", count=count, grown_mb=round(grown / 1e6, 1))


@pytest.mark.parametrize("clients", sizes(10, 80, 200))
def test_bursts_past_the_limits(tmp_path: Path, clients: int) -> None:
    """Clients past the limits are 429 with Retry-After, and all that obey get their file whole."""
    digests = {seed: digest_of(seed) for seed in range(3)}
    refused: Counter[int] = Counter()

    with serving(
        tmp_path,
        log_level="error", max_streams=2, max_queued=2, queue_seconds=0.2, retry_after_seconds=1,
    ) as server:  # fmt: skip
        start = threading.Barrier(clients)
        # One pool, since a client of its own costs each thread a tenth of a second of processor.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        pooled = httpx.Client(base_url=server.url, timeout=PATIENCE_SECONDS, limits=limits)

        both = ExitStack()  # of the slots, until somebody has been refused
        somebody = threading.Event()

        def obey(i: int) -> int:
            start.wait(PATIENCE_SECONDS)
            for _ in attempts("a turn"):
                response = pooled.get(f"{SIXTEEN_MIB}?seed={i % 3}")
                if response.status_code == 200:
                    break
                assert response.status_code == 429
                assert response.json()["type"] == "urn:seedbed:problem:busy"
                refused[i] += 1
                somebody.set()
                time.sleep(int(response.headers["retry-after"]) * random.uniform(1, 1.5))
            assert digests[i % 3] == hashlib.sha256(response.content).hexdigest()
            return 1

        with pooled, both, ThreadPoolExecutor(clients) as pool:
            for _ in range(2):
                both.enter_context(pooled.stream("GET", TERABYTE))
            answers = pool.map(obey, range(clients))
            assert somebody.wait(PATIENCE_SECONDS)
            both.close()
            assert sum(answers) == clients
    assert refused.total() > 0
    note("bursts", clients=clients, refusals=refused.total(), most_of_one=max(refused.values()))


@pytest.mark.parametrize("rounds", sizes(20, 300, 3000))
def test_soak(tmp_path: Path, rounds: int) -> None:
    """Mixed work, round after round: memory, threads and descriptors stay as they are."""
    spec = {"tensors": [{"name": f"t{i}", "shape": [8, 8], "init": "normal"} for i in range(50)]}
    digests = {seed: digest_of(seed) for seed in range(3)}

    def work(i: int) -> None:
        with httpx.Client(base_url=server.url, timeout=PATIENCE_SECONDS) as client:
            assert client.post("/v1/describe", json={**spec, "seed": i}).status_code == 200
            assert client.post("/v1/checkpoints", json={**spec, "seed": i}).status_code == 200
            assert client.post("/v1/describe", json={"tensors": i}).status_code == 422
            assert client.get(f"/v1/tensors/normal/300x{i + 1}.safetensors").status_code == 200
            assert client.get("/nope").status_code == 404
            part = client.get(f"{SIXTEEN_MIB}?seed={i}", headers={"range": "bytes=-70000"})
            assert len(part.content) == 70000
        leave_in_mid_stream(server, i)
        if i % 20 == 0:
            assert download(f"{server.url}{SIXTEEN_MIB}?seed={i % 3}")[0] == digests[i % 3]

    with serving(tmp_path, log_level="error", cache_bytes=2**22) as server:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(rounds // 4 + 20)))  # until caches and pools are full
            before = settle(server)
            list(pool.map(work, range(rounds // 4 + 20, rounds + 20)))
        after = settle(server)
    grown = after.rss_bytes - before.rss_bytes
    assert grown < 25 * MIB
    assert after.descriptors <= before.descriptors + 2
    assert after.threads <= before.threads + 2
    note(
        "soak", requests=rounds * 7, grown_mb=round(grown / 1e6, 1),
        rss_mb=round(after.rss_bytes / 1e6), descriptors=after.descriptors, threads=after.threads,
    )  # fmt: skip
