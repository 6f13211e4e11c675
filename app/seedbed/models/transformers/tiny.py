"""A tiny model of each family, for tests: a few hundred kilobytes, and a tokenizer with text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

from seedbed.models import tokenizers
from seedbed.models.tokenizers import BOS, EOS, MAX_LENGTH, PAD, VOCABULARY
from seedbed.models.transformers import (
    bart,
    bert,
    clip,
    deberta,
    fused,
    gpt2,
    gpt_neox,
    llama,
    mamba,
    moe,
    opt,
    phi,
    t5,
    vit,
)
from seedbed.models.transformers.family import ConfigPreset, Family

SOURCE = "ours: no published model has these numbers"

TOKENS = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD, "vocab_size": VOCABULARY}

BLOCKS = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}

LONG = {"max_position_embeddings": MAX_LENGTH}

DECODER = {**BLOCKS, **TOKENS, **LONG, "num_key_value_heads": 2}

EXPERTS = {"num_experts_per_tok": 2}

LATENT = {
    "first_k_dense_replace": 1,
    "kv_lora_rank": 16,
    "moe_intermediate_size": 32,
    "n_group": 1,
    "n_routed_experts": 4,
    "num_key_value_heads": 4,
    "q_lora_rank": 24,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "topk_group": 1,
    "v_head_dim": 16,
}

BOTH = {
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "decoder_start_token_id": EOS,
}

IMAGE = {**BLOCKS, "image_size": 32, "patch_size": 8}

HALVES = {
    "text_config": {**BLOCKS, **TOKENS, "max_position_embeddings": 32, "projection_dim": 32},
    "vision_config": {**IMAGE, "projection_dim": 32},
}

ALONE = {key: value for key, value in BLOCKS.items() if key != "intermediate_size"}

WORDS = {"vocab_size": VOCABULARY, "pad_token_id": PAD}

Row = tuple[type[Family], Mapping[str, Any], str | None]
"""Family, fields, and the style of the tokenizer."""


def _decoders() -> Iterator[Row]:
    short = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": MAX_LENGTH}
    yield gpt2.GPT2, {**TOKENS, **short, "bos_token_id": EOS}, "gpt"
    for family in llama.FAMILIES:
        heads = {"head_dim": 16} if family.model_fields["head_dim"].default else {}
        more = {"original_max_position_embeddings": MAX_LENGTH} if family is llama.Phi3 else {}
        yield family, {**DECODER, **heads, **more}, "llama"
    yield from _experts()
    for plain in phi.FAMILIES:
        yield plain, DECODER, "llama"
    yield gpt_neox.GPTNeoX, {**BLOCKS, **TOKENS, **LONG}, "gpt"
    yield fused.Falcon, {**ALONE, **TOKENS, **LONG}, "gpt"
    yield fused.Bloom, {**TOKENS, "hidden_size": 64, "n_layer": 2, "n_head": 4}, "gpt"
    wide = {key: BLOCKS[key] for key in ALONE}
    yield opt.OPT, {**wide, **TOKENS, **LONG, "ffn_dim": 128}, "llama"


def _experts() -> Iterator[Row]:
    yield moe.Mixtral, {**DECODER, **EXPERTS, "num_local_experts": 4}, "llama"
    qwen = {**EXPERTS, "num_experts": 4, "moe_intermediate_size": 32}
    yield moe.Qwen2Moe, {**DECODER, **qwen, "shared_expert_intermediate_size": 64}, "llama"
    yield moe.Qwen3Moe, {**DECODER, **qwen, "head_dim": 16}, "llama"
    yield moe.Olmoe, {**DECODER, **EXPERTS, "num_experts": 4}, "llama"
    yield moe.GraniteMoe, {**DECODER, **EXPERTS, "num_local_experts": 4}, "llama"
    for latent in (moe.DeepseekV2, moe.DeepseekV3):
        yield latent, {**DECODER, **EXPERTS, **LATENT}, "llama"


def _state_spaces() -> Iterator[Row]:
    states = {"hidden_size": 64, "num_hidden_layers": 2, "state_size": 8}
    yield mamba.Mamba, {**TOKENS, **states}, "gpt"
    groups = {"num_heads": 8, "head_dim": 16, "n_groups": 2}
    yield mamba.Mamba2, {**TOKENS, **states, **groups}, "gpt"
    hybrid = {
        **EXPERTS,
        "num_experts": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "mamba_d_state": 8,
        "use_mamba_kernels": False,  # transformers 4 insists on them otherwise
    }
    yield mamba.Jamba, {**DECODER, **hybrid}, "llama"


def _encoders() -> Iterator[Row]:
    yield bert.Bert, {**BLOCKS, **TOKENS, **LONG}, "bert"
    roberta = {**BLOCKS, **TOKENS, "max_position_embeddings": MAX_LENGTH + 1, "type_vocab_size": 1}
    yield bert.Roberta, roberta, "bart"
    yield bert.XLMRoberta, roberta, "bart"
    distil = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}
    yield bert.DistilBert, {**distil, **WORDS, **LONG}, "distilbert"
    yield bert.Electra, {**BLOCKS, **TOKENS, **LONG, "embedding_size": 32}, "bert"
    yield bert.Albert, {**BLOCKS, **TOKENS, **LONG, "embedding_size": 32}, "bert"
    relative = {"relative_attention": True, "position_buckets": 16, "pos_att_type": ["c2p", "p2c"]}
    yield deberta.DebertaV2, {**BLOCKS, **TOKENS, **LONG, **relative, "type_vocab_size": 2}, "bert"


def _sequences() -> Iterator[Row]:
    small = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}
    ends = {"eos_token_id": EOS, "decoder_start_token_id": PAD}
    for text in t5.FAMILIES:
        yield text, {**small, **WORDS, **ends}, "t5"
    yield bart.Bart, {**BOTH, **TOKENS, **LONG, "forced_eos_token_id": EOS}, "bart"
    ears = {
        "num_mel_bins": 16,
        "max_source_positions": 64,
        "max_target_positions": MAX_LENGTH,
        "decoder_start_token_id": BOS,
        "begin_suppress_tokens": None,
    }
    yield bart.Whisper, {**BOTH, **TOKENS, **ears}, "t5"


def _images() -> Iterator[Row]:
    for vision in (vit.ViT, vit.DeiT):
        yield vision, {**IMAGE, "encoder_stride": 8}, None
    yield vit.Dinov2, {**ALONE, "image_size": 32, "patch_size": 8, "mlp_ratio": 2}, None
    yield clip.CLIP, {**HALVES, "projection_dim": 32}, "bart"
    yield clip.Siglip, HALVES, "t5"


def _presets() -> Iterator[ConfigPreset]:
    rows = chain(_decoders(), _state_spaces(), _encoders(), _sequences(), _images())
    for family, fields, style in rows:
        files = None if style is None else partial(tokenizers.files, style)
        name = f"tiny-{family.model_type.replace('_', '-')}"
        summary = f"{family.stem} of a size for tests"
        yield ConfigPreset(name, summary, family, fields, SOURCE, files)


TINY: tuple[ConfigPreset, ...] = tuple(_presets())
"""One of each family."""
