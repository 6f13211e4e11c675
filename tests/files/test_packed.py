from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given

from seedbed.files import Checkpoint, CheckpointSpec, chunks
from seedbed.init import SCHEMES, Limits
from tests.strategies import REQUIRED, specs, untimed


def elsewhere(checkpoint: Checkpoint) -> Checkpoint:
    """The same, as another process has it."""
    parts = [pickle.dumps(checkpoint.pack()), *map(pickle.dumps, chunks(checkpoint.ordered))]
    packed, *tensors = map(pickle.loads, parts)
    return Checkpoint.unpacked(packed, tuple(one for part in tensors for one in part), Limits())


def is_the_same(one: Checkpoint, other: Checkpoint) -> None:
    """Whether two have the same files, byte for byte, and say the same of themselves."""
    assert other.names == one.names
    assert other.config == one.config
    assert other.whole.etag == one.whole.etag
    assert other.whole.read(0, other.whole.size) == one.whole.read(0, one.whole.size)
    assert other.whole.metadata == one.whole.metadata
    for ours, theirs in zip(one.files(), other.files(), strict=True):
        assert (theirs.name, theirs.size, theirs.etag) == (ours.name, ours.size, ours.etag)
        assert theirs.read(0, theirs.size) == ours.read(0, ours.size)


@untimed
@given(specs())
def test_any_spec(spec: CheckpointSpec) -> None:
    """A checkpoint that was planned elsewhere is the same to the byte."""
    one = Checkpoint(spec)
    is_the_same(one, elsewhere(one))


BODIES: dict[str, dict[str, Any]] = {
    "a model": {"model": {"preset": "tiny-gpt2"}, "dtype": "BF16", "seed": 2**64 - 1},
    "shards": {"model": {"preset": "tiny-gpt2"}, "max_shard_size": 40_000},
    "a manifest with more": {
        "model": {"manifest": {"a.weight": [3, 4], "a.bias": [3]}},
        "tensors": [{"name": "b", "shape": [2, 2], "init": "orthogonal"}],
        "metadata": {"note": "ü"},
        "max_shard_size": 30,
    },
    **{
        f"layers of {framework}": {
            "framework": framework,
            "layers": [
                {"type": "lstm", "name": "l", "input_size": 3, "hidden_size": 2},
                {"type": "conv2d", "name": "c", "in_channels": 2, "out_channels": 4,
                 "kernel_size": 3},
                {"type": "batch_norm", "name": "n", "num_features": 4},
            ],
        }
        for framework in ("torch", "keras", "flax", "nnx")
    },
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_models_shards_and_layers(body: dict[str, Any]) -> None:
    """So is one of a model, of shards, or of layers in the layout of any framework."""
    one = Checkpoint(CheckpointSpec.model_validate(body))
    is_the_same(one, elsewhere(one))


def test_every_scheme_can_be_sent() -> None:
    """Whatever fills a tensor, another process draws it alike."""
    tensors = []
    for name, scheme in SCHEMES.items():
        given = {"scheme": name, **REQUIRED.get(name, {})}
        for shape in ((4, 4), (4, 4, 3, 3), (4,), (4, 2)):
            try:
                scheme.model_validate(given).fill(shape)
            except ValueError:
                continue
            tensors.append({"name": f"{name}{len(tensors)}", "shape": list(shape), "init": given})
            break
    assert len(tensors) > len(SCHEMES) - 3
    one = Checkpoint(CheckpointSpec.model_validate({"tensors": tensors}))
    is_the_same(one, elsewhere(one))
