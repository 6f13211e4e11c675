"""Quantised checkpoints against the code of those whose formats they are.

Each format's own decompressor, or where it has none that runs on a CPU (GPTQ, AWQ) one written from
its documentation, gives every weight of the unquantised file of the same seed: of the numbers that
the format has at the stored scale, the nearest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open

from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.quantization import SHORT

pytestmark = pytest.mark.interop

torch = pytest.importorskip("torch")

LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 256,
    "intermediate_size": 384, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 512,
}  # fmt: skip
GPT_OSS = {
    "model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"], "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 512, "num_local_experts": 4, "head_dim": 16,
}  # fmt: skip

Floats = NDArray[np.float64]
Tensors = Mapping[str, Any]


def checkpoint(config: Mapping[str, Any], quantization: Any = None, **more: Any) -> Checkpoint:
    """A checkpoint of seed 5."""
    said = {} if quantization is None else {"quantization": quantization}
    body = {"model": {"config": config}, "seed": 5, **said, **more}
    return Checkpoint(CheckpointSpec.model_validate(body))


def tensors(found: Checkpoint) -> dict[str, Any]:
    """Its tensors, as safetensors' own reader for torch finds them."""
    with NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(found.whole.read(0, found.whole.size))
        file.flush()
        with safe_open(file.name, "pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


def floats(bits: str) -> Floats:
    """All finite numbers of a narrow float, by ml_dtypes."""
    dtype = {"e4m3": ml_dtypes.float8_e4m3fn, "e2m1": ml_dtypes.float4_e2m1fn}[bits]
    patterns = np.arange(256 if bits == "e4m3" else 16, dtype=np.uint8)
    values = patterns.view(dtype).astype(np.float64)
    return np.unique(values[np.isfinite(values)])


def wholes(low: int, high: int) -> Floats:
    """Whole numbers, both ends included."""
    return np.arange(low, high + 1, dtype=np.float64)


def fine_grained(own: Tensors, _: Any) -> tuple[Any, Any, Floats]:
    """By transformers: `FineGrainedFP8`'s own."""
    from transformers.integrations.finegrained_fp8 import _dequantize_fp8_weight

    scale = own["weight_scale_inv"]
    whole = _dequantize_fp8_weight(own["weight"], scale, [128, 128], torch.float32)
    return whole, scale.float(), floats("e4m3")


def compressed(own: Tensors, config: Any) -> tuple[Any, Any, Floats]:
    """By compressed-tensors' own decompressor."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme

    scheme = QuantizationScheme.model_validate(config["config_groups"]["group_0"])
    compressor = BaseCompressor.get_value_from_registry(config["format"])
    whole = compressor.decompress(dict(own), scheme)["weight"]
    scale = own["weight_scale"].float()
    if "weight_global_scale" in own:
        scale = scale / own["weight_global_scale"]
    weights = config["config_groups"]["group_0"]["weights"]
    if weights["type"] == "float":
        return whole, scale, floats("e4m3" if weights["num_bits"] == 8 else "e2m1")
    last = 2 ** (weights["num_bits"] - 1)
    if weights.get("symmetric", True):
        return whole, scale, wholes(-last, last - 1)
    return whole, scale, wholes(1 - last, last - 1)  # whose zero is one off the middle


def modelopt(own: Tensors, config: Any) -> tuple[Any, Any, Floats]:
    """As ModelOpt's documentation has it: weight × weight_scale, and × weight_scale_2."""
    if config["quant_algo"] == "FP8":
        scale = own["weight_scale"].float()
        return own["weight"].float() * scale, scale, floats("e4m3")
    from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8

    rows, half = own["weight"].shape
    codes = unpack_fp4_from_uint8(own["weight"], rows, 2 * half, torch.float32)
    scale = own["weight_scale"].float() * own["weight_scale_2"]
    return codes * scale.repeat_interleave(16, 1), scale, floats("e2m1")


def gptq(own: Tensors, config: Any) -> tuple[Any, Any, Floats]:
    """An oracle from AutoGPTQ's packing: codes down the inputs, zero points stored less one."""
    bits = config["bits"]
    if bits == 3:
        codes, zeros = three_bits(own["qweight"].T).T, three_bits(own["qzeros"])
    else:
        shifts = torch.arange(0, 32, bits)
        codes = (own["qweight"].unsqueeze(1) >> shifts.view(1, -1, 1)) & (2**bits - 1)
        codes = codes.reshape(-1, own["qweight"].shape[1])
        zeros = (own["qzeros"].unsqueeze(2) >> shifts) & (2**bits - 1)
        zeros = zeros.reshape(len(own["qzeros"]), -1)
    if config.get("checkpoint_format") != "gptq_v2":
        zeros = (zeros + 1) & (2**bits - 1)
    groups = own["g_idx"].long()
    whole = own["scales"].float()[groups] * (codes - zeros[groups])
    last = 2 ** (bits - 1)
    return whole.T, own["scales"].float(), wholes(-last, last - 1)


def three_bits(words: Any) -> Any:
    """As AutoGPTQ unpacks rows of 3 bits: 32 codes of three words, two of which cross over."""
    shifts = torch.tensor([
        [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0], [0, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31],
        [0, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 0],
    ])  # fmt: skip
    parts = words.reshape(len(words), -1, 3, 1) >> shifts
    parts[:, :, 0, 10] = (parts[:, :, 0, 10] & 3) | ((parts[:, :, 1, 0] << 2) & 4)
    parts[:, :, 1, 11] = (parts[:, :, 1, 11] & 1) | ((parts[:, :, 2, 0] << 1) & 6)
    own = [parts[:, :, 0, :11], parts[:, :, 1, 1:12], parts[:, :, 2, 1:11]]
    return (torch.cat(own, 2) & 7).reshape(len(words), -1)


def awq(own: Tensors, _: Any) -> tuple[Any, Any, Floats]:
    """An oracle from AutoAWQ's packing: codes along the outputs, put back into their order."""
    shifts = torch.arange(0, 32, 4)
    back = [0, 4, 1, 5, 2, 6, 3, 7]

    def unpacked(words: Any) -> Any:
        return ((words.unsqueeze(2) >> shifts) & 15)[:, :, back].reshape(len(words), -1)

    size = len(own["qweight"]) // len(own["qzeros"])
    zeros = unpacked(own["qzeros"]).repeat_interleave(size, 0)
    scales = own["scales"].float().repeat_interleave(size, 0)
    whole = (unpacked(own["qweight"]) - zeros) * scales
    return whole.T, own["scales"].float(), wholes(-7, 7)


def bits_and_bytes(own: Tensors, config: Any) -> tuple[Any, Any, Floats]:
    """By bitsandbytes, on a CPU."""
    import bitsandbytes.functional as bnb

    if config.get("load_in_8bit"):
        whole = bnb.int8_vectorwise_dequant(own["weight"], own["SCB"])
        return whole, own["SCB"] / 127, wholes(-127, 127)
    state = {key.removeprefix("weight."): value for key, value in own.items() if "." in key}
    read = bnb.QuantState.from_dict(state, device=torch.device("cpu"))
    whole = bnb.dequantize_4bit(own["weight"], read)
    largest = read.absmax
    if read.nested:
        largest = bnb.dequantize_blockwise(read.absmax, read.state2) + read.offset
    return whole, largest, np.unique(read.code.double().numpy())


def by_rows(own: Tensors, _: Any) -> tuple[Any, Any, Floats]:
    """As FBGEMM: E4M3 × the scale of the row."""
    return own["weight"].float() * own["weight_scale"], own["weight_scale"], floats("e4m3")


DEQUANTISERS: Mapping[str, Callable[[Tensors, Any], tuple[Any, Any, Floats]]] = {
    "fp8": fine_grained,
    "compressed-tensors": compressed,
    "modelopt": modelopt,
    "gptq": gptq,
    "awq": awq,
    "bitsandbytes": bits_and_bytes,
    "fbgemm_fp8": by_rows,
}

_W4 = SHORT["w4a16"]["config_groups"]["group_0"]["weights"]


def asymmetric(form: str, **weights: Any) -> dict[str, Any]:
    """compressed-tensors with zero points."""
    group = {"targets": ["Linear"], "weights": {**_W4, "symmetric": False, **weights}}
    if form == "int-quantized":
        group["input_activations"] = {"num_bits": 8, "type": "int", "dynamic": True,
                                      "strategy": "token"}  # fmt: skip
    return {**SHORT["w4a16"], "format": form, "config_groups": {"group_0": group}}


def packed_in(bits: int) -> dict[str, Any]:
    """pack-quantized with symmetric codes of so many bits, in groups."""
    weights = {"num_bits": bits, "type": "int", "strategy": "group", "group_size": 128}
    return {
        **SHORT["w4a16"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }


CASES: dict[str, Any] = {
    **{name: config for name, config in SHORT.items() if name != "mxfp4"},
    "fp8-ue8m0": {**SHORT["fp8-block"], "scale_fmt": "ue8m0"},
    "fp8-channel-block": {
        **SHORT["fp8-dynamic"],
        "config_groups": {
            "group_0": {
                "targets": ["re:.*proj"],
                "weights": {"num_bits": 8, "type": "float", "strategy": "block",
                            "block_structure": [128, 128]},
                "input_activations": {"num_bits": 8, "type": "float", "dynamic": True,
                                      "strategy": "group", "group_size": 128},
            }
        },
    },
    "w4-zero": asymmetric("pack-quantized"),
    "w2-zero-channel": asymmetric(
        "pack-quantized", num_bits=2, strategy="channel", group_size=None
    ),
    "w8-zero": asymmetric("int-quantized", num_bits=8, strategy="channel", group_size=None),
    "mxfp4-linear": {
        "quant_method": "compressed-tensors",
        "format": "mxfp4-pack-quantized",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": {
            "num_bits": 4, "type": "float", "strategy": "group", "group_size": 32}}},
    },
    "mxfp8-linear": {
        "quant_method": "compressed-tensors",
        "format": "mxfp8-quantized",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": {
            "num_bits": 8, "type": "float", "strategy": "group", "group_size": 32}}},
    },
    "gptq-v2": {**SHORT["gptq-4bit"], "checkpoint_format": "gptq_v2", "group_size": 64},
    "gptq-2bit": {**SHORT["gptq-4bit"], "bits": 2, "group_size": -1},
    "gptq-3bit": {**SHORT["gptq-4bit"], "bits": 3},
    "gptq-3bit-uneven": {**SHORT["gptq-4bit"], "bits": 3, "sym": False, "group_size": 32},
    **{f"packed-{bits}bit": packed_in(bits) for bits in (3, 5, 6, 7)},
    **{
        f"packed-{bits}bit-uneven": asymmetric("pack-quantized", num_bits=bits)
        for bits in (3, 5, 6, 7)
    },
    "bnb-fp4": {**SHORT["bnb-nf4"], "bnb_4bit_quant_type": "fp4"},
    "bnb-nested": {**SHORT["bnb-nf4"], "bnb_4bit_use_double_quant": True},
}  # fmt: skip


