from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load, save

from seedbed.errors import SpecError
from seedbed.files import Checkpoint, CheckpointSpec, VirtualFile
from seedbed.models.manifest import guess


def spec_of(manifest: Any, **fields: Any) -> CheckpointSpec:
    """A spec of one manifest, as a request body would give it."""
    model = {"manifest": manifest, **fields.pop("model", {})}
    return CheckpointSpec.model_validate_json(json.dumps({"model": model, **fields}))


def test_shapes_dtypes_and_inits() -> None:
    """Names and shapes are as given; a dtype or init that is given is taken, others are guessed."""
    spec = spec_of(
        {
            "b.weight": [4, 3],
            "a.bias": {"shape": [4], "dtype": "F16"},
            "c": {"shape": [2], "init": {"scheme": "constant", "value": 7}},
            "steps": {"shape": [], "dtype": "I64"},
        },
        dtype="BF16",
    )
    found = {tensor.name: tensor for tensor in Checkpoint(spec).tensors}
    assert list(found) == ["a.bias", "b.weight", "c", "steps"]
    assert {name: one.dtype.code for name, one in found.items()} == {
        "a.bias": "F16", "b.weight": "BF16", "c": "BF16", "steps": "I64",
    }  # fmt: skip
    assert {name for name, one in found.items() if one.guessed} == {"a.bias", "b.weight", "steps"}
    assert found["c"].scheme.canonical() == {"scheme": "constant", "value": 7}
    assert found["b.weight"].scheme.canonical() == {"scheme": "normal", "std": 0.02}


@pytest.mark.parametrize(
    ("name", "rank", "dtype", "expected"),
    [
        ("encoder.layer.0.attention.self.query.weight", 2, None, "normal"),
        ("encoder.layer.0.attention.self.query.bias", 1, None, "zeros"),
        ("blocks.0.norm1.weight", 1, None, "ones"),
        ("bn.running_mean", 1, None, "zeros"),
        ("bn.running_var", 1, None, "ones"),
        ("bn.num_batches_tracked", 0, "I64", "zeros"),
        ("dense/kernel", 2, None, "normal"),
        ("batch_norm/gamma", 1, None, "ones"),
        ("batch_norm/beta", 1, None, "zeros"),
        ("params.Dense_0.bias", 1, None, "zeros"),
        ("relative_position_index", 2, "I64", "zeros"),
    ],
)
def test_the_plain_rule(name: str, rank: int, dtype: Any, expected: str) -> None:
    """Biases and means start at zero, scales and variances at one, matrices normal."""
    assert guess(name, rank, dtype, 0.5).scheme == expected


def test_a_rule_is_no_guess() -> None:
    """What a rule says of a tensor is not reported as guessed, nor counted in the header."""
    spec = spec_of({"w": [2, 2], "v": [2]}, rules=[{"match": "w", "init": "ones"}])
    file = Checkpoint(spec).whole
    assert {tensor.name: tensor.guessed for tensor in file.tensors} == {"v": True, "w": False}
    assert file.metadata["seedbed.guessed"] == "1"


def test_the_header_of_a_real_file() -> None:
    """The header of a file that safetensors wrote is a manifest of a file with the same tensors."""
    arrays = {
        "w": np.ones((3, 5), np.float16), "steps": np.array(3, np.int64), "x.bias": np.zeros(4),
    }  # fmt: skip
    raw = save(arrays, {"format": "np"})
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    made = load(bytes(VirtualFile(spec_of(header)).read(0, 1 << 20)))
    assert {name: (one.shape, one.dtype) for name, one in made.items()} == {
        name: (one.shape, one.dtype) for name, one in arrays.items()
    }


def test_headers_of_shards_are_one_manifest() -> None:
    """A list of headers is the manifest of all of them; a name in two of them is refused."""
    one, two = {"a": [1], "__metadata__": {"format": "pt"}}, {"b": [2]}
    assert spec_of([one, two]).digest == spec_of({"b": [2], "a": [1]}).digest
    with pytest.raises(ValidationError, match="'a' is in two of the headers"):
        spec_of([one, one])


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({}, "at least 1 item"),
        ([], "at least 1 item"),
        ({"weight_map": {"a": "model-00001-of-00002.safetensors"}}, "no shapes"),
        ({"a": [-1]}, "greater than or equal to 0"),
        ({"a": [1.5]}, "valid integer"),
        ({"a": "10"}, "be an object"),
        ({"a": {"shape": [1], "dtype": "F33"}}, "Input should be"),
        ({"a": {"shape": [1], "size": 3}}, "Extra inputs"),
        ({"": [1]}, "at least 1 character"),
        (5, "be an object"),
        ([5], "be an object"),
    ],
)
def test_what_is_no_manifest(manifest: Any, said: str) -> None:
    """A manifest that is wrong is refused with the reason."""
    with pytest.raises(ValidationError, match=said):
        spec_of(manifest)


def test_one_meaning_one_spelling() -> None:
    """The order of names, a spelled-out default and a bare shape do not make another file."""
    short = spec_of({"a": [1], "b": [2, 2]})
    long = spec_of({"b": {"shape": [2, 2]}, "a": [1]}, model={"initializer_range": 0.02})
    other = spec_of({"a": [1], "b": [2, 2]}, model={"initializer_range": 0.01})
    assert short.canonical_json == long.canonical_json
    assert short.digest == long.digest != other.digest


def test_an_init_that_cannot_be() -> None:
    """An init that its tensor cannot take is refused with the tensor's name."""
    spec = spec_of({"w": {"shape": [3], "init": "he_normal"}})
    with pytest.raises(SpecError, match="'w'") as caught:
        Checkpoint(spec)
    assert caught.value.path == ("model",)
