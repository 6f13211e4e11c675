from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.serving import PATIENCE_SECONDS, Server, serving
from tests.stress.attacks import ATTACKS, MIB, Attack, Watch, endless_bodies
from tests.stress.scale import note

SHIPPED_BYTES = 1024 * MIB
"""The memory limit of deploy/kubernetes."""

pytestmark = pytest.mark.stress


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`seedbed serve` with its default settings."""
    with serving(tmp_path_factory.mktemp("attacked"), log_format="json") as running:
        # So that no attack pays for the first start of anything.
        httpx.post(
            f"{running.url}/v1/describe", json={"model": {"preset": "tiny-gpt2"}}, timeout=60
        )
        yield running


@pytest.mark.parametrize("name", ATTACKS)
def test_what_an_attack_costs(target: Server, name: str) -> None:
    """A request that was made to cost much costs little, and others are answered beside it."""
    attack: Attack = ATTACKS[name]
    with Watch(target) as watch:
        answers = attack.send(target)
    log = target.log.read_text()
    note(
        "attack", attack=name, sent_bytes=len(attack.path) + len(attack.body),
        statuses=sorted(answer.status_code for answer in answers),
        cpu_s=round(watch.cpu_seconds, 2), peak_mb=round(watch.peak_bytes / 1e6),
        healthz_s=round(watch.stalls["/healthz"], 2),
        tensor_s=round(watch.stalls[Watch.BESIDE[1]], 2),
    )  # fmt: skip
    for answer in answers:
        assert answer.status_code in attack.statuses, answer.text[:500]
        assert answer.status_code != 503 or int(answer.headers["retry-after"]) > 0
    assert '"failure"' not in log
    assert "Traceback" not in log
    assert watch.failed == 0
    assert watch.cpu_seconds < attack.cpu_seconds
    assert watch.peak_bytes < SHIPPED_BYTES


def test_bodies_that_never_end(target: Server) -> None:
    """Sixty bodies of 15 MiB, all but their ends, fill a part of the memory and no more.

    Small requests are answered beside them, and large ones again when they are gone.
    """
    large = b" " * (2 * MIB) + b'{"tensors":[{"name":"a","shape":[1],"init":"ones"}]}'
    headers = {"content-type": "application/json"}
    url = f"{target.url}/v1/describe"
    with Watch(target) as watch:
        connections = endless_bodies(target, 60, 15 * MIB)
        small = httpx.post(url, content=large.strip(), headers=headers, timeout=PATIENCE_SECONDS)
        assert small.status_code == 200
        refused = httpx.post(url, content=large, headers=headers, timeout=PATIENCE_SECONDS)
        for connection in connections:
            connection.close()
    note("bodies", peak_mb=round(watch.peak_bytes / 1e6), left=len(connections))
    assert refused.status_code in (200, 503)
    assert watch.failed == 0
    assert watch.peak_bytes < SHIPPED_BYTES / 2
    again = httpx.post(url, content=large, headers=headers, timeout=PATIENCE_SECONDS)
    assert again.status_code == 200
