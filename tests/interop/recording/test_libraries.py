"""Recordings of what libraries build, under the names that they save."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[3]
PACKAGES = [str(Path(sys.prefix) / folder) for folder in ("torchvision", "recorded")]
"""Where `make` puts torchvision, timm and diffusers, apart from what transformers would import."""

NARROW = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 99}
DENSE = {**NARROW, "intermediate_size": 64}
LLAMA = {**DENSE, "num_key_value_heads": 2}
EXPERTS = {**LLAMA, "moe_intermediate_size": 16, "n_routed_experts": 4, "num_experts_per_tok": 2}

TRANSFORMERS: dict[str, tuple[str, dict[str, Any]]] = {
    "GPT2LMHeadModel": ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99}),
    "LlamaForCausalLM": ("Llama", LLAMA),
    "Gemma2ForCausalLM": ("Gemma2", {**LLAMA, "head_dim": 8}),
    "BertForMaskedLM": ("Bert", DENSE),
    "AlbertForMaskedLM": ("Albert", {**DENSE, "embedding_size": 16}),
    "T5ForConditionalGeneration": (
        "T5", {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
    ),
    "BartForConditionalGeneration": (
        "Bart",
        {
            "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
            "vocab_size": 99,
        },
    ),
    "ViTForImageClassification": ("ViT", {**DENSE, "image_size": 16, "patch_size": 8}),
    "CLIPModel": (
        "CLIP",
        {
            "text_config": DENSE, "projection_dim": 16,
            "vision_config": {**DENSE, "image_size": 16, "patch_size": 8},
        },
    ),
    "MixtralForCausalLM": ("Mixtral", {**LLAMA, "num_local_experts": 4}),
    "DeepseekV3ForCausalLM": (
        "DeepseekV3",
        {
            **EXPERTS, "n_group": 2, "topk_group": 1, "q_lora_rank": 16, "kv_lora_rank": 16,
            "qk_rope_head_dim": 8, "v_head_dim": 8, "qk_nope_head_dim": 8,
            "first_k_dense_replace": 1, "num_key_value_heads": 4,
        },
    ),
    "Qwen3MoeForCausalLM": (
        "Qwen3Moe", {**LLAMA, "num_experts": 4, "moe_intermediate_size": 16, "head_dim": 8},
    ),
    "MambaForCausalLM": ("Mamba", {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 99}),
    "SwinModel": (
        "Swin", {"image_size": 32, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2]},
    ),
}  # fmt: skip
"""A class, its config and the fields that make it small."""

TIMM = ("vit_tiny_patch16_224", "resnet18", "convnext_atto", "mobilenetv3_small_050",
        "mixer_s32_224", "xcit_nano_12_p16_224")  # fmt: skip
DIFFUSERS = ("UNet2DConditionModel", "DiTTransformer2DModel")


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name: str) -> None:
    """Names, shapes and laws are those of what `save_pretrained` writes."""
    import transformers

    from tests.interop.recording.checking import check

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    family, given = TRANSFORMERS[name]
    config = getattr(transformers, f"{family}Config")(**given)
    recording, findings = check(lambda: getattr(transformers, name)(config))
    assert findings.wrong == []
    assert recording.report.library == "transformers"
    assert findings.counts.keys() <= {"said", "parts", "literal"}


@pytest.mark.parametrize("name", ["MixtralForCausalLM", "DeepseekV3ForCausalLM"])
def test_regions(name: str) -> None:
    """Tensors that are saved under other names know where they are in the module."""
    import transformers

    from seedbed.torch import record

    transformers.utils.logging.set_verbosity_error()
    family, given = TRANSFORMERS[name]
    config = getattr(transformers, f"{family}Config")(**given)
    tensors = record(lambda: getattr(transformers, name)(config)).tensors
    assert all(tensor.regions for tensor in tensors)  # and `check` has seen that they are right
    assert any(t.regions and t.regions[0].parameter != t.name for t in tensors)


@pytest.mark.parametrize(("library", "names"), [("timm", TIMM), ("diffusers", DIFFUSERS)])
def test_libraries_apart(library: str, names: tuple[str, ...], tmp_path: Path) -> None:
    """What timm and diffusers build is recorded right, in a process where they can be imported."""
    log = tmp_path / "log.jsonl"
    chosen = [part for name in names for part in ("--name", name)]
    done = subprocess.run(
        [sys.executable, "-m", "scripts.recording_sweep", library, "--log", log, *chosen],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join(PACKAGES)},
        capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert {line["name"] for line in lines} == set(names)
    for line in lines:
        assert line.get("wrong") == [], line
        assert line["counts"].keys() == {"said"}, line
