"""Encoders with decoders that learn their positions: BART and Whisper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from seedbed.init import Parameter, scheme
from seedbed.models.base import prefixed
from seedbed.models.config import Config, words
from seedbed.models.transformers.family import Family
from seedbed.models.transformers.fields import (
    Factor,
    Flag,
    Heads,
    Inner,
    Labels,
    Layers,
    Padding,
    Positions,
    Size,
    Tied,
    Token,
    Tokens,
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


class EncoderDecoder(Family):
    """What both have in common: blocks of attention, cross-attention and two linear layers."""

    d_model: Width = 1024
    encoder_layers: Layers = 12
    encoder_attention_heads: Heads = 16
    encoder_ffn_dim: Inner = 4096
    decoder_layers: Layers = 12
    decoder_attention_heads: Heads = 16
    decoder_ffn_dim: Inner = 4096
    init_std: Factor = 0.02
    tie_word_embeddings: Tied = True

    @property
    def std(self) -> float:
        """Of every weight."""
        return self.init_std

    def check(self, config: Config) -> None:
        """Heads share the width."""
        for name in ("encoder_attention_heads", "decoder_attention_heads"):
            self.require_divisible(config, name, self.d_model, getattr(self, name), "heads")

    def key_biased(self) -> bool:
        """Whether keys have a bias."""
        return True

    def attention(self, name: str) -> Iterator[Parameter]:
        """Keys, values, queries, output, and the norm beside them."""
        width, std = self.d_model, self.std
        yield from linear(f"{name}.k_proj", width, width, std, bias=self.key_biased())
        for part in ("v_proj", "q_proj", "out_proj"):
            yield from linear(f"{name}.{part}", width, width, std)
        yield from layer_norm(f"{name}_layer_norm", width)

    def block(self, inner: int, *, cross: bool) -> Iterator[Parameter]:
        """One layer of the encoder, or with cross-attention of the decoder."""
        yield from self.attention("self_attn")
        if cross:
            yield from self.attention("encoder_attn")
        yield from linear("fc1", inner, self.d_model, self.std)
        yield from linear("fc2", self.d_model, inner, self.std)
        yield from layer_norm("final_layer_norm", self.d_model)

    def encoder_stack(self) -> Iterator[Parameter]:
        """The encoder's layers."""
        block = self.block(self.encoder_ffn_dim, cross=False)
        return repeat("layers", self.encoder_layers, block)

    def decoder_stack(self) -> Iterator[Parameter]:
        """The decoder's layers."""
        block = self.block(self.decoder_ffn_dim, cross=True)
        return repeat("layers", self.decoder_layers, block)


class Bart(EncoderDecoder):
    """BART: norms after each half of a block, and after the embeddings."""

    model_type = "bart"
    stem = "Bart"
    aliases = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
        "num_hidden_layers": "encoder_layers",
    }
    inert = words(
        """
        add_bias_logits add_final_layer_norm classif_dropout decoder_layerdrop encoder_layerdrop
        extra_pos_embeddings force_bos_token_to_be_generated normalize_before normalize_embedding
        scale_embedding static_position_embeddings
        """
    )
    heads = {
        "ForConditionalGeneration": "generation_model",
        "Model": "bare",
        "ForSequenceClassification": "sequences",
        "ForQuestionAnswering": "answers",
    }

    vocab_size: Vocabulary = 50265
    max_position_embeddings: Positions = 1024
    num_labels: Labels = 3
    bos_token_id: Token | None = 0
    eos_token_id: Tokens | None = 2
    pad_token_id: Padding | None = 1
    decoder_start_token_id: Token | None = 2
    forced_eos_token_id: Tokens | None = 2

    def check(self, config: Config) -> None:
        """The padding token has a row, and norms are where they are in BART."""
        super().check(config)
        self.require_row(config, "pad_token_id", self.pad_token_id, self.vocab_size)
        for name, neutral in _NEUTRAL.items():
            if config.get(name, neutral) != neutral:
                said = str(neutral).lower()
                raise config.error(name, f"only {said} is covered", (said,))

    def words(self, name: str) -> Parameter:
        """A table of tokens."""
        return embedding(name, self.vocab_size, self.d_model, self.std, self.pad_token_id)

    def side(self, layers: Iterator[Parameter]) -> Iterator[Parameter]:
        """The encoder or the decoder."""
        if not self.tie_word_embeddings:
            yield self.words("embed_tokens")
        rows = self.max_position_embeddings + 2  # as in OPT
        yield embedding("embed_positions", rows, self.d_model, self.std)
        yield from layers
        yield from layer_norm("layernorm_embedding", self.d_model)

    def bare(self) -> Iterator[Parameter]:
        """Without a head."""
        yield self.words("shared")
        yield from prefixed("encoder", self.side(self.encoder_stack()))
        yield from prefixed("decoder", self.side(self.decoder_stack()))

    def generation_model(self) -> Iterator[Parameter]:
        """With a language model's head, whose bias is no parameter but is saved."""
        yield parameter("final_logits_bias", (1, self.vocab_size), normal(0.0))
        yield from prefixed("model", self.bare())
        if not self.tie_word_embeddings:
            yield from linear("lm_head", self.vocab_size, self.d_model, self.std, bias=False)

    def sequences(self) -> Iterator[Parameter]:
        """With a classifier of sequences."""
        yield from prefixed("model", self.bare())
        yield from linear("classification_head.dense", self.d_model, self.d_model, self.std)
        yield from linear("classification_head.out_proj", self.num_labels, self.d_model, self.std)

    def answers(self) -> Iterator[Parameter]:
        """With a head that marks answers."""
        yield from prefixed("model", self.bare())
        yield from linear("qa_outputs", 2, self.d_model, self.std)


