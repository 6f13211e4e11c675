from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.files.shards import MAX_SHARD_BYTES, ShardSize, make_index, shard_names, split_tensors
from seedbed.init import TensorPlan
from tests.strategies import untimed

SIZE = TypeAdapter(ShardSize)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5GB", 5_000_000_000),
        ("5gb", 5_000_000_000),
        ("1.5 MB", 1_500_000),
        ("512MiB", 512 * 2**20),
        ("1KiB", 1024),
        ("2TB", 2 * 10**12),
        ("17B", 17),
        (123, 123),
        ("49000000000", MAX_SHARD_BYTES),
        (2**63 - 1, 2**63 - 1),
    ],
)
def test_sizes(text: Any, size: int) -> None:
    """A size is a number of bytes, digits, or text with a unit of thousands or of 1,024s."""
    assert SIZE.validate_python(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "5.5", "5G", "GB", "-5GB", "5XB", "0.1B", "0GB", 0, -1, 1.5, None, "9" * 19 + "B", "5GBB"],
)
def test_what_is_no_size(text: Any) -> None:
    """Anything else is refused."""
    with pytest.raises(ValidationError):
        SIZE.validate_python(text)


def plans(sizes: list[int]) -> tuple[TensorPlan, ...]:
    """Tensors of so many bytes each, in this order."""
    tensors = [
        {"name": f"{i:03}", "shape": [size], "init": "zeros", "dtype": "U8"}
        for i, size in enumerate(sizes)
    ]
    return Checkpoint(CheckpointSpec.model_validate({"tensors": tensors})).tensors


def test_the_hubs_own_example() -> None:
    """Sizes 6 6 2 6 2 2 in shards of 10: as huggingface_hub's documentation works it out."""
    found = split_tensors(plans([6, 6, 2, 6, 2, 2]), 10)
    assert [[one.elements for one in shard] for shard in found] == [[6], [6, 2], [6, 2, 2]]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.integers(1, 30))
@untimed
def test_a_split_is_a_partition(sizes: list[int], most: int) -> None:
    """Every tensor is in one shard, in order but for those too large, which are alone."""
    tensors = plans(sizes)
    shards = split_tensors(tensors, most)
    assert sorted(one.name for shard in shards for one in shard) == [one.name for one in tensors]
    for shard in shards:
        assert shard
        assert sum(one.size_bytes for one in shard) <= most or len(shard) == 1
    usual = [one.name for shard in shards for one in shard if one.size_bytes <= most]
    assert usual == sorted(usual)


def test_names() -> None:
    """One file has the usual name, several are counted in five digits."""
    assert shard_names(1) == ("model.safetensors",)
    assert shard_names(2) == (
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
    )  # fmt: skip


def test_index() -> None:
    """The index has totals, and the file of every tensor."""
    one, two = plans([3, 4])
    assert json.loads(make_index({"x": [one], "y": [two]})) == {
        "metadata": {"total_parameters": 7, "total_size": 7},
        "weight_map": {"000": "x", "001": "y"},
    }
