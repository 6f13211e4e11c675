"""Small configs of every hand-written family, drawn at random within what its library takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

Fields = dict[str, Any]

BOTH = (True, False)


def blocks(draw: Random) -> Fields:
    """Of any transformer."""
    return {
        "hidden_size": draw.choice([48, 64]),
        "num_hidden_layers": draw.choice([1, 2, 11]),
        "num_attention_heads": draw.choice([2, 4]),
        "intermediate_size": draw.choice([80, 112]),
        "initializer_range": draw.choice([0.02, 0.05]),
        "num_labels": draw.choice([2, 3]),
    }


def text(draw: Random) -> Fields:
    """Of a transformer with tokens."""
    return {
        **blocks(draw),
        "vocab_size": draw.choice([99, 130]),
        "tie_word_embeddings": draw.choice(BOTH),
        "pad_token_id": draw.choice([None, 0, 3]),
    }


def decoder(draw: Random, *flags: str, heads: tuple[int | None, ...] = (None,)) -> Fields:
    """Of a decoder like LLaMA."""
    found = {**text(draw), "num_key_value_heads": draw.choice([1, 2])}
    if (head := draw.choice(heads)) is not None:
        found["head_dim"] = head
    return found | {flag: draw.choice(BOTH) for flag in flags}


def qwen_moe(draw: Random) -> Fields:
    """Experts as Qwen has them."""
    return {
        "num_experts": draw.choice([2, 3, 12]),
        "moe_intermediate_size": 24,
        "decoder_sparse_step": draw.choice([1, 2]),
        "mlp_only_layers": draw.choice([[], [1], [0, 3]]),
    }


def deepseek(draw: Random) -> Fields:
    """Latent attention and experts."""
    return {
        **decoder(draw, "attention_bias"),
        "n_routed_experts": draw.choice([4, 12]),
        "n_shared_experts": draw.choice([1, 2]),
        "moe_intermediate_size": 24,
        "first_k_dense_replace": draw.choice([0, 1, 2]),
        "q_lora_rank": draw.choice([20, None]),
        "kv_lora_rank": 12,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 16,
        "v_head_dim": 10,
        "n_group": 1,
        "topk_group": 1,
    }


def encoder(draw: Random, **others: Any) -> Fields:
    """Of an encoder like BERT."""
    types = draw.choice([1, 2, 3])
    return {**text(draw), "max_position_embeddings": 40, "type_vocab_size": types, **others}


def opt(draw: Random) -> Fields:
    """OPT's own names."""
    found = text(draw)
    for name in ("intermediate_size", "initializer_range"):
        del found[name]
    flags = ("do_layer_norm_before", "enable_bias", "layer_norm_elementwise_affine")
    return {
        **found,
        **{flag: draw.choice(BOTH) for flag in flags},
        "ffn_dim": 112,
        "max_position_embeddings": 40,
        "word_embed_proj_dim": draw.choice([None, 32]),
        "init_std": draw.choice([0.02, 0.06]),
    }


def gpt2(draw: Random) -> Fields:
    """GPT-2's own names."""
    return {
        "n_embd": draw.choice([32, 64]),
        "n_layer": draw.choice([1, 3, 11]),
        "n_head": 4,
        "n_inner": draw.choice([None, 96]),
        "vocab_size": 101,
        "n_positions": 48,
        "initializer_range": draw.choice([0.02, 0.05]),
        "tie_word_embeddings": draw.choice(BOTH),
        "num_labels": draw.choice([2, 3]),
    }


def distilbert(draw: Random) -> Fields:
    """DistilBERT's own names; the library allows two labels only where answers are marked."""
    return {
        "dim": draw.choice([48, 64]),
        "n_layers": draw.choice([1, 3]),
        "n_heads": 4,
        "hidden_dim": 112,
        "vocab_size": 99,
        "max_position_embeddings": 40,
        "sinusoidal_pos_embds": draw.choice(BOTH),
        "tie_word_embeddings": draw.choice(BOTH),
    }


def t5(draw: Random) -> Fields:
    """T5's own names."""
    return {
        "d_model": 64,
        "d_kv": draw.choice([12, 16]),
        "d_ff": draw.choice([96, 112]),
        "num_layers": draw.choice([1, 2]),
        "num_decoder_layers": draw.choice([None, 1, 3]),
        "num_heads": draw.choice([4, 6]),
        "vocab_size": 99,
        "feed_forward_proj": draw.choice(["relu", "gated-gelu", "gated-silu"]),
        "initializer_factor": draw.choice([1.0, 0.5]),
        "relative_attention_num_buckets": draw.choice([8, 32]),
        "num_labels": draw.choice([2, 5]),
        "tie_word_embeddings": draw.choice(BOTH),
    }