@pytest.fixture(scope="module")
def unquantised() -> dict[str, Any]:
    """The same network, in F32."""
    return tensors(checkpoint(LLAMA))


@pytest.mark.parametrize("case", CASES)
def test_owners_code_gives_the_same_network(case: str, unquantised: dict[str, Any]) -> None:
    """Every weight is the nearest number that the format has, and nothing else has changed."""
    config = CASES[case]
    stored = tensors(checkpoint(LLAMA, config))
    dequantise = DEQUANTISERS[config["quant_method"]]
    changed = 0
    for name, weight in unquantised.items():
        prefix = name.removesuffix("weight")
        own = {key.removeprefix(prefix): v for key, v in stored.items() if key.startswith(prefix)}
        if name in stored and stored[name].dtype == weight.dtype:
            assert torch.equal(stored[name], weight), name
            continue
        changed += 1
        if case in ("mxfp4-linear", "mxfp8-linear"):
            assert {*own["weight_scale"].unique().tolist()} != {0}
        whole, scale, grid = dequantise(own, config)
        scales = np.unique(scale.double().numpy())
        assert len(scales) == 1
        assert 0 < scales[0] < np.inf
        if case in ("mxfp4-linear", "mxfp8-linear"):
            scales = np.exp2(scales - 127)
        nearest_of(whole, weight, float(scales[0]), grid)
    linear = [name for name in unquantised if name.endswith("proj.weight")]
    assert changed >= len(linear)


