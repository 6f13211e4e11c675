"""Names, shapes and dtypes of quantised checkpoints, held to what transformers makes room for.

The library's own quantiser replaces the modules of a model on the meta device, in which nothing is
drawn: sizes are those of published models. Configs of compressed-tensors are written by its own
classes, from its own presets, as llm-compressor publishes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest

from seedbed.errors import SpecError
from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.quantization import SHORT
from seedbed.stream import dtype_code

pytestmark = pytest.mark.interop

torch = pytest.importorskip("torch")

LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096,
    "intermediate_size": 14336, "num_hidden_layers": 2, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128256, "dtype": "bfloat16",
}  # fmt: skip
"""Llama-3.1-8B, but for its depth."""

DEEPSEEK = {
    "model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "hidden_size": 7168,
    "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 2,
    "first_k_dense_replace": 1, "num_attention_heads": 128, "num_key_value_heads": 128,
    "n_routed_experts": 4, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2,
    "n_shared_experts": 1, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128, "v_head_dim": 128, "vocab_size": 129280, "dtype": "bfloat16",
}  # fmt: skip
"""DeepSeek-V3, but for its depth and the number of its experts."""

GPT_OSS = {
    "model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"], "hidden_size": 2880,
    "intermediate_size": 2880, "num_hidden_layers": 1, "num_attention_heads": 64,
    "num_key_value_heads": 8, "vocab_size": 201088, "num_local_experts": 32, "head_dim": 64,
    "dtype": "bfloat16",
}  # fmt: skip
"""gpt-oss-20b, but for its depth."""

Shapes = dict[str, tuple[str, tuple[int, ...]]]


def ours(config: Mapping[str, Any], quantization: Any) -> Shapes:
    """Dtype and shape of every tensor, by name."""
    body = {"model": {"config": {**config, "quantization_config": quantization}}}
    file = Checkpoint(CheckpointSpec.model_validate(body)).whole
    return {tensor.name: (tensor.dtype.code, tensor.shape) for tensor in file.tensors}


def theirs(config: Mapping[str, Any], quantization: Any) -> Shapes:
    """The same of the modules that the library's quantiser leaves."""
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING
    from transformers.quantizers import AutoHfQuantizer

    fields = {name: value for name, value in config.items() if name != "model_type"}
    found = CONFIG_MAPPING[config["model_type"]](**fields)
    quantiser = AutoHfQuantizer.from_config(deepcopy(quantization), pre_quantized=True)
    with torch.device("meta"):
        model = MODEL_FOR_CAUSAL_LM_MAPPING[type(found)](found).to(torch.bfloat16)
    model.config.quantization_config = quantiser.quantization_config
    quantiser.quantization_config.dequantize = False
    quantiser.use_fp8_kernel = False
    quantiser.preprocess_model(model=model, device_map={"": "cpu"}, dtype=torch.bfloat16)
    return {
        name: (dtype_code(str(tensor.dtype).removeprefix("torch.")), tuple(tensor.shape))
        for name, tensor in model.state_dict().items()
    }


def presets() -> list[str]:
    """compressed-tensors' own."""
    from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES

    return [name for name in sorted(PRESET_SCHEMES) if name != "UNQUANTIZED"]


NOT_TAKEN = {"MXFP6A16", "MXFP6A8"}


def published(preset: str) -> dict[str, Any]:
    """A `quantization_config` as compressed-tensors writes it."""
    from compressed_tensors.compressors.format import infer_module_format
    from compressed_tensors.config import CompressionFormat
    from compressed_tensors.quantization import QuantizationConfig, preset_name_to_scheme

    scheme = preset_name_to_scheme(preset, ["Linear"])
    form = infer_module_format(torch.nn.Linear, scheme)
    assert isinstance(form, CompressionFormat)
    scheme.format = form.value
    config = QuantizationConfig(
        config_groups={"group_0": scheme}, ignore=["lm_head"], format=form.value,
        quantization_status="compressed",
    )  # fmt: skip
    return {**json.loads(config.model_dump_json()), "quant_method": "compressed-tensors"}


