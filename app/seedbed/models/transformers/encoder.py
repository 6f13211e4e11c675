"""The encoder that BERT and its kin share: embeddings, layers, and the usual heads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from seedbed.init import Parameter
from seedbed.models.base import prefixed
from seedbed.models.config import Config, words
from seedbed.models.transformers.family import Family
from seedbed.models.transformers.fields import (
    Heads,
    Inner,
    Layers,
    Padding,
    Positions,
    Std,
    Tied,
    Token,
    Tokens,
    Types,
    Vocabulary,
    Width,
)
from seedbed.models.transformers.parts import (
    embedding,
    layer_norm,
    linear,
    repeat,
)


class Encoder(Family):
    """What BERT and its siblings have in common; defaults are BERT's.

    Class attribute `body` is the name of the bare model in those with heads.
    """

    body: ClassVar[str]
    inert = words("position_embedding_type")
    generates = ("ForCausalLM", "LMHeadModel")

    vocab_size: Vocabulary = 30522
    hidden_size: Width = 768
    num_hidden_layers: Layers = 12
    num_attention_heads: Heads = 12
    intermediate_size: Inner = 3072
    max_position_embeddings: Positions = 512
    type_vocab_size: Types = 2
    initializer_range: Std = 0.02
    tie_word_embeddings: Tied = True
    bos_token_id: Token | None = None
    eos_token_id: Tokens | None = None
    pad_token_id: Padding | None = 0

    @property
    def width_of_embedding(self) -> int:
        """Of tokens, positions and types."""
        return self.hidden_size

    def check(self, config: Config) -> None:
        """Heads share the width, the padding token has a row, positions are absolute."""
        self.require_divisible(
            config, "hidden_size", self.hidden_size, self.num_attention_heads, "heads"
        )
        self.require_row(config, "pad_token_id", self.pad_token_id, self.vocab_size)
        if config.get("position_embedding_type") not in (None, "absolute"):
            raise config.error(
                "position_embedding_type", "only absolute positions are covered", ("absolute",)
            )

    def embeddings(self) -> Iterator[Parameter]:
        """Of tokens, positions and types, and their norm."""
        width = self.width_of_embedding
        yield embedding("word_embeddings", self.vocab_size, width, self.std, self.pad_token_id)
        yield embedding("position_embeddings", self.max_position_embeddings, width, self.std)
        yield embedding("token_type_embeddings", self.type_vocab_size, width, self.std)
        yield from layer_norm("LayerNorm", width)

    def block(self) -> Iterator[Parameter]:
        """One layer."""
        width, inner, std = self.hidden_size, self.intermediate_size, self.std
        for part in ("query", "key", "value"):
            yield from linear(f"attention.self.{part}", width, width, std)
        yield from linear("attention.output.dense", width, width, std)
        yield from layer_norm("attention.output.LayerNorm", width)
        yield from linear("intermediate.dense", inner, width, std)
        yield from linear("output.dense", width, inner, std)
        yield from layer_norm("output.LayerNorm", width)

    def stem_and_layers(self) -> Iterator[Parameter]:
        """Embeddings and layers, without a pooler."""
        yield from prefixed("embeddings", self.embeddings())
        yield from repeat("encoder.layer", self.num_hidden_layers, self.block())

    def pooler(self) -> Iterator[Parameter]:
        """What takes the first position."""
        return linear("pooler.dense", self.hidden_size, self.hidden_size, self.std)

    def bare(self) -> Iterator[Parameter]:
        """With a pooler, where the library's bare model has one."""
        yield from self.stem_and_layers()
        yield from self.pooler()

    def unpooled(self) -> Iterator[Parameter]:
        """The body of a model with a head that needs every position."""
        return prefixed(self.body, self.stem_and_layers())

    def pooled(self) -> Iterator[Parameter]:
        """The body of a model with a head that needs one vector."""
        return prefixed(self.body, self.bare())

    def tokens(self) -> Iterator[Parameter]:
        """With a classifier of tokens."""
        yield from self.unpooled()
        yield from linear("classifier", self.num_labels, self.hidden_size, self.std)

    def answers(self) -> Iterator[Parameter]:
        """With a head that marks answers."""
        yield from self.unpooled()
        yield from linear("qa_outputs", self.num_labels, self.hidden_size, self.std)

    def sequences(self) -> Iterator[Parameter]:
        """With a classifier of sequences."""
        yield from self.pooled()
        yield from linear("classifier", self.num_labels, self.hidden_size, self.std)

    def choices(self) -> Iterator[Parameter]:
        """With a head that scores alternatives."""
        yield from self.pooled()
        yield from linear("classifier", 1, self.hidden_size, self.std)