def nearest_of(whole: Any, weight: Any, scale: float, grid: Floats) -> None:
    """What was dequantised is as near to the weight as a number of the grid at the scale can be."""
    assert whole.shape == weight.shape
    assert torch.isfinite(whole).all()
    draws, found = weight.double().numpy().reshape(-1), whole.double().numpy().reshape(-1)
    points = grid * scale
    places = np.clip(np.searchsorted(points, draws), 1, len(points) - 1)
    least = np.minimum(np.abs(points[places] - draws), np.abs(points[places - 1] - draws))
    assert points[0] <= draws.min()
    assert draws.max() <= points[-1]
    rounding = 2 * torch.finfo(whole.dtype).eps * np.abs(found)  # of the owner's own product
    assert (np.abs(found - draws) <= least + rounding + 1e-6 * scale).all()


def test_mxfp4_is_what_transformers_makes_of_it() -> None:
    """The experts of gpt-oss, by transformers' own code, and their layout."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    plain, stored = tensors(checkpoint(GPT_OSS)), tensors(checkpoint(GPT_OSS, "mxfp4"))
    experts = [name for name in plain if name.endswith("experts.gate_up_proj")]
    experts += [name for name in plain if name.endswith("experts.down_proj")]
    assert len(experts) == 2
    for name in experts:
        blocks, scales = stored.pop(f"{name}_blocks"), stored.pop(f"{name}_scales")
        whole = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
        (exponent,) = scales.unique().tolist()
        nearest_of(whole, plain.pop(name), 2.0 ** (exponent - 127), floats("e2m1"))
    assert stored.keys() == plain.keys()
    assert all(torch.equal(stored[name], plain[name]) for name in plain)


@pytest.mark.parametrize(
    ("config", "quantization"),
    [(LLAMA, "fp8-block"), (GPT_OSS, "mxfp4"), (LLAMA, "w4a16"), (LLAMA, "nvfp4"),
     (LLAMA, "fp8-dynamic"), (LLAMA, "w8a8")],
    ids=["fp8", "mxfp4", "w4a16", "nvfp4", "fp8-dynamic", "w8a8"],
)  # fmt: skip
def test_transformers_loads_the_directory(
    config: dict[str, Any], quantization: str, tmp_path: Path
) -> None:
    """`from_pretrained` on a CPU takes the directory as it is, and every tensor of it."""
    from transformers import AutoModelForCausalLM

    found = checkpoint(config, quantization, dtype="BF16")
    for file in found.files():
        (tmp_path / file.name).write_bytes(file.read(0, file.size))
    said = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    said["quantization_config"]["dequantize"] = True  # which the library does by itself for some
    (tmp_path / "config.json").write_text(json.dumps(said), encoding="utf-8")
    model, info = AutoModelForCausalLM.from_pretrained(
        tmp_path, output_loading_info=True, dtype=torch.bfloat16
    )
    assert not info["missing_keys"]
    of_inputs = "input_global_scale"  # which whoever dequantises has no use for
    assert not [key for key in info["unexpected_keys"] if not key.endswith(of_inputs)]
    plain = tensors(checkpoint(config))
    loaded = model.state_dict()
    bits = 3 if "8" in quantization else 1
    for name, weight in plain.items():
        furthest = weight.abs().max()
        error = (loaded[name].float() - weight).abs().max()
        assert error <= furthest * (0.5 ** (bits - 1) / 2 if furthest else 0) + 1e-6, name
