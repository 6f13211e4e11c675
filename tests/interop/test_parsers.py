"""Parsers that others wrote, in Rust and in JavaScript, read a virtual file by its link.

They ask for the ranges that they need, so the file may be a terabyte.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from seedbed.files import CheckpointSpec, VirtualFile
from tests.interop.running import run
from tests.serving import Server
from tests.strategies import ODD_NAMES

pytestmark = pytest.mark.interop


TERABYTE = {
    "seed": "18446744073709551615",
    "tensors": [
        {"name": "a", "shape": [500_000, 500_000], "init": "he_normal"},
        {"name": "scalar", "shape": [], "init": "normal", "dtype": "F64"},
        {"name": "empty", "shape": [0, 3], "init": "ones"},
        {"name": "half", "shape": [7, 5], "init": "glorot_uniform", "dtype": "F16"},
        *({"name": f"of {name}", "shape": [3], "init": "normal"} for name in ODD_NAMES),
        {
            "name": "steps",
            "shape": [2],
            "init": {"scheme": "constant", "value": -3},
            "dtype": "I64",
        },
        {"name": "truth", "shape": [9], "init": "ones", "dtype": "BOOL"},
    ],
    "metadata": {"note": 'größe "重み"'},
}
"""A file of 10¹² bytes, with small tensors before and behind the large one."""

LARGE = "a"


@pytest.fixture(scope="module")
def file() -> VirtualFile:
    """The virtual file, in this process."""
    return VirtualFile(CheckpointSpec.model_validate(TERABYTE))


@pytest.fixture(scope="module")
def link(server: Server) -> str:
    """The service's link to it."""
    plan = httpx.post(f"{server.url}/v1/describe", json=TERABYTE).raise_for_status().json()
    assert plan["size_bytes"] > 10**12
    return f"{server.url}{plan['links']['file']}"


def header(file: VirtualFile) -> dict[str, Any]:
    """The header as JSON."""
    parsed: dict[str, Any] = json.loads(file.header[8:])
    return parsed


def content(file: VirtualFile, name: str) -> bytes:
    """The bytes of one tensor."""
    index = [tensor.name for tensor in file.tensors].index(name)
    start = file.offset(index)
    return bytes(file.read(start, start + file.tensors[index].size_bytes))


def test_rust(link: str, file: VirtualFile) -> None:
    """safetensors-streaming, a Rust reader with HTTP ranges, finds all metadata and tensors."""
    import safetensors_streaming
    import torch

    names = set(header(file)) - {"__metadata__"}
    with safetensors_streaming.safe_open(link) as opened:
        assert set(opened.keys()) == names
        assert opened.metadata() == header(file)["__metadata__"]
        for name in names - {LARGE}:
            tensor = opened.get_tensor(name)
            assert list(tensor.shape) == header(file)[name]["shape"]
            assert tensor.flatten().view(torch.uint8).numpy().tobytes() == content(file, name)


def test_rust_loads_a_file(server: Server) -> None:
    """It loads a whole file by its link, too, as torch tensors of the dtypes that it knows."""
    import safetensors_streaming

    link = f"{server.url}/v1/tensors/he_normal/64x32.safetensors?seed=9&dtype=F64"
    loaded: NDArray[np.float64] = safetensors_streaming.load_file(link)["weight"].numpy()
    whole = httpx.get(link).raise_for_status().content
    assert loaded.shape == (64, 32)
    assert loaded.dtype == np.float64
    assert loaded.tobytes() == whole[-loaded.nbytes :]


def test_javascript(link: str, file: VirtualFile, packages: Path) -> None:
    """@huggingface/hub parses the header, counts parameters and slices a tensor, by ranges only."""
    answer = json.loads(run("node", packages / "hub.mjs", link, f"of {ODD_NAMES[2]}").stdout)
    assert answer["sharded"] is False
    assert answer["header"] == header(file)
    assert answer["size"] == file.size
    assert bytes.fromhex(answer["bytes"]) == content(file, f"of {ODD_NAMES[2]}")

    counts: dict[str, int] = {}
    for tensor in filter(lambda tensor: tensor.shape, file.tensors):  # it counts no scalars
        counts[tensor.dtype.code] = counts.get(tensor.dtype.code, 0) + tensor.elements
    assert answer["parameterCount"] == counts

    for method, range_, status in answer["requests"]:
        assert (method, range_, status) == ("HEAD", None, 200) or (range_ and status == 206)