def encoder_decoder(draw: Random, **others: Any) -> Fields:
    """Of BART and Whisper."""
    return {
        "d_model": draw.choice([48, 64]),
        "encoder_layers": draw.choice([1, 2]),
        "decoder_layers": draw.choice([1, 3]),
        "encoder_attention_heads": draw.choice([2, 4]),
        "decoder_attention_heads": draw.choice([2, 4]),
        "encoder_ffn_dim": 96,
        "decoder_ffn_dim": 112,
        "vocab_size": 99,
        "pad_token_id": draw.choice([1, 7, None]),
        "init_std": draw.choice([0.02, 0.05]),
        "tie_word_embeddings": draw.choice(BOTH),
        "num_labels": draw.choice([3, 4]),
        **others,
    }


def image(draw: Random) -> Fields:
    """Of a vision transformer."""
    return {
        **blocks(draw),
        "image_size": draw.choice([32, [32, 64]]),
        "patch_size": draw.choice([8, 16]),
        "num_channels": draw.choice([1, 3]),
        "qkv_bias": draw.choice(BOTH),
    }


def dinov2(draw: Random) -> Fields:
    """DINOv2 has a ratio, and no inner width."""
    found = image(draw)
    del found["intermediate_size"]
    return {
        **found,
        "mlp_ratio": draw.choice([2, 4]),
        "use_swiglu_ffn": draw.choice(BOTH),
        "layerscale_value": draw.choice([1.0, 0.3]),
        "use_mask_token": draw.choice(BOTH),
    }


def pair(draw: Random, **others: Any) -> Fields:
    """A text and a vision half."""
    return {
        "text_config": {
            "hidden_size": draw.choice([48, 64]),
            "num_hidden_layers": draw.choice([1, 3]),
            "num_attention_heads": 4,
            "intermediate_size": 112,
            "vocab_size": 99,
            "max_position_embeddings": 20,
        },
        "vision_config": {
            "hidden_size": draw.choice([40, 48]),
            "num_hidden_layers": draw.choice([1, 2]),
            "num_attention_heads": 4,
            "intermediate_size": 96,
            "image_size": 32,
            "patch_size": draw.choice([8, 16]),
            "num_channels": draw.choice([1, 3]),
        },
        "num_labels": draw.choice([2, 3]),
        **others,
    }


def state_space(draw: Random, **others: Any) -> Fields:
    """Of Mamba and Mamba 2."""
    flags = ("use_bias", "use_conv_bias", "rescale_prenorm_residual", "tie_word_embeddings")
    return {
        "hidden_size": 64,
        "num_hidden_layers": draw.choice([1, 3]),
        "state_size": draw.choice([8, 16]),
        "conv_kernel": draw.choice([3, 4]),
        "vocab_size": 99,
        "initializer_range": draw.choice([0.1, 0.05]),
        **{flag: draw.choice(BOTH) for flag in flags},
        **others,
    }


def mamba(draw: Random) -> Fields:
    """Mamba's own."""
    return state_space(
        draw,
        expand=draw.choice([2, 3]),
        time_step_rank=draw.choice(["auto", 6]),
        time_step_scale=draw.choice([1.0, 2.0]),
        time_step_init_scheme=draw.choice(["random", "constant"]),
    )


def jamba(draw: Random) -> Fields:
    """Layers of three kinds."""
    return {
        **decoder(draw, "mamba_conv_bias", "mamba_proj_bias"),
        "num_experts": draw.choice([1, 2, 12]),
        "attn_layer_period": 2,
        "attn_layer_offset": draw.choice([0, 1]),
        "expert_layer_period": draw.choice([2, 3]),
        "expert_layer_offset": draw.choice([0, 1]),
        "mamba_d_state": draw.choice([8, 16]),
        "mamba_dt_rank": draw.choice(["auto", 5]),
    }


def falcon(draw: Random) -> Fields:
    """Falcon's own names."""
    flags = ("new_decoder_architecture", "multi_query", "bias", "parallel_attn", "alibi")
    return {
        "hidden_size": 64,
        "num_hidden_layers": draw.choice([1, 3]),
        "num_attention_heads": 4,
        "vocab_size": 99,
        "num_kv_heads": draw.choice([None, 1, 2]),
        "num_ln_in_parallel_attn": draw.choice([None, 1, 2]),
        "ffn_hidden_size": draw.choice([None, 100]),
        "tie_word_embeddings": draw.choice(BOTH),
        "num_labels": 3,
        **{flag: draw.choice(BOTH) for flag in flags},
    }


