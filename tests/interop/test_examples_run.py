"""The programs of examples/ do what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.interop.conftest import EXAMPLES
from tests.interop.running import run
from tests.serving import PATIENCE_SECONDS, Server, free_port

pytestmark = pytest.mark.interop

LINK = "/v1/models/tiny-llama/model.safetensors?seed=42"


@pytest.mark.parametrize("program", ["sharded_start.py", "distributed_checkpoint.py"])
@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_two_processes(server: Server, program: str, dtype: str) -> None:
    """Two processes fetch half of the weights each, and agree with one that fetches all."""
    done = run(
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2",
        f"--master-port={free_port()}", EXAMPLES / program, f"{server.url}{LINK}&dtype={dtype}",
    )  # fmt: skip
    assert "tensors agree with a single process's" in done.stdout
    # Not by line: two processes share the pipe, and a line's end is a write of its own.
    found = re.findall(r"fetched ([\d,]+)", done.stdout)
    fetched = [int(one.replace(",", "")) for one in found]
    assert len(fetched) == 2
    assert max(fetched) <= 1.1 * min(fetched)


@pytest.mark.parametrize("repository", ["seedbed/tiny-mixtral", "seedbed/tiny-gpt2.bf16"])
def test_dummy_checkpoint(server: Server, tmp_path: Path, repository: str) -> None:
    """A checkpoint that exists nowhere is loaded and generates."""
    environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, EXAMPLES / "dummy_checkpoint.py", repository],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "parameters say 'Once upon a time" in done.stdout.replace("<s> ", "").replace("<s>", "")


def test_node(server: Server) -> None:
    """Node fetches one tensor; its standard deviation is that of ResNet's convolutions."""
    link = f"{server.url}/v1/models/resnet18/model.safetensors?seed=42"
    found = json.loads(run("node", EXAMPLES / "one_tensor.mjs", link, "conv1.weight").stdout)
    assert found["shape"] == [64, 3, 7, 7]
    assert found["std"] == pytest.approx((2 / (64 * 7 * 7)) ** 0.5, rel=0.04)


def test_shell(server: Server, tmp_path: Path) -> None:
    """A shell script downloads, resumes what it finds begun, and checks the true sum."""
    target = tmp_path / "w.safetensors"
    command = (EXAMPLES / "download.sh", server.url, "tiny-resnet", "seed=42", target)
    assert "as they should be" in run(*command).stdout
    whole = target.read_bytes()
    target.write_bytes(whole[:100_000])
    assert "as they should be" in run(*command).stdout
    assert target.read_bytes() == whole
    with safe_open(target, "numpy") as file:
        assert "fc.weight" in file.keys()  # noqa: SIM118 - it is no dictionary
    target.write_bytes(b"x" + whole[1:])
    assert run(*command, check=False).returncode != 0
