from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from seedbed.errors import SpecError
from seedbed.remote import RemoteCheckpoint
from tests.serving import Server, serving

SPEC: dict[str, Any] = {
    "seed": 3,
    "tensors": [
        {"name": "f32", "shape": [6, 5, 4], "init": "he_normal"},
        {"name": "f64", "shape": [3, 4], "dtype": "F64", "init": "normal"},
        {"name": "f16", "shape": [7], "dtype": "F16", "init": "normal"},
        {"name": "bf16", "shape": [4, 6], "dtype": "BF16", "init": "normal"},
        {"name": "f8", "shape": [5, 5], "dtype": "F8_E4M3", "init": "uniform"},
        {"name": "f4", "shape": [2, 6], "dtype": "F4", "init": "uniform"},
        {"name": "c64", "shape": [2, 3], "dtype": "C64", "init": "normal"},
        {"name": "steps", "shape": [], "dtype": "I64", "init": "zeros"},
        {"name": "mask", "shape": [3, 3], "dtype": "BOOL", "init": "ones"},
        {"name": "empty", "shape": [0, 4], "init": "zeros"},
    ],
}
"""Every kind of dtype, a scalar, and a tensor of no elements."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that is ready."""
    with serving(tmp_path_factory.mktemp("remote"), engine="numpy") as running:
        yield running


@pytest.fixture(scope="module")
def put(server: Server) -> str:
    """The address of a spec with a name."""
    url = f"{server.url}/v1/specs/remote/all"
    httpx.put(url, json=SPEC).raise_for_status()
    return url


def parts(file: bytes) -> dict[str, tuple[str, list[int], bytes]]:
    """Dtype, shape and bytes of each tensor of a file, by the definition of the format."""
    size = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + size])
    header.pop("__metadata__")
    return {
        name: (one["dtype"], one["shape"], file[8 + size :][slice(*one["data_offsets"])])
        for name, one in header.items()
    }


@pytest.mark.parametrize("path", ["", "/model.safetensors"])
def test_whole_tensors_of_every_dtype(put: str, path: str) -> None:
    """Each tensor has dtype, shape and bytes of the file, from its directory or by its address."""
    truth = parts(httpx.get(f"{put}/model.safetensors?seed=3").content)
    with RemoteCheckpoint(put + path, seed=3) as remote:
        assert remote.tensors == {name: (code, tuple(s)) for name, (code, s, _) in truth.items()}
        for name, (code, shape, content) in truth.items():
            assert remote.content(name) == content, name
            if code == "F4":
                with pytest.raises(SpecError, match="read whole"):
                    remote.read(name)
                continue
            array = remote.read(name)
            assert (array.shape, array.tobytes()) == (tuple(shape), content), name


def test_boxes(put: str) -> None:
    """A box is the slice of the whole, by NumPy's own; what is no box is refused."""
    with RemoteCheckpoint(put, seed=3) as remote:
        whole = remote.read("f32")
        for offsets, lengths in (
            ((0, 0, 0), (6, 5, 4)), ((2, 0, 0), (3, 5, 4)), ((1, 2, 1), (4, 2, 3)),
            ((5, 4, 3), (1, 1, 1)), ((0, 3, 0), (6, 0, 4)),
        ):  # fmt: skip
            places = tuple(slice(o, o + n) for o, n in zip(offsets, lengths, strict=True))
            np.testing.assert_array_equal(remote.read("f32", offsets, lengths), whole[places])
        np.testing.assert_array_equal(remote.read("f32", (4, 4, 2)), whole[4:, 4:, 2:])
        assert remote.read("steps") == 0
        for offsets, lengths in (((0, 0), (1, 1)), ((0, 0, 3), (1, 1, 2)), ((-1, 0, 0), (1, 1, 1))):
            with pytest.raises(SpecError, match="no box"):
                remote.read("f32", offsets, lengths)
        with pytest.raises(SpecError, match="there is no tensor 'nope'"):
            remote.read("nope")


def test_what_is_fetched(server: Server) -> None:
    """Rows cost what they hold; of columns the gaps are left out where they are worth a request."""
    shape = (4, 1 << 19)  # rows of 2 MiB
    url = f"{server.url}/v1/tensors/uniform/{shape[0]}x{shape[1]}.safetensors?seed=1"
    with RemoteCheckpoint(url) as remote:
        row = shape[1] * 4
        before = remote.fetched
        whole = remote.read("weight")
        assert remote.fetched - before == 4 * row
        remote.read("weight", (1, 0), (2, shape[1]))
        assert remote.fetched - before == 6 * row
        columns = remote.read("weight", (0, 1 << 17), (4, 1 << 17))
        assert remote.fetched - before == 7 * row
        np.testing.assert_array_equal(columns, whole[:, 1 << 17 : 1 << 18])


def test_shards_by_their_index(server: Server) -> None:
    """An index leads to the tensors of all its files."""
    query = "seed=5&max_shard_size=50KB"
    url = f"{server.url}/v1/models/tiny-gpt2"
    files = httpx.get(f"{url}/model.safetensors.index.json?{query}").json()["weight_map"]
    with RemoteCheckpoint(f"{url}/model.safetensors.index.json?{query}") as remote:
        assert remote.tensors.keys() == files.keys()
        name, file = list(files.items())[-1]
        truth = parts(httpx.get(f"{url}/{file}?{query}").content)
        assert remote.read(name).tobytes() == truth[name][2]


def test_what_is_no_checkpoint(server: Server) -> None:
    """The service's own words are in the error."""
    with pytest.raises(SpecError, match="did you mean tiny-gpt2"):
        RemoteCheckpoint(f"{server.url}/v1/models/tiny-gpt3/model.safetensors")