_NEUTRAL = {
    "add_bias_logits": False,
    "add_final_layer_norm": False,
    "normalize_before": False,
    "normalize_embedding": True,
    "static_position_embeddings": False,
}
"""Fields of old configs, with the values that mean BART."""


class Whisper(EncoderDecoder):
    """Whisper: convolutions over a spectrogram, sinusoidal positions in the encoder."""

    model_type = "whisper"
    stem = "Whisper"
    aliases = {
        "num_attention_heads": "encoder_attention_heads",
        "num_key_value_heads": "encoder_attention_heads",
        "hidden_size": "d_model",
        "num_hidden_layers": "encoder_layers",
    }
    inert = words(
        """
        alignment_heads apply_spec_augment decoder_layerdrop encoder_layerdrop lang_to_id
        mask_feature_length mask_feature_min_masks mask_feature_prob mask_time_length
        mask_time_min_masks mask_time_prob median_filter_width no_timestamps_token_id
        return_timestamps scale_embedding task_to_id
        """
    )
    heads = {
        "ForConditionalGeneration": "generation_model",
        "Model": "bare",
        "ForAudioClassification": "audio",
    }

    vocab_size: Vocabulary = 51865
    d_model: Width = 384
    encoder_layers: Layers = 4
    encoder_attention_heads: Heads = 6
    encoder_ffn_dim: Inner = 1536
    decoder_layers: Layers = 4
    decoder_attention_heads: Heads = 6
    decoder_ffn_dim: Inner = 1536
    num_mel_bins: Annotated[int, Field(ge=1, le=2**31, description="Bands of the spectrogram.")] = (
        80
    )
    max_source_positions: Positions = 1500
    max_target_positions: Positions = 448
    use_weighted_layer_sum: Flag = False
    classifier_proj_size: Size = 256
    bos_token_id: Token | None = 50256
    eos_token_id: Tokens | None = 50256
    pad_token_id: Padding | None = 50256
    decoder_start_token_id: Token = 50257
    begin_suppress_tokens: list[Token] | None = [220, 50256]

    def check(self, config: Config) -> None:
        """The padding token has a row, and the width is even."""
        super().check(config)
        self.require_row(config, "pad_token_id", self.pad_token_id, self.vocab_size)
        if self.d_model % 2 or self.d_model < 4:
            raise config.error("d_model", f"sinusoids need an even width, not {self.d_model}")

    def key_biased(self) -> bool:
        """They have none."""
        return False

    def encoder(self) -> Iterator[Parameter]:
        """Convolutions, positions, layers, the last norm."""
        width = self.d_model
        init = normal(self.std)
        yield from weight("conv1", (width, self.num_mel_bins, 3), init)
        yield from weight("conv2", (width, width, 3), init)
        waves = scheme("sinusoidal", layout="concatenated")
        yield parameter("embed_positions.weight", (self.max_source_positions, width), waves)
        yield from self.encoder_stack()
        yield from layer_norm("layer_norm", width)

    def decoder(self) -> Iterator[Parameter]:
        """Tokens, positions, layers, the last norm."""
        width = self.d_model
        yield embedding("embed_tokens", self.vocab_size, width, self.std, self.pad_token_id)
        yield embedding("embed_positions", self.max_target_positions, width, self.std)
        yield from self.decoder_stack()
        yield from layer_norm("layer_norm", width)

    def bare(self) -> Iterator[Parameter]:
        """Without a head."""
        yield from prefixed("encoder", self.encoder())
        yield from prefixed("decoder", self.decoder())

    def generation_model(self) -> Iterator[Parameter]:
        """With a head that predicts tokens."""
        yield from prefixed("model", self.bare())
        if not self.tie_word_embeddings:
            yield from linear("proj_out", self.vocab_size, self.d_model, self.std, bias=False)

    def audio(self) -> Iterator[Parameter]:
        """The encoder with a classifier."""
        if self.use_weighted_layer_sum:
            layers = self.encoder_layers + 1
            yield parameter("layer_weights", (layers,), scheme("constant", value=1.0 / layers))
        yield from prefixed("encoder", self.encoder())
        narrow = self.classifier_proj_size
        yield from linear("projector", narrow, self.d_model, self.std)
        yield from linear("classifier", self.num_labels, narrow, self.std)


FAMILIES = (Bart, Whisper)