def bloom(draw: Random) -> Fields:
    """BLOOM's own names."""
    return {
        "hidden_size": 64,
        "n_layer": draw.choice([1, 2]),
        "n_head": 4,
        "vocab_size": 99,
        "num_labels": 3,
        "tie_word_embeddings": draw.choice(BOTH),
    }


def deberta(draw: Random) -> Fields:
    """Every way to have positions."""
    return {
        **text(draw),
        "max_position_embeddings": 40,
        "type_vocab_size": draw.choice([0, 2]),
        "relative_attention": draw.choice(BOTH),
        "pos_att_type": draw.choice([None, "c2p|p2c", ["p2c"], ["c2p"]]),
        "max_relative_positions": draw.choice([-1, 12]),
        "position_buckets": draw.choice([-1, 8]),
        "norm_rel_ebd": draw.choice(["none", "layer_norm"]),
        "share_att_key": draw.choice(BOTH),
        "position_biased_input": draw.choice(BOTH),
        "conv_kernel_size": draw.choice([0, 3]),
        "legacy": draw.choice(BOTH),
    }


SAMPLES: Mapping[str, Callable[[Random], Fields]] = {
    "gpt2": gpt2,
    "llama": lambda draw: decoder(draw, "attention_bias", "mlp_bias", heads=(None, 8, 20)),
    "mistral": lambda draw: decoder(draw, heads=(None, 8, 20)),
    "qwen2": decoder,
    "qwen3": lambda draw: decoder(draw, "attention_bias", heads=(8, 20)),
    "smollm3": lambda draw: decoder(draw, "attention_bias", "mlp_bias"),
    "granite": lambda draw: decoder(draw, "attention_bias", "mlp_bias"),
    "olmo": lambda draw: decoder(draw, "attention_bias"),
    "olmo2": lambda draw: decoder(draw, "attention_bias"),
    "phi3": decoder,
    "gemma": lambda draw: decoder(draw, "attention_bias", heads=(12, 16)),
    "gemma2": lambda draw: decoder(draw, "attention_bias", heads=(12, 16)),
    "gemma3_text": lambda draw: decoder(draw, "attention_bias", heads=(12, 16)),
    "mixtral": lambda draw: {**decoder(draw), "num_local_experts": draw.choice([2, 3, 12])},
    "qwen2_moe": lambda draw: {
        **decoder(draw, "qkv_bias"), **qwen_moe(draw), "shared_expert_intermediate_size": 40,
    },
    "qwen3_moe": lambda draw: {
        **decoder(draw, "attention_bias", heads=(8, 20)), **qwen_moe(draw),
    },
    "olmoe": lambda draw: {
        **decoder(draw, "attention_bias"), "num_experts": draw.choice([2, 12]),
    },
    "granitemoe": lambda draw: {
        **decoder(draw, "attention_bias"), "num_local_experts": draw.choice([2, 12]),
    },
    "deepseek_v2": deepseek,
    "deepseek_v3": deepseek,
    "phi": lambda draw: decoder(draw, "qk_layernorm"),
    "starcoder2": lambda draw: decoder(draw, "use_bias"),
    "falcon": falcon,
    "bloom": bloom,
    "gpt_neox": lambda draw: {**text(draw), "attention_bias": draw.choice(BOTH)},
    "opt": opt,
    "mamba": mamba,
    "mamba2": lambda draw: state_space(
        draw, expand=2, head_dim=16, num_heads=8, n_groups=draw.choice([1, 2, 4])
    ),
    "jamba": jamba,
    "bert": encoder,
    "roberta": encoder,
    "xlm-roberta": encoder,
    "distilbert": distilbert,
    "deberta-v2": deberta,
    "electra": lambda draw: encoder(draw, embedding_size=draw.choice([24, 64])),
    "albert": lambda draw: encoder(
        draw, embedding_size=24, num_hidden_groups=draw.choice([1, 2]),
        inner_group_num=draw.choice([1, 2]),
    ),
    "t5": t5,
    "mt5": t5,
    "bart": lambda draw: encoder_decoder(draw, max_position_embeddings=30),
    "whisper": lambda draw: encoder_decoder(
        draw, num_mel_bins=20, max_source_positions=30, max_target_positions=24,
        classifier_proj_size=20, use_weighted_layer_sum=draw.choice(BOTH),
    ),
    "vit": lambda draw: {
        **image(draw), "encoder_stride": 8, "pooler_output_size": draw.choice([None, 20]),
    },
    "deit": lambda draw: {**image(draw), "encoder_stride": 8},
    "dinov2": dinov2,
    "clip": lambda draw: pair(
        draw, projection_dim=40, initializer_factor=draw.choice([1.0, 0.5])
    ),
    "siglip": pair,
}  # fmt: skip
"""By model type."""
