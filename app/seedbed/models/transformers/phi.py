"""Decoders with rotary positions, norms with biases, and two linear layers: Phi, StarCoder 2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from seedbed.init import Parameter
from seedbed.models.base import prefixed
from seedbed.models.config import words
from seedbed.models.transformers.decoder import PLAIN, Decoder, Kind
from seedbed.models.transformers.fields import (
    Bias,
    Flag,
    Heads,
    Inner,
    KeyValueHeads,
    Layers,
    Std,
    Tied,
    Token,
    Tokens,
    Vocabulary,
    Width,
)
from seedbed.models.transformers.parts import embedding, layer_norm, linear, repeat


class Plain(Decoder):
    """What both have in common.

    Class attributes name the output of the attention, the two linear layers and the last norm.
    """

    output: ClassVar[str]
    linears: ClassVar[tuple[str, str]]
    last: ClassVar[str]

    def biases(self) -> bool:
        """Whether linear layers have biases."""
        return True

    def attention(self) -> Iterator[Parameter]:
        """Queries, keys, values and output."""
        width, head, bias = self.hidden_size, self.width_of_head, self.biases()
        heads = self.num_attention_heads
        for part, count in (("q", heads), ("k", self.groups), ("v", self.groups)):
            yield from linear(f"{part}_proj", count * head, width, self.std, bias=bias)
        yield from linear(self.output, width, heads * head, self.std, bias=bias)

    def feed_forward(self, kind: Kind) -> Iterator[Parameter]:
        """Two linear layers."""
        width, inner, bias = self.hidden_size, self.intermediate_size, self.biases()
        first, second = self.linears
        yield from linear(f"mlp.{first}", inner, width, self.std, bias=bias)
        yield from linear(f"mlp.{second}", width, inner, self.std, bias=bias)

    def block(self, kind: Kind) -> Iterator[Parameter]:
        """One layer."""
        yield from prefixed("self_attn", self.attention())
        yield from self.feed_forward(kind)
        for name in self.norms:
            yield from layer_norm(name, self.hidden_size)

    def bare(self, within: str = "") -> Iterator[Parameter]:
        """Without a head."""
        width = self.hidden_size
        table = f"{within}embed_tokens"
        yield embedding(table, self.vocab_size, width, self.std, self.pad_token_id)
        block = list(self.block(PLAIN))
        yield from repeat(f"{within}layers", self.num_hidden_layers, block)
        yield from layer_norm(f"{within}{self.last}", width)


class Phi(Plain):
    """Phi-1, 1.5 and 2: attention beside the feed-forward block, after one norm."""

    model_type = "phi"
    stem = "Phi"
    output = "dense"
    linears = ("fc1", "fc2")
    last = "final_layernorm"
    norms = ("input_layernorm",)
    inert = words("embd_pdrop resid_pdrop")

    vocab_size: Vocabulary = 51200
    hidden_size: Width = 2048
    intermediate_size: Inner = 8192
    num_hidden_layers: Layers = 24
    qk_layernorm: Flag = False

    def attention(self) -> Iterator[Parameter]:
        """With norms on queries and keys, if they are asked for."""
        yield from super().attention()
        if self.qk_layernorm:
            for part in ("q", "k"):
                yield from layer_norm(f"{part}_layernorm", self.width_of_head)

    def causal(self) -> Iterator[Parameter]:
        """With a language model's head, which has a bias, also where its weight is tied."""
        head = linear("lm_head", self.vocab_size, self.hidden_size, self.std)
        if self.tie_word_embeddings:
            head = (own for own in head if own.name == "lm_head.bias")
        return self.headed(head)


class Starcoder2(Plain):
    """StarCoder 2."""

    model_type = "starcoder2"
    stem = "Starcoder2"
    output = "o_proj"
    linears = ("c_fc", "c_proj")
    last = "norm"
    inert = words("embedding_dropout mlp_type norm_epsilon norm_type residual_dropout")

    vocab_size: Vocabulary = 49152
    hidden_size: Width = 3072
    intermediate_size: Inner = 12288
    num_hidden_layers: Layers = 30
    num_attention_heads: Heads = 24
    num_key_value_heads: KeyValueHeads | None = 2
    initializer_range: Std = 0.018042
    use_bias: Bias = True
    tie_word_embeddings: Tied = True
    bos_token_id: Token | None = 50256
    eos_token_id: Tokens | None = 50256

    def biases(self) -> bool:
        """As the config says."""
        return self.use_bias


FAMILIES = (Phi, Starcoder2)
