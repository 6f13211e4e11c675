"""Falcon and BLOOM: queries, keys and values in one matrix, and blocks named after GPT-2's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field

from seedbed.init import Parameter
from seedbed.models.base import prefixed
from seedbed.models.config import Config, words
from seedbed.models.transformers.family import Family
from seedbed.models.transformers.fields import (
    Bias,
    Flag,
    Heads,
    Inner,
    KeyValueHeads,
    Layers,
    Padding,
    Std,
    Tied,
    Token,
    Tokens,
    Vocabulary,
    Width,
)
from seedbed.models.transformers.parts import embedding, layer_norm, linear, repeat

Norms = Annotated[int, Field(ge=1, le=2, description="Norms of a block whose halves are parallel.")]


class Fused(Family):
    """What both have in common; defaults are Falcon's."""

    heads = {
        "ForCausalLM": "causal",
        "Model": "bare",
        "ForSequenceClassification": "sequences",
        "ForTokenClassification": "tokens",
        "ForQuestionAnswering": "answers",
    }

    vocab_size: Vocabulary = 65024
    hidden_size: Width = 4544
    initializer_range: Std = 0.02
    tie_word_embeddings: Tied = True
    bos_token_id: Token | None = 11
    eos_token_id: Tokens | None = 11
    pad_token_id: Padding | None = None

    def bare(self) -> Iterator[Parameter]:
        """Without a head."""
        raise NotImplementedError

    def headed(self, head: Iterable[Parameter]) -> Iterator[Parameter]:
        """With a head, which comes last."""
        yield from prefixed("transformer", self.bare())
        yield from head

    def causal(self) -> Iterator[Parameter]:
        """With a language model's head."""
        head = linear("lm_head", self.vocab_size, self.hidden_size, self.std, bias=False)
        return self.headed(() if self.tie_word_embeddings else head)

    def sequences(self) -> Iterator[Parameter]:
        """With a classifier of sequences."""
        width, labels = self.hidden_size, self.num_labels
        return self.headed(linear("score", labels, width, self.std, bias=False))

    def tokens(self) -> Iterator[Parameter]:
        """With a classifier of tokens."""
        return self.headed(linear("classifier", self.num_labels, self.hidden_size, self.std))

    def answers(self) -> Iterator[Parameter]:
        """With a head that marks answers."""
        return self.headed(linear("qa_outputs", 2, self.hidden_size, self.std))


class Falcon(Fused):
    """Falcon: one head of keys and values, or groups of them, beside the feed-forward block."""

    model_type = "falcon"
    stem = "Falcon"
    aliases = {"n_embed": "hidden_size"}
    inert = words("activation alibi apply_residual_connection_post_layernorm")

    num_hidden_layers: Layers = 32
    num_attention_heads: Heads = 71
    num_kv_heads: KeyValueHeads | None = None
    num_ln_in_parallel_attn: (
        Annotated[
            int, Field(ge=1, le=2, description="Norms of a block, if its halves are parallel.")
        ]
        | None
    ) = None
    new_decoder_architecture: Flag = False
    multi_query: Flag = True
    parallel_attn: Flag = True
    bias: Bias = False
    ffn_hidden_size: Inner | None = None

    def check(self, config: Config) -> None:
        """Heads share the width."""
        self.require_divisible(
            config, "hidden_size", self.hidden_size, self.num_attention_heads, "heads"
        )

    @property
    def fused(self) -> int:
        """Rows of queries, keys and values."""
        head = self.hidden_size // self.num_attention_heads
        if self.new_decoder_architecture:
            groups = self.num_kv_heads or self.num_attention_heads
            return (2 * groups + self.num_attention_heads) * head
        return self.hidden_size + 2 * head if self.multi_query else 3 * self.hidden_size

    @property
    def norms(self) -> tuple[str, ...]:
        """Of a block, in their order."""
        if not self.parallel_attn:
            return "post_attention_layernorm", "input_layernorm"
        count = self.num_ln_in_parallel_attn or 1 + self.new_decoder_architecture
        return ("ln_attn", "ln_mlp") if count == 2 else ("input_layernorm",)

    def block(self) -> Iterator[Parameter]:
        """One layer."""
        width, std, bias = self.hidden_size, self.std, self.bias
        inner = self.ffn_hidden_size or 4 * width
        yield from linear("self_attention.query_key_value", self.fused, width, std, bias=bias)
        yield from linear("self_attention.dense", width, width, std, bias=bias)
        yield from linear("mlp.dense_h_to_4h", inner, width, std, bias=bias)
        yield from linear("mlp.dense_4h_to_h", width, inner, std, bias=bias)
        for name in self.norms:
            yield from layer_norm(name, width)

    def bare(self) -> Iterator[Parameter]:
        """Without a head."""
        yield embedding("word_embeddings", self.vocab_size, self.hidden_size, self.std)
        yield from repeat("h", self.num_hidden_layers, self.block())
        yield from layer_norm("ln_f", self.hidden_size)


class Bloom(Fused):
    """BLOOM: a norm after the embeddings, and biases everywhere."""

    model_type = "bloom"
    stem = "Bloom"
    aliases = {
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "n_embed": "hidden_size",
    }
    inert = words(
        """
        apply_residual_connection_post_layernorm attention_softmax_in_fp32 bias_dropout_fusion
        masked_softmax_fusion offset_alibi seq_length skip_bias_add skip_bias_add_qkv
        slow_but_exact unk_token_id
        """
    )

    vocab_size: Vocabulary = 250880
    hidden_size: Width = 64
    n_layer: Layers = 2
    n_head: Heads = 8
    bos_token_id: Token | None = 1
    eos_token_id: Tokens | None = 2

    def check(self, config: Config) -> None:
        """Heads share the width."""
        self.require_divisible(config, "hidden_size", self.hidden_size, self.n_head, "heads")

    def block(self) -> Iterator[Parameter]:
        """One layer."""
        width, std = self.hidden_size, self.std
        yield from layer_norm("input_layernorm", width)
        yield from linear("self_attention.query_key_value", 3 * width, width, std)
        yield from linear("self_attention.dense", width, width, std)
        yield from layer_norm("post_attention_layernorm", width)
        yield from linear("mlp.dense_h_to_4h", 4 * width, width, std)
        yield from linear("mlp.dense_4h_to_h", width, 4 * width, std)

    def bare(self) -> Iterator[Parameter]:
        """Without a head."""
        width = self.hidden_size
        yield embedding("word_embeddings", self.vocab_size, width, self.std)
        yield from layer_norm("word_embeddings_layernorm", width)
        yield from repeat("h", self.n_layer, self.block())
        yield from layer_norm("ln_f", width)


FAMILIES = (Falcon, Bloom)