@pytest.mark.parametrize("preset", presets())
def test_presets_of_compressed_tensors(preset: str) -> None:
    """Each that is taken has what the library makes room for; the others are refused."""
    config = published(preset)
    if preset in NOT_TAKEN:
        with pytest.raises(SpecError, match="is not taken"):
            ours(LLAMA, config)
        return
    stored, room = ours(LLAMA, config), theirs(LLAMA, config)
    if "ASYM" in preset:  # zero points, which the library packs but does not make room for
        from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

        for name, (dtype, shape) in room.items():
            if name.endswith("zero_point"):
                assert dtype == "I8"
                packed = pack_to_int32(torch.zeros(shape, dtype=torch.int8), 4, packed_dim=0)
                room[name] = "I32", tuple(packed.shape)
    assert stored == room


def test_fine_grained_fp8() -> None:
    """As Qwen3-8B-FP8 has it, with the library's own choice of what is left alone."""
    assert ours(LLAMA, dict(SHORT["fp8-block"])) == theirs(LLAMA, dict(SHORT["fp8-block"]))


def test_fine_grained_fp8_of_experts() -> None:
    """DeepSeek-V3's: the library holds experts as stacks, which the file has one by one."""
    config = dict(SHORT["fp8-block"])
    stored, room = ours(DEEPSEEK, config), theirs(DEEPSEEK, config)
    stacks: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for name in [name for name in stored if ".experts." in name]:
        found = re.fullmatch(r"(.*\.experts)\.\d+\.(gate|up|down)_proj\.weight(\w*)", name)
        assert found is not None
        kind = "down_proj" if found[2] == "down" else "gate_up_proj"
        stacks.setdefault(f"{found[1]}.{kind}{found[3]}", []).append(stored.pop(name))
    for name, parts in stacks.items():
        dtype, shape = room.pop(name)
        assert {part[0] for part in parts} == {dtype}
        assert sum(part[1][0] for part in parts) == shape[0] * shape[1]
        assert {part[1][1] for part in parts} == {shape[2]}
    assert {name: shape for name, (_, shape) in stored.items()} == {
        name: shape for name, (_, shape) in room.items()
    }
    assert all(room[name][0] == dtype for name, (dtype, _) in stored.items() if dtype[0:2] == "F8")


def test_mxfp4_of_experts() -> None:
    """gpt-oss': room for blocks and scales as the library's own module has it."""
    from transformers import GptOssConfig
    from transformers.integrations.mxfp4 import Mxfp4GptOssExperts

    fields = {name: value for name, value in GPT_OSS.items() if name != "model_type"}
    with torch.device("meta"):
        experts = Mxfp4GptOssExperts(GptOssConfig(**fields))
    room = {name: tuple(tensor.shape) for name, tensor in experts.state_dict().items()}
    prefix = "model.layers.0.mlp.experts."
    stored = {
        name.removeprefix(prefix): shape
        for name, (_, shape) in ours(GPT_OSS, {"quant_method": "mxfp4"}).items()
        if name.startswith(prefix)
    }
    for kind in ("gate_up_proj", "down_proj"):
        count, rows, size = room.pop(kind)
        assert stored.pop(f"{kind}_blocks") == (count, rows, size // 16, 16)
        assert stored.pop(f"{kind}_scales") == (count, rows, size // 16)
    assert stored == room  # biases


@pytest.mark.parametrize("name", ["bnb-8bit", "bnb-nf4"])
def test_modules_of_bitsandbytes(name: str) -> None:
    """Those that the library replaces; their state exists only once there are weights."""
    stored, room = ours(LLAMA, dict(SHORT[name])), theirs(LLAMA, dict(SHORT[name]))
    quantised = {name for name, (dtype, _) in stored.items() if dtype in ("I8", "U8")}
    narrow = {name for name, (dtype, _) in room.items() if dtype in ("I8", "U8")}
    assert {name for name in quantised if name.endswith(".weight")} == narrow
