"""One network on one, two, three and four processes, held in every way that torch has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.interop

torch = pytest.importorskip("torch")
from safetensors.torch import load  # noqa: E402

from seedbed.torch import init_, record  # noqa: E402
from tests.interop.recording import ranks  # noqa: E402
from tests.interop.recording.gathered import digests  # noqa: E402
from tests.serving import Server  # noqa: E402

ROOT = Path(__file__).parents[3]

BOUND_SECONDS = 600
"""For ten groups of processes; a bound on a hang."""

HELD = {
    1: {"FSDP2"},
    2: {"FSDP2", "FSDP2, Shard(1)", "Shard(0)", "Shard(last)"},
    3: {"FSDP2", "FSDP2, Shard(1)", "Shard(0)", "Shard(last)", "FSDP2 by URL"},
    4: {
        "FSDP2", "FSDP2, Shard(1)", "Shard(0)", "Shard(last)", "HSDP 2×2", "FSDP2 × TP 2×2",
        "_StridedShard(0), Shard(0)", "Shard(0), Shard(last)",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def file(server: Server) -> dict[str, Any]:
    """Where the network is served, and the digests of the file's tensors."""
    url = record(ranks.Network).put(server.url, "team/network")
    served = httpx.get(f"{url}/model.safetensors?seed=7").raise_for_status().content
    return {"url": url, "digests": digests(load(served))}


@pytest.fixture(scope="module")
def said(file: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """What groups of processes say of what each of them has."""
    folder = tmp_path_factory.mktemp("ranks")
    spec = folder / "spec.json"
    spec.write_text(json.dumps(record(ranks.Network).json()))
    (folder / "llama.json").write_text(json.dumps(record(ranks.llama).json()))
    done = subprocess.run(
        [sys.executable, "-m", "tests.interop.recording.ranks", spec, file["url"], folder],
        cwd=ROOT, capture_output=True, text=True, timeout=BOUND_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {int(world): found for world, found in json.loads(done.stdout).items()}


def test_one_process(file: dict[str, Any]) -> None:
    """A module in one process, filled in place by spec and by URL, is the served file."""
    for source in (record(ranks.Network), file["url"]):
        model = ranks.Network()
        init_(model, source, seed=7)
        assert digests(model.state_dict()) == file["digests"]


@pytest.mark.parametrize("world", HELD)
def test_every_mesh(file: dict[str, Any], said: dict[int, Any], world: int) -> None:
    """Gathered by torch itself, every tensor of every mesh is that of the served file."""
    found = said[world]["digests"]
    stage = found.pop("stage", {})
    assert found.keys() == HELD[world]
    for name, whole in found.items():
        assert whole == file["digests"], name
    assert stage.items() <= file["digests"].items()
    assert bool(stage) == (world == 3)


def test_losses(said: dict[int, Any]) -> None:
    """A Llama's first losses are those of one process, and torch's own are not."""
    first, *others = (said[world]["losses"] for world in (1, 2, 4))
    for losses in others:
        assert losses == pytest.approx(first, rel=2e-5)
    apart, *drawn = (said[world]["torch losses"] for world in (1, 2, 4))
    assert all(abs(losses[0] - apart[0]) > 1e-3 for losses in drawn)


def test_torch_draws_otherwise(said: dict[int, Any]) -> None:
    """What torch draws on a mesh of CPUs after one seed is not what it draws in one process."""
    assert said[1]["torch"]["FSDP2"]["most"] == 0
    for world in (2, 3, 4):
        for name, drawn in said[world]["torch"].items():
            assert drawn.get("tensors", 1) > 0, name


def test_flat_parameters_are_refused(said: dict[int, Any]) -> None:
    """FSDP1 is refused, and the answer says what to use."""
    assert "fully_shard" in said[1]["FSDP1"]
