"""T5: relative positions, no biases, and a spread of its own for each matrix."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from seedbed.init import Parameter, scheme
from seedbed.models.base import Json, Model, prefixed
from seedbed.models.config import Config, words
from seedbed.models.transformers.family import Family
from seedbed.models.transformers.fields import (
    Factor,
    HeadDim,
    Heads,
    Inner,
    Layers,
    Size,
    Token,
    Tokens,
    Vocabulary,
    Width,
)
from seedbed.models.transformers.parts import (
    embedding,
    linear,
    normal,
    parameter,
    rms_norm,
    stack,
)


class T5(Family):
    """T5, T5 v1.1 and FLAN-T5.

    As transformers 5 saves them: the head is always the embedding, also where
    `tie_word_embeddings` is false, which only says that outputs are not scaled.
    """

    model_type = "t5"
    stem = "T5"
    aliases = {
        "hidden_size": "d_model",
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "num_layers",
        "head_dim": "d_kv",
    }
    inert = words(
        """
        dense_act_fn dropout_rate n_positions relative_attention_max_distance
        scale_decoder_outputs
        """
    )
    former = {"T5WithLMHeadModel": "T5ForConditionalGeneration"}
    heads = {
        "ForConditionalGeneration": "bare",
        "Model": "bare",
        "EncoderModel": "encoder_only",
        "ForSequenceClassification": "sequences",
        "ForTokenClassification": "tokens",
        "ForQuestionAnswering": "answers",
    }

    vocab_size: Vocabulary = 32128
    d_model: Width = 512
    d_kv: HeadDim = 64
    d_ff: Inner = 2048
    num_layers: Layers = 6
    num_decoder_layers: Layers | None = None
    num_heads: Heads = 8
    relative_attention_num_buckets: Size = 32
    initializer_factor: Factor = 1.0
    feed_forward_proj: Annotated[
        str,
        Field(
            pattern=r"^(gated-)?[^-]+$",
            max_length=64,
            description="Activation of the feed-forward blocks, after gated- if they are gated.",
        ),
    ] = "relu"
    is_gated_act: Annotated[
        bool | None, Field(description="Overrules what feed_forward_proj says of gates.")
    ] = None
    tie_word_embeddings: Annotated[
        bool, Field(description="False: outputs are not scaled. The head is the embedding anyway.")
    ] = True
    eos_token_id: Tokens | None = 1
    pad_token_id: Token | None = 0

    @classmethod
    def read(cls, raw: Json, *, strict: bool = False) -> Model:
        """As any config; the library hears `num_hidden_layers` once the decoder has its layers."""
        if "num_hidden_layers" in raw and "num_layers" not in raw:
            decoder = cls.model_fields["num_layers"].default
            if raw.get("num_decoder_layers") is None:
                raw = {**raw, "num_decoder_layers": decoder}
        return super().read(raw, strict=strict)

    def written(self, config: Config, raw: Json, name: str) -> Json:
        """What the library writes where it is told of a head that it does not have."""
        fields: dict[str, Any] = {**super().written(config, raw, name)}
        if not self.tie_word_embeddings:
            fields |= {"tie_word_embeddings": True, "scale_decoder_outputs": False}
        return fields

    def spread(self, *fans: int) -> float:
        """The factor over the root of a product."""
        return self.initializer_factor / math.sqrt(math.prod(fans))

    def norm(self, name: str) -> Parameter:
        """A norm, whose scale is the factor."""
        return rms_norm(name, self.d_model, scheme("constant", value=self.initializer_factor))

    def attention(self, name: str, *, relative: bool) -> Iterator[Parameter]:
        """Queries, keys, values, output; perhaps the bias by distance."""
        width, head, heads = self.d_model, self.d_kv, self.num_heads
        inner = heads * head
        yield from linear(f"{name}.q", inner, width, self.spread(width, head), bias=False)
        yield from linear(f"{name}.k", inner, width, self.spread(width), bias=False)
        yield from linear(f"{name}.v", inner, width, self.spread(width), bias=False)
        yield from linear(f"{name}.o", width, inner, self.spread(heads, head), bias=False)
        if relative:
            buckets = self.relative_attention_num_buckets
            yield embedding(f"{name}.relative_attention_bias", buckets, heads, self.spread(width))

    def feed_forward(self) -> Iterator[Parameter]:
        """A feed-forward block, gated or not."""
        gated = self.is_gated_act
        if gated is None:
            gated = self.feed_forward_proj.startswith("gated-")
        for part in ("wi_0", "wi_1") if gated else ("wi",):
            name = f"DenseReluDense.{part}"
            yield from linear(name, self.d_ff, self.d_model, self.spread(self.d_model), bias=False)
        name = "DenseReluDense.wo"
        yield from linear(name, self.d_model, self.d_ff, self.spread(self.d_ff), bias=False)

    def stage(self, count: int, *, decoder: bool) -> Iterator[Parameter]:
        """The encoder or the decoder; only its first block has the bias by distance."""

        def block(first: bool) -> Iterator[Parameter]:  # noqa: FBT001
            yield from prefixed("layer.0", self.attention("SelfAttention", relative=first))
            yield self.norm("layer.0.layer_norm")
            if decoder:
                yield from prefixed("layer.1", self.attention("EncDecAttention", relative=False))
                yield self.norm("layer.1.layer_norm")
            last = f"layer.{1 + decoder}"
            yield from prefixed(last, self.feed_forward())
            yield self.norm(f"{last}.layer_norm")

        yield from stack("block", (index == 0 for index in range(count)), block)
        yield self.norm("final_layer_norm")

    def encoder_only(self) -> Iterator[Parameter]:
        """Embedding and encoder."""
        shape = self.vocab_size, self.d_model
        yield parameter("shared.weight", shape, normal(self.initializer_factor))
        yield from prefixed("encoder", self.stage(self.num_layers, decoder=False))

    def bare(self) -> Iterator[Parameter]:
        """Embedding, encoder and decoder."""
        yield from self.encoder_only()
        layers = self.num_layers if self.num_decoder_layers is None else self.num_decoder_layers
        yield from prefixed("decoder", self.stage(layers, decoder=True))

    def sequences(self) -> Iterator[Parameter]:
        """With a classifier of sequences."""
        yield from prefixed("transformer", self.bare())
        width, std = self.d_model, self.spread(self.d_model)
        yield from linear("classification_head.dense", width, width, std)
        yield from linear("classification_head.out_proj", self.num_labels, width, std)

    def tokens(self) -> Iterator[Parameter]:
        """The encoder with a classifier of tokens."""
        yield from prefixed("transformer", self.encoder_only())
        factor = self.initializer_factor
        yield from linear("classifier", self.num_labels, self.d_model, factor)

    def answers(self) -> Iterator[Parameter]:
        """With a head that marks answers."""
        yield from self.bare()
        std = self.spread(self.d_model)
        yield from linear("qa_outputs", self.num_labels, self.d_model, std)


class MT5(T5):
    """mT5: T5 v1.1 for a hundred languages."""

    model_type = "mt5"
    stem = "MT5"
    former = {}

    vocab_size: Vocabulary = 250112
    d_ff: Inner = 1024
    num_layers: Layers = 8
    num_heads: Heads = 6
    feed_forward_proj: Annotated[
        str,
        Field(
            pattern=r"^(gated-)?[^-]+$",
            max_length=64,
            description="Activation of the feed-forward blocks, after gated- if they are gated.",
        ),
    ] = "gated-gelu"
    bos_token_id: Token | None = None
    decoder_start_token_id: Token | None = 0


FAMILIES = (T5, MT5)
