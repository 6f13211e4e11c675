from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import SpecError
from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.materialise.plan import AZURE, KINDS, S3, SMALLEST_PART_BYTES, order, planned
from seedbed.stream import NUMPY, get_engine

TERA = 10**12


def _wide(count: int, elements: int, **more: object) -> Checkpoint:
    """As many tensors of as many elements of BF16."""
    tensors = [{"name": f"w{i:05}", "shape": [elements], "init": "zeros"} for i in range(count)]
    spec = {"dtype": "BF16", "tensors": tensors, **more}
    return Checkpoint(CheckpointSpec.model_validate(spec), engine=get_engine(NUMPY))


def test_16_terabytes_in_shards_of_5_gigabytes() -> None:
    """3,200 shards fit what S3 takes, in parts of the smallest size, the index behind them."""
    plan = planned(_wide(3200, 2_499_999_000, max_shard_size="5GB"), S3)
    weights = [file for file in plan.files if file.name.endswith(".safetensors")]
    assert len(weights) == 3200
    assert plan.size > 15.9 * TERA
    assert {file.part_bytes for file in weights} == {SMALLEST_PART_BYTES}
    assert {file.parts for file in weights} == {-(-5_000_000_000 // SMALLEST_PART_BYTES)}
    assert plan.files[-1].name == "model.safetensors.index.json"
    assert plan.parts == sum(file.parts for file in plan.files)


def test_an_object_over_5_terabytes() -> None:
    """It is refused with what to do about it, unless it is cut up, or the store takes it."""
    huge = _wide(2, 3 * TERA // 2, max_shard_size="20TB")
    with pytest.raises(SpecError, match="max_shard_size=5GB") as caught:
        planned(huge, S3)
    assert caught.value.path == ("max_shard_size",)
    assert planned(huge, None).files[-1].parts == 1
    assert planned(huge, AZURE).files[-1].parts <= AZURE.parts
    with pytest.raises(SpecError, match="one tensor is never cut"):
        planned(_wide(1, 3 * TERA, max_shard_size="5GB"), S3)


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_parts_are_what_the_store_takes(scheme: str, data: st.DataObject) -> None:
    """Whatever the size, parts are neither too many nor too large, nor smaller than S3 allows."""
    kind = KINDS[scheme]
    size = data.draw(st.integers(0, kind.object_bytes))
    part = kind.part_size(size)
    assert 5 << 20 <= part <= kind.part_bytes
    assert -(-size // part) <= kind.parts


def test_order() -> None:
    """Small files are first and the index last; without one, the weights themselves are last."""
    tiny = {"model": {"preset": "tiny-llama"}}
    one = Checkpoint(CheckpointSpec.model_validate(tiny), engine=get_engine(NUMPY))
    assert order(one)[-1] == "model.safetensors"
    shards = {**tiny, "max_shard_size": "100KB"}
    many = Checkpoint(CheckpointSpec.model_validate(shards), engine=get_engine(NUMPY))
    names = order(many)
    assert sorted(names) == sorted(many.names)
    small = len(names) - len(many.shards) - 1
    assert all(name.endswith(".safetensors") for name in names[small:-1])
    assert not any(name.endswith(".safetensors") for name in names[:small])
    assert names[-1] == "model.safetensors.index.json"
