from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load, save

from seedbed.errors import SpecError
from seedbed.files import Checkpoint, CheckpointSpec, VirtualFile
from seedbed.models.manifest import Entry, guess


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
            "num_batches_tracked": {"shape": [], "dtype": "I64"},
        },
        dtype="BF16",
    )
    found = {tensor.name: tensor for tensor in Checkpoint(spec).tensors}
    assert list(found) == ["a.bias", "b.weight", "c", "num_batches_tracked"]
    assert {name: one.dtype.code for name, one in found.items()} == {
        "a.bias": "F16", "b.weight": "BF16", "c": "BF16", "num_batches_tracked": "I64",
    }  # fmt: skip
    assert [name for name, one in found.items() if not one.guessed] == ["c"]
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
        ("relative_position_index", 2, "I64", None),
        ("causal", 2, "BOOL", None),
        ("attn.bias", 4, None, None),  # nanoGPT's causal mask
        ("experts.down_proj_bias", 2, None, "zeros"),
        ("attn.causal_mask", 2, None, None),
        ("attn.masks", 1, None, None),
        ("embeddings.mask_token", 3, None, "normal"),
        ("LayerNorm_0/scale", 1, None, "ones"),
        ("proj.weight_scale_inv", 2, None, None),
        ("proj.input_scale", 0, None, None),
        ("logit_scale", 0, None, None),
        ("proj.scales", 2, None, None),
        ("proj.qzeros", 2, None, None),
        ("proj.weight.absmax", 1, None, None),
        ("proj.weight.quant_map", 1, None, None),
        ("proj.zero_point", 1, None, None),
        ("upscale.weight", 2, None, "normal"),
        ("proj.weight", 2, "F8_E4M3", None),
        ("proj.bias", 1, "F8_E4M3", "zeros"),
        ("norm.weight", 1, "F8_E5M2", "ones"),
        ("w", 1, "F8_E8M0", None),
        ("proj.SCB", 1, "F32", None),
        ("proj.input_quantizer._amax", 0, "F32", None),
    ],
)
def test_the_plain_rule(name: str, rank: int, dtype: Any, expected: str) -> None:
    """Biases and means start at zero, scales of norms at one, matrices normal; traps are asked."""
    found = guess(name, Entry(shape=(2,) * rank, dtype=dtype), 0.5)
    assert (found and found.scheme) == expected


@pytest.mark.parametrize(
    "manifest",
    [
        {"w": [2, 2], "mask": {"shape": [2, 2], "dtype": "BOOL"}},
        {"w": [2, 2], "ids": {"shape": [2], "dtype": "I64"}},
        {"w": [2, 2], "w.scales": [2, 2]},
    ],
)
def test_what_no_guess_is_sound_for(manifest: dict[str, Any]) -> None:
    """Such a tensor is refused at its place, and made once an init, a rule or an equal is named."""
    *_, name = manifest
    with pytest.raises(SpecError, match="nothing says what") as caught:
        Checkpoint(spec_of(manifest))
    assert caught.value.path == ("model", "manifest", name)
    entry = manifest[name] if isinstance(manifest[name], dict) else {"shape": manifest[name]}
    said = {**manifest, name: {**entry, "init": "ones"}}
    by_rule = spec_of(manifest, rules=[{"match": f"*{name[-3:]}", "init": "ones"}])
    dropped = spec_of(manifest, rules=[{"match": name, "drop": True}])
    assert [one.guessed for one in Checkpoint(spec_of(said)).tensors if one.name == name] == [False]
    assert [one.guessed for one in Checkpoint(by_rule).tensors if one.name == name] == [False]
    assert [one.name for one in Checkpoint(dropped).tensors] == ["w"]


