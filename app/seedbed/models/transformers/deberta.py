"""DeBERTa v2 and v3: positions relative to each other, with projections of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from seedbed.init import Parameter
from seedbed.models.base import prefixed
from seedbed.models.config import Config, words
from seedbed.models.transformers.encoder import Encoder
from seedbed.models.transformers.fields import (
    SIZE_MAX,
    Flag,
    Heads,
    Inner,
    Layers,
    Size,
    Types,
    Vocabulary,
    Width,
)
from seedbed.models.transformers.parts import (
    embedding,
    layer_norm,
    linear,
    normal,
    parameter,
    repeat,
    weight,
)

Reach = Annotated[
    int, Field(ge=-SIZE_MAX, le=SIZE_MAX, description="Distances told apart; below 1 by default.")
]
Kinds = Annotated[
    str | list[str], Field(description="Of attention to positions: c2p, p2c, joined by |.")
]


def _parted(words: str) -> list[str]:
    """The words between the bars."""
    return [word.strip() for word in words.lower().split("|")]


class DebertaV2(Encoder):
    """DeBERTa v2 and v3."""

    model_type = "deberta-v2"
    stem = "DebertaV2"
    body = "deberta"
    inert = words("conv_act padding_idx pooler_dropout pooler_hidden_act summary_type")
    heads = {
        "ForMaskedLM": "masked",
        "Model": "bare",
        "ForSequenceClassification": "sequences",
        "ForTokenClassification": "tokens",
        "ForQuestionAnswering": "answers",
        "ForMultipleChoice": "choices",
    }

    vocab_size: Vocabulary = 128100
    hidden_size: Width = 1536
    num_hidden_layers: Layers = 24
    num_attention_heads: Heads = 24
    intermediate_size: Inner = 6144
    type_vocab_size: Types = 0
    embedding_size: Size | None = None
    attention_head_size: Size | None = None
    relative_attention: Flag = False
    max_relative_positions: Reach = -1
    position_buckets: Reach = -1
    pos_att_type: Kinds | None = None
    share_att_key: Flag = False
    norm_rel_ebd: Annotated[str, Field(description="layer_norm: distances are normalised.")] = (
        "none"
    )
    conv_kernel_size: Annotated[
        int, Field(ge=0, le=SIZE_MAX, description="Of a convolution beside the first layer.")
    ] = 0
    conv_groups: Size = 1
    position_biased_input: Flag = True
    pooler_hidden_size: Size | None = None
    legacy: Annotated[bool, Field(description="Whether the head is that of BERT.")] = True

    def check(self, config: Config) -> None:
        """Groups of the convolution share its channels."""
        super().check(config)
        if self.conv_kernel_size:
            self.require_divisible(
                config, "hidden_size", self.hidden_size, self.conv_groups, "groups"
            )

    @property
    def width_of_embedding(self) -> int:
        """May be narrower than the layers."""
        return self.embedding_size or self.hidden_size

    @property
    def attends(self) -> list[str]:
        """Kinds of attention to positions."""
        kinds = self.pos_att_type or []
        return (
            [kind.strip() for kind in kinds.lower().split("|")] if isinstance(kinds, str) else kinds
        )

    def embeddings(self) -> Iterator[Parameter]:
        """Of tokens; of positions and types if there are any."""
        narrow = self.width_of_embedding
        yield embedding("word_embeddings", self.vocab_size, narrow, self.std, self.pad_token_id)
        if self.position_biased_input:
            yield embedding("position_embeddings", self.max_position_embeddings, narrow, self.std)
        if self.type_vocab_size:
            yield embedding("token_type_embeddings", self.type_vocab_size, narrow, self.std)
        if narrow != self.hidden_size:
            yield from linear("embed_proj", self.hidden_size, narrow, self.std, bias=False)
        yield from layer_norm("LayerNorm", self.hidden_size)

    def block(self) -> Iterator[Parameter]:
        """One layer."""
        width, inner, std = self.hidden_size, self.intermediate_size, self.std
        heads = self.num_attention_heads
        rows = heads * (self.attention_head_size or width // heads)
        names = ["query_proj", "key_proj", "value_proj"]
        if self.relative_attention and not self.share_att_key:
            names += ["pos_key_proj"] * ("c2p" in self.attends)
            names += ["pos_query_proj"] * ("p2c" in self.attends)
        for name in names:
            yield from linear(f"attention.self.{name}", rows, width, std)
        yield from linear("attention.output.dense", width, width, std)
        yield from layer_norm("attention.output.LayerNorm", width)
        yield from linear("intermediate.dense", inner, width, std)
        yield from linear("output.dense", width, inner, std)
        yield from layer_norm("output.LayerNorm", width)

    def encoder(self) -> Iterator[Parameter]:
        """Layers, distances, and what is beside them."""
        width = self.hidden_size
        yield from repeat("layer", self.num_hidden_layers, self.block())
        if self.relative_attention:
            reach = self.max_relative_positions
            reach = self.max_position_embeddings if reach < 1 else reach
            rows = 2 * (self.position_buckets if self.position_buckets > 0 else reach)
            yield embedding("rel_embeddings", rows, width, self.std)
        if "layer_norm" in _parted(self.norm_rel_ebd):
            yield from layer_norm("LayerNorm", width)
        if self.conv_kernel_size:
            shape = width, width // self.conv_groups, self.conv_kernel_size
            yield from weight("conv.conv", shape, normal(self.std))
            yield from layer_norm("conv.LayerNorm", width)

    def stem_and_layers(self) -> Iterator[Parameter]:
        """Embeddings and layers."""
        yield from prefixed("embeddings", self.embeddings())
        yield from prefixed("encoder", self.encoder())

    def pooler(self) -> Iterator[Parameter]:
        """None in the bare model."""
        return iter(())

    def masked(self) -> Iterator[Parameter]:
        """With a head that predicts tokens."""
        width, std = self.hidden_size, self.std
        yield from self.unpooled()
        if self.legacy:
            narrow = self.width_of_embedding
            yield parameter("cls.predictions.bias", (self.vocab_size,), normal(0.0))
            yield from linear("cls.predictions.transform.dense", narrow, width, std)
            yield from layer_norm("cls.predictions.transform.LayerNorm", narrow)
            if not self.tie_word_embeddings:
                yield from linear("cls.predictions.decoder", self.vocab_size, narrow, std)
        else:
            name = "lm_predictions.lm_head"
            yield parameter(f"{name}.bias", (self.vocab_size,), normal(0.0))
            yield from linear(f"{name}.dense", width, width, std)
            yield from layer_norm(f"{name}.LayerNorm", width)

    def sequences(self, labels: int | None = None) -> Iterator[Parameter]:
        """With a classifier of sequences."""
        yield from self.unpooled()
        pooled = self.pooler_hidden_size or self.hidden_size
        yield from linear("pooler.dense", pooled, pooled, self.std)
        # The library's classifier does not know that the pooler may have a width of its own.
        yield from linear("classifier", labels or self.num_labels, self.hidden_size, self.std)

    def choices(self) -> Iterator[Parameter]:
        """With a head that scores alternatives."""
        return self.sequences(1)


FAMILIES = (DebertaV2,)
