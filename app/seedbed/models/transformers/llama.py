"""LLaMA and its dense siblings: each says what it does otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from seedbed.init import Parameter, Scheme, zero
from seedbed.models.config import words
from seedbed.models.transformers.decoder import Decoder, Kind
from seedbed.models.transformers.fields import (
    Bias,
    HeadDim,
    Heads,
    Inner,
    KeyValueHeads,
    Layers,
    Padding,
    Tied,
    Token,
    Tokens,
    Vocabulary,
    Width,
)
from seedbed.models.transformers.parts import linear

WITH_ANSWERS = {**Decoder.heads, "ForQuestionAnswering": "answers"}


class Llama(Decoder):
    """LLaMA 1 to 3.3, and all who use its code."""

    model_type = "llama"
    stem = "Llama"
    qa_body = "transformer"
    heads = WITH_ANSWERS

    attention_bias: Bias = False
    mlp_bias: Bias = False


class Mistral(Decoder):
    """Mistral: LLaMA with fewer heads of keys and values."""

    model_type = "mistral"
    stem = "Mistral"
    heads = WITH_ANSWERS

    intermediate_size: Inner = 14336
    num_key_value_heads: KeyValueHeads | None = 8


class Qwen2(Decoder):
    """Qwen 1.5 to 2.5: biases on queries, keys and values."""

    model_type = "qwen2"
    stem = "Qwen2"
    qa_body = "transformer"
    heads = WITH_ANSWERS

    vocab_size: Vocabulary = 151936
    intermediate_size: Inner = 22016
    num_key_value_heads: KeyValueHeads | None = 32
    bos_token_id: Token | None = None
    eos_token_id: Tokens | None = None

    def biased(self, projection: str) -> bool:
        """All but the output's."""
        return projection != "o"


class Qwen3(Decoder):
    """Qwen 3: queries and keys normalised by head."""

    model_type = "qwen3"
    stem = "Qwen3"
    qa_body = "transformer"
    qk_norm = "head"
    heads = WITH_ANSWERS

    vocab_size: Vocabulary = 151936
    intermediate_size: Inner = 22016
    num_key_value_heads: KeyValueHeads | None = 32
    head_dim: HeadDim | None = 128
    attention_bias: Bias = False
    bos_token_id: Token | None = None
    eos_token_id: Tokens | None = None


class SmolLM3(Decoder):
    """SmolLM3."""

    model_type = "smollm3"
    stem = "SmolLM3"
    qa_body = "transformer"
    heads = WITH_ANSWERS
    inert = words("no_rope_layers no_rope_layer_interval")

    vocab_size: Vocabulary = 128256
    hidden_size: Width = 2048
    num_hidden_layers: Layers = 36
    num_attention_heads: Heads = 16
    num_key_value_heads: KeyValueHeads | None = 4
    attention_bias: Bias = False
    mlp_bias: Bias = False
    tie_word_embeddings: Tied = True
    bos_token_id: Token | None = 128000
    eos_token_id: Tokens | None = 128001
    pad_token_id: Padding | None = 128004


class Granite(Decoder):
    """Granite 3: LLaMA with multipliers."""

    model_type = "granite"
    stem = "Granite"
    heads = {"ForCausalLM": "causal", "Model": "bare"}
    inert = words("attention_multiplier embedding_multiplier logits_scaling residual_multiplier")

    attention_bias: Bias = False
    mlp_bias: Bias = False


class Olmo(Decoder):
    """OLMo: norms without parameters."""

    model_type = "olmo"
    stem = "Olmo"
    norms = ()
    inert = words("clip_qkv")
    heads = {name: Decoder.heads[name] for name in Decoder.heads if "Token" not in name}

    vocab_size: Vocabulary = 50304
    attention_bias: Bias = False
    bos_token_id: Token | None = None
    eos_token_id: Tokens | None = 50279
    pad_token_id: Padding | None = 1

    def bare(self, within: str = "") -> Iterator[Parameter]:
        """Without a head, and without the last norm's scale."""
        norm = f"{within}norm.weight"
        return (own for own in super().bare(within) if own.name != norm)


class Olmo2(Decoder):
    """OLMo 2: norms after each half of a block, and on queries and keys as a whole."""

    model_type = "olmo2"
    stem = "Olmo2"
    norms = ("post_attention_layernorm", "post_feedforward_layernorm")
    qk_norm = "whole"
    heads = Olmo.heads

    vocab_size: Vocabulary = 50304
    attention_bias: Bias = False
    bos_token_id: Token | None = None
    eos_token_id: Tokens | None = 50279
    pad_token_id: Padding | None = 1


class Phi3(Decoder):
    """Phi-3 and 4: fused projections."""

    model_type = "phi3"
    stem = "Phi3"
    inert = words("original_max_position_embeddings")

    vocab_size: Vocabulary = 32064
    hidden_size: Width = 3072
    intermediate_size: Inner = 8192
    eos_token_id: Tokens | None = 32000
    pad_token_id: Padding | None = 32000

    def attention(self) -> Iterator[Parameter]:
        """The output, then queries, keys and values as one."""
        width, head, heads = self.hidden_size, self.width_of_head, self.num_attention_heads
        yield from linear("o_proj", width, heads * head, self.std, bias=False)
        rows = (heads + 2 * self.groups) * head
        yield from linear("qkv_proj", rows, width, self.std, bias=False)

    def feed_forward(self, kind: Kind) -> Iterator[Parameter]:
        """Gate and input as one."""
        width, inner = self.hidden_size, self.intermediate_size
        yield from linear("mlp.gate_up_proj", 2 * inner, width, self.std, bias=False)
        yield from linear("mlp.down_proj", width, inner, self.std, bias=False)


class Gemma(Decoder):
    """Gemma: norms multiply by one more than their scale, so scales start as zeros."""

    model_type = "gemma"
    stem = "Gemma"

    vocab_size: Vocabulary = 256000
    hidden_size: Width = 3072
    intermediate_size: Inner = 24576
    num_hidden_layers: Layers = 28
    num_attention_heads: Heads = 16
    num_key_value_heads: KeyValueHeads | None = 16
    head_dim: HeadDim | None = 256
    attention_bias: Bias = False
    tie_word_embeddings: Tied = True
    bos_token_id: Token | None = 2
    eos_token_id: Tokens | None = 1
    pad_token_id: Padding | None = 0

    @property
    def norm_init(self) -> Scheme:
        """Zeros, which the layer adds to one."""
        return zero()


class Gemma2(Gemma):
    """Gemma 2: a norm before and after each half of a block."""

    model_type = "gemma2"
    stem = "Gemma2"
    norms = (
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    )

    hidden_size: Width = 2304
    intermediate_size: Inner = 9216
    num_hidden_layers: Layers = 26
    num_attention_heads: Heads = 8
    num_key_value_heads: KeyValueHeads | None = 4


class Gemma3Text(Gemma2):
    """Gemma 3 without pictures: queries and keys normalised by head."""

    model_type = "gemma3_text"
    stem = "Gemma3"
    qk_norm = "head"
    inert = words("rope_local_base_freq sliding_window_pattern cache_implementation")
    heads = {
        "ForCausalLM": "causal",
        "TextModel": "bare",
        "TextForSequenceClassification": "sequences",
    }

    vocab_size: Vocabulary = 262208


FAMILIES = (
    Llama, Mistral, Qwen2, Qwen3, SmolLM3, Granite, Olmo, Olmo2, Phi3, Gemma, Gemma2, Gemma3Text,
)  # fmt: skip
