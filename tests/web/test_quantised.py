"""Quantised configs, small, by the doors through which published ones go."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from seedbed.quantization import SHORT
from tests.served_quantised import served

LLAMA: dict[str, Any] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 256,
    "intermediate_size": 384, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 512, "torch_dtype": "bfloat16",
}  # fmt: skip
GPT_OSS: dict[str, Any] = {
    "model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"], "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 512, "num_local_experts": 4, "head_dim": 16,
}  # fmt: skip


@pytest.mark.parametrize("name", SHORT)
def test_a_quantised_config_is_listed_headed_and_read(client: httpx.Client, name: str) -> None:
    """Sizes, header and any range are the definition's, through the Hub façade and by a link."""
    config = {**(GPT_OSS if name == "mxfp4" else LLAMA), "quantization_config": dict(SHORT[name])}
    found = served(client, f"quantised/{name}", config, ranges=24)
    assert found.files == 1
    assert found.tensors > 20
