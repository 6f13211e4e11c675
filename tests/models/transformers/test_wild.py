"""config.json files as they lie on the Hub, with all that years have left in them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from seedbed.models.transformers import of_config

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "bos_token_id": 128000, "eos_token_id": 128001, "hidden_act": "silu",
    "initializer_range": 0.02, "max_position_embeddings": 131072, "mlp_bias": False,
    "model_type": "llama", "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
    "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": 128256,
}  # fmt: skip

SCALING = {"high_freq_factor": 4.0, "low_freq_factor": 1.0, "rope_type": "llama3"}

BERT = {
    "architectures": ["BertForMaskedLM"], "attention_probs_dropout_prob": 0.1,
    "classifier_dropout": None, "directionality": "bidi", "gradient_checkpointing": False,
    "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "initializer_range": 0.02,
    "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert",
    "pad_token_id": 0, "pooler_fc_size": 768, "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3, "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform", "position_embedding_type": "absolute",
    "transformers_version": "4.6.0.dev0", "type_vocab_size": 2, "use_cache": True,
}  # fmt: skip

WILD: tuple[tuple[str, dict[str, Any], int], ...] = (
    (
        "meta-llama/Llama-3.1-8B",
        {
            **LLAMA, "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
            "num_hidden_layers": 32, "num_key_value_heads": 8, "tie_word_embeddings": False,
            "rope_scaling": {**SCALING, "factor": 8.0, "original_max_position_embeddings": 8192},
            "transformers_version": "4.43.0.dev0",
        },
        8_030_261_248,
    ),
    (
        "meta-llama/Llama-3.2-3B",
        {
            **LLAMA, "head_dim": 128, "hidden_size": 3072, "intermediate_size": 8192,
            "num_attention_heads": 24, "num_hidden_layers": 28, "num_key_value_heads": 8,
            "rope_scaling": {**SCALING, "factor": 32.0, "original_max_position_embeddings": 8192},
            "tie_word_embeddings": True, "transformers_version": "4.45.0.dev0",
        },
        3_212_749_824,
    ),
    (
        "Qwen/Qwen2-0.5B",
        {
            "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0,
            "bos_token_id": 151643, "eos_token_id": 151643, "hidden_act": "silu",
            "hidden_size": 896, "initializer_range": 0.02, "intermediate_size": 4864,
            "max_position_embeddings": 131072, "max_window_layers": 24, "model_type": "qwen2",
            "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 131072,
            "tie_word_embeddings": True, "torch_dtype": "bfloat16",
            "transformers_version": "4.40.1", "use_cache": True, "use_sliding_window": False,
            "vocab_size": 151936,
        },
        494_032_768,
    ),
    (
        "google-bert/bert-large-cased",
        {
            **BERT, "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16,
            "num_hidden_layers": 24, "vocab_size": 28996,
        },
        333_610_308,
    ),
    (
        "FacebookAI/roberta-base",
        {
            "architectures": ["RobertaForMaskedLM"], "attention_probs_dropout_prob": 0.1,
            "bos_token_id": 0, "classifier_dropout": None, "eos_token_id": 2,
            "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 768,
            "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-05,
            "max_position_embeddings": 514, "model_type": "roberta", "num_attention_heads": 12,
            "num_hidden_layers": 12, "pad_token_id": 1, "position_embedding_type": "absolute",
            "torch_dtype": "float32", "type_vocab_size": 1, "use_cache": True,
            "vocab_size": 50265,
        },
        124_697_433,
    ),
    (
        "openai-community/gpt2",
        {
            "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"],
            "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256,
            "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2",
            "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024,
            "resid_pdrop": 0.1, "summary_activation": None, "summary_first_dropout": 0.1,
            "summary_proj_to_labels": True, "summary_type": "cls_index",
            "summary_use_proj": True, "vocab_size": 50257,
            "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        },
        124_439_808,
    ),
    (
        "google-t5/t5-11b",
        {
            "architectures": ["T5WithLMHeadModel"],
            "d_ff": 65536, "d_kv": 128, "d_model": 1024, "dropout_rate": 0.1, "eos_token_id": 1,
            "feed_forward_proj": "relu", "initializer_factor": 1.0, "is_encoder_decoder": True,
            "layer_norm_epsilon": 1e-06, "model_type": "t5", "n_positions": 512,
            "num_decoder_layers": 24, "num_heads": 128, "num_layers": 24, "output_past": True,
            "pad_token_id": 0, "relative_attention_num_buckets": 32, "vocab_size": 32128,
            "decoder_start_token_id": 0,
        },
        11_307_321_344,
    ),
    (
        "openai/whisper-large-v3",
        {
            "activation_function": "gelu", "bos_token_id": 50257, "d_model": 1280,
            "decoder_attention_heads": 20, "decoder_ffn_dim": 5120, "decoder_layers": 32,
            "decoder_start_token_id": 50258, "encoder_attention_heads": 20,
            "encoder_ffn_dim": 5120, "encoder_layers": 32, "eos_token_id": 50257,
            "is_encoder_decoder": True, "max_source_positions": 1500,
            "max_target_positions": 448, "model_type": "whisper", "num_hidden_layers": 32,
            "num_mel_bins": 128, "pad_token_id": 50256, "scale_embedding": False,
            "vocab_size": 51866,
        },
        1_543_490_560,
    ),
)  # fmt: skip
"""Name, config.json, and how many parameters the real model has."""


@pytest.mark.parametrize(("name", "config", "count"), WILD, ids=[name for name, *_ in WILD])
def test_real_configs_mean_models_of_the_real_size(
    name: str, config: dict[str, Any], count: int
) -> None:
    """Fields that say nothing of the weights are let through, and the counts are the published."""
    assert sum(math.prod(one.shape) for one in of_config(config).parameters) == count, name