QUANTISED: dict[str, dict[str, tuple[str, list[int]]]] = {
    # A module as each library stores it; of ours tests/quantization has all.
    "fine-grained FP8": {
        "weight": ("F8_E4M3", [256, 256]),
        "weight_scale_inv": ("F8_E8M0", [2, 2]),
    },
    "static FP8": {"weight": ("F8_E4M3", [9, 9]), "input_scale": ("F32", []), "scale": ("F32", [])},
    "FP8 of ComfyUI": {"scaled_fp8": ("F8_E4M3", [2]), "scale_weight": ("F32", [])},
    "Marlin": {"B": ("I32", [16, 512]), "s": ("F16", [2, 256]), "workspace": ("I32", [16])},
    "HQQ": {"W_q": ("F32", [128, 256]), "zero": ("F16", [256, 1]), "nbits": ("I64", [])},
    "Quanto": {"weight._data": ("I8", [9, 9]), "weight._shift": ("F32", [9, 1])},
    "AQLM": {"codes": ("I8", [32, 32, 1]), "codebooks": ("F16", [1, 65536, 1, 8])},
    "QuIP#": {"Qidxs": ("I16", [32, 32]), "SU": ("F16", [256]), "Wscale": ("F32", [])},
    "HIGGS": {"weight": ("I16", [16, 16]), "tables2": ("F16", [16, 16, 1])},
    "FP-Quant": {"qweight": ("U8", [9, 9]), "forward_hadamard_matrix": ("BF16", [32, 32])},
    "EXL3": {"trellis": ("I16", [16, 16, 64]), "suh": ("F16", [256]), "mcg": ("I32", [])},
    "EETQ": {"weight": ("I8", [9, 9]), "weight_scales": ("F16", [9])},
    "torch-int": {"weight": ("I8", [9, 9]), "a": ("F32", []), "b": ("F32", [])},
    "torchao": {"weight:int_data": ("I8", [9, 9]), "weight:zero_point": ("I8", [9])},
    "torchao's int4": {"qdata": ("I32", [8, 2, 32, 4]), "scale_and_zero": ("BF16", [2, 9, 2])},
    "MLX": {"weight": ("U32", [256, 32]), "scales": ("BF16", [9, 4]), "biases": ("BF16", [9, 4])},
    "SVDQuant": {"qweight": ("I8", [9, 9]), "lora_down": ("BF16", [9, 9]), "smooth": ("F16", [9])},
    "bitsandbytes": {"weight": ("U8", [9, 1]), "weight.absmax": ("F32", [9]), "SCB": ("F32", [9])},
    "sparse": {
        "compressed": ("BF16", [99]),
        "bitmask": ("U8", [9, 2]),
        "row_offsets": ("I64", [9]),
    },
    "TensorRT-LLM": {"weight": ("F8_E4M3", [9, 9]), "weights_scaling_factor": ("F32", [])},
    "SmoothQuant": {"smoothing_factor": ("F32", [9]), "activation_scaling_factor": ("F32", [])},
    "GGUF": {"weight": ("U8", [256, 144])},
}


@pytest.mark.parametrize("library", QUANTISED)
def test_nothing_of_a_quantised_module_is_guessed(library: str) -> None:
    """But its bias: whichever tensors an init is given to, the others are asked for."""
    header: dict[str, Any] = {
        f"l.{name}": {"dtype": code, "shape": shape, "data_offsets": [0, 1]}
        for name, (code, shape) in QUANTISED[library].items()
    }
    plain = {"l.bias": [9], "norm.weight": {"dtype": "F32", "shape": [9]}, "l.up.weight": [9, 9]}
    built = spec_of({**header, **plain}).built
    assert built is not None
    assert built.unsaid == header.keys()
    for name, entry in header.items():
        given = {**header, name: {**entry, "init": "ones"}}
        if len(header) > 1:
            with pytest.raises(SpecError, match="nothing says what"):
                Checkpoint(spec_of({**given, **plain}))


def test_a_rule_that_makes_integers_of_a_guess() -> None:
    """A guess is for floats: a dtype of integers wants an init beside it."""
    rule = {"match": "a", "dtype": "I8"}
    with pytest.raises(SpecError, match="nothing says what 'a' holds"):
        Checkpoint(spec_of({"a": [2]}, rules=[rule]))
    assert Checkpoint(spec_of({"a": [2]}, rules=[{**rule, "init": "ones"}])).tensors


def test_a_rule_is_no_guess() -> None:
    """What a rule says of a tensor is not reported as guessed, nor counted in the header."""
    spec = spec_of({"w": [2, 2], "v": [2]}, rules=[{"match": "w", "init": "ones"}])
    file = Checkpoint(spec).whole
    assert {tensor.name: tensor.guessed for tensor in file.tensors} == {"v": True, "w": False}
    assert file.metadata["seedbed.guessed"] == "1"


def test_the_header_of_a_real_file() -> None:
    """The header of a file that safetensors wrote is a manifest of a file with the same tensors."""
    arrays = {
        "w": np.ones((3, 5), np.float16), "x.bias": np.zeros(4),
        "bn.num_batches_tracked": np.array(3, np.int64),
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
