"""The programs of examples/ do what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from safetensors import safe_open

from tests.interop.conftest import EXAMPLES
from tests.interop.running import run
from tests.serving import PATIENCE_SECONDS, Server, free_port

pytestmark = pytest.mark.interop

LINK = "/v1/models/tiny-llama/model.safetensors?seed=42&dtype=F32"

DTYPES = {
    "F64": "normal", "F32": "normal", "F16": "normal", "BF16": "normal", "F8_E4M3": "normal",
    "F8_E5M2": "normal", "I64": "arange", "I32": "arange", "U8": "arange", "BOOL": "ones",
}  # fmt: skip
SPEC = {
    "seed": 42,
    "tensors": [
        {"name": "steps", "shape": [], "dtype": "I64", "init": "zeros"},
        *(
            {"name": f"{code}.{rank}", "shape": [8, 3, 5][:rank], "dtype": code, "init": init}
            for code, init in DTYPES.items()
            for rank in range(1, 4)
            if rank == 1 or init != "arange"
        ),
    ],
}
"""A scalar, and tensors of several ranks of all dtypes."""


def spec_link(server: Server) -> str:
    """The link of a file with tensors of every kind."""
    answer = httpx.post(f"{server.url}/v1/checkpoints", json=SPEC).raise_for_status()
    return str(server.url + answer.headers["content-location"])


@pytest.mark.parametrize("program", ["sharded_start.py", "distributed_checkpoint.py"])
@pytest.mark.parametrize("every", [False, True], ids=["a model", "every dtype"])
def test_two_processes(server: Server, program: str, every: bool) -> None:  # noqa: FBT001
    """Two processes fetch half of the weights each, and agree with one that fetches all."""
    done = run(
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2",
        f"--master-port={free_port()}", EXAMPLES / program,
        spec_link(server) if every else server.url + LINK,
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


def test_node_knows_every_dtype(server: Server, tmp_path: Path) -> None:
    """What Node makes of a scalar and of each dtype is what torch reads from the same file."""
    link = spec_link(server)
    tensors: Any = SPEC["tensors"]
    path = tmp_path / "model.safetensors"
    path.write_bytes(httpx.get(link).raise_for_status().content)
    program = (
        f"import {{ fetchTensor }} from {json.dumps((EXAMPLES / 'one_tensor.mjs').as_uri())};"
        f"const all = {{}}; for (const name of {json.dumps([one['name'] for one in tensors])})"
        f" all[name] = Array.from((await fetchTensor({json.dumps(link)}, name)).values, Number);"
        "console.log(JSON.stringify(all));"
    )
    done = run("node", "--input-type=module", "-e", program)
    values = json.loads(done.stdout)
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118 - it is no dictionary
            assert values[name] == file.get_tensor(name).double().flatten().tolist(), name


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
