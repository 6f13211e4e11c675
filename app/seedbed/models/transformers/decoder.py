"""Decoders like LLaMA: norms without biases, rotary positions, gated feed-forward blocks.

What siblings do otherwise, they say in class attributes or in one short method.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from seedbed.init import Parameter, Scheme, one
from seedbed.models.base import prefixed
from seedbed.models.config import Config
from seedbed.models.transformers.family import Family
from seedbed.models.transformers.fields import (
    HeadDim,
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
from seedbed.models.transformers.parts import (
    embedding,
    linear,
    rms_norm,
    sorted_by_name,
    stack,
)

Kind = str
"""Of a layer: layers of a kind are alike."""

PLAIN: Kind = "plain"


class Decoder(Family):
    """What LLaMA and its siblings have in common; defaults are LLaMA's.

    Class attributes: `norms` are those of a block, `qk_norm` whether queries and keys are
    normalised, by head or as a whole; `sorts` is whether the library sorts names when it saves.
    """

    norms: ClassVar[tuple[str, ...]] = ("input_layernorm", "post_attention_layernorm")
    qk_norm: ClassVar[Literal["head", "whole"] | None] = None
    sorts: ClassVar[bool] = False

    vocab_size: Vocabulary = 32000
    hidden_size: Width = 4096
    intermediate_size: Inner = 11008
    num_hidden_layers: Layers = 32
    num_attention_heads: Heads = 32
    num_key_value_heads: KeyValueHeads | None = None
    head_dim: HeadDim | None = None
    initializer_range: Std = 0.02
    tie_word_embeddings: Tied = False
    bos_token_id: Token | None = 1
    eos_token_id: Tokens | None = 2
    pad_token_id: Padding | None = None

    @property
    def width_of_head(self) -> int:
        """Of queries, keys and values."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def groups(self) -> int:
        """Heads of keys and values."""
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def norm_init(self) -> Scheme:
        """Of the norms' scales."""
        return one()

    def biased(self, projection: str) -> bool:
        """Whether a projection of the attention (q, k, v, o) has a bias."""
        return bool(getattr(self, "attention_bias", False))

    def kinds(self) -> Sequence[Kind]:
        """The kind of each layer."""
        return [PLAIN] * self.num_hidden_layers

    def check(self, config: Config) -> None:
        """Heads share the width, groups the heads, and the padding token has a row."""
        if self.head_dim is None:
            self.require_divisible(
                config, "hidden_size", self.hidden_size, self.num_attention_heads, "heads"
            )
        heads = self.num_attention_heads
        self.require_divisible(
            config, "num_attention_heads", heads, self.groups, "heads of keys and values"
        )
        self.require_row(config, "pad_token_id", self.pad_token_id, self.vocab_size)

    def attention(self) -> Iterator[Parameter]:
        """Queries, keys, values and output."""
        width, head, heads = self.hidden_size, self.width_of_head, self.num_attention_heads
        rows = {"q": heads * head, "k": self.groups * head, "v": self.groups * head}
        for part, count in rows.items():
            yield from linear(f"{part}_proj", count, width, self.std, bias=self.biased(part))
        yield from linear("o_proj", width, heads * head, self.std, bias=self.biased("o"))
        if self.qk_norm is not None:
            for part in ("q", "k"):
                size = head if self.qk_norm == "head" else rows[part]
                yield rms_norm(f"{part}_norm", size, self.norm_init)

    def gated(self, name: str, inner: int) -> Iterator[Parameter]:
        """A gated feed-forward block."""
        bias = bool(getattr(self, "mlp_bias", False))
        for part in ("gate_proj", "up_proj"):
            yield from linear(f"{name}.{part}", inner, self.hidden_size, self.std, bias=bias)
        yield from linear(f"{name}.down_proj", self.hidden_size, inner, self.std, bias=bias)

    def feed_forward(self, kind: Kind) -> Iterator[Parameter]:
        """What follows the attention in a layer of a kind."""
        return self.gated("mlp", self.intermediate_size)

    def block(self, kind: Kind) -> Iterator[Parameter]:
        """One layer of a kind."""
        yield from prefixed("self_attn", self.attention())
        yield from self.feed_forward(kind)
        for name in self.norms:
            yield rms_norm(name, self.hidden_size, self.norm_init)

    def in_memory(self, name: str) -> str:
        """What sorts a name of a layer: experts are one tensor each in memory."""
        before, experts, _ = name.partition(".experts.")
        return before + experts

    def layers(self, name: str) -> Iterator[Parameter]:
        """All layers."""
        if not self.sorts:
            return stack(name, self.kinds(), self.block)
        return stack(
            name, self.kinds(), lambda kind: sorted_by_name(self.block(kind), self.in_memory)
        )

    def bare(self, within: str = "") -> Iterator[Parameter]:
        """Without a head; `within` is written before each name, as prefixing later costs time."""
        width = self.hidden_size
        yield embedding(
            f"{within}embed_tokens", self.vocab_size, width, self.std, self.pad_token_id
        )
        yield from self.layers(f"{within}layers")
        yield rms_norm(f"{within}norm", width, self.norm_init)

    def headed(self, head: Iterator[Parameter], body: str = "model") -> Iterator[Parameter]:
        """With a head, which comes last unless names are sorted."""
        if not self.sorts:
            yield from self.bare(f"{body}.")
            yield from head
            return
        own = sorted_by_name(head)
        before = [parameter for parameter in own if parameter.name < body]
        yield from before
        yield from self.bare(f"{body}.")
        yield from own[len(before) :]

    def causal(self) -> Iterator[Parameter]:
        """With a language model's head."""
        head = linear("lm_head", self.vocab_size, self.hidden_size, self.std, bias=False)
        return self.headed(iter(()) if self.tie_word_embeddings else head)

    def sequences(self) -> Iterator[Parameter]:
        """With a classifier of sequences."""
        return self.headed(linear("score", self.num_labels, self.hidden_size, self.std, bias=False))

    def tokens(self) -> Iterator[Parameter]:
        """With a classifier of tokens."""
        return self.headed(linear("score", self.num_labels, self.hidden_size, self.std))

    def answers(self) -> Iterator[Parameter]:
        """With a head that marks answers; its body has another name."""
        return self.headed(linear("qa_outputs", 2, self.hidden_size, self.std), self.qa_body)

    qa_body: ClassVar[str] = "model"

    heads = {
        "ForCausalLM": "causal",
        "Model": "bare",
        "ForSequenceClassification": "sequences",
        "ForTokenClassification": "tokens",
    }
