"""OPT: learned positions with two rows more, norms before or after, perhaps narrow embeddings."""

from __future__ import annotations

from collections.abc import Iterator

from seedbed.init import Parameter
from seedbed.models.base import prefixed
from seedbed.models.config import Config, words
from seedbed.models.transformers.family import Family
from seedbed.models.transformers.fields import (
    Bias,
    Factor,
    Flag,
    Heads,
    Inner,
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
from seedbed.models.transformers.parts import embedding, layer_norm, linear, repeat

OFFSET = 2
"""Rows of the position table before the first position."""


class OPT(Family):
    """OPT."""

    model_type = "opt"
    stem = "OPT"
    inert = words("prefix")
    heads = {
        "ForCausalLM": "causal",
        "Model": "bare",
        "ForSequenceClassification": "sequences",
        "ForQuestionAnswering": "answers",
    }

    vocab_size: Vocabulary = 50272
    hidden_size: Width = 768
    num_hidden_layers: Layers = 12
    ffn_dim: Inner = 3072
    max_position_embeddings: Positions = 2048
    do_layer_norm_before: Flag = True
    word_embed_proj_dim: Size | None = None
    num_attention_heads: Heads = 12
    init_std: Factor = 0.02
    enable_bias: Bias = True
    layer_norm_elementwise_affine: Flag = True
    tie_word_embeddings: Tied = True
    bos_token_id: Token | None = 2
    eos_token_id: Tokens | None = 2
    pad_token_id: Padding | None = 1

    def check(self, config: Config) -> None:
        """Heads share the width, the padding token has a row, and the last norm is there."""
        self.require_divisible(
            config, "hidden_size", self.hidden_size, self.num_attention_heads, "heads"
        )
        self.require_row(config, "pad_token_id", self.pad_token_id, self.vocab_size)
        if config.get("_remove_final_layer_norm"):
            raise config.error("_remove_final_layer_norm", "only false is covered", ("false",))

    @property
    def std(self) -> float:
        """Of every weight."""
        return self.init_std

    @property
    def narrow(self) -> int:
        """Width of the embeddings."""
        return self.word_embed_proj_dim or self.hidden_size

    def norm(self, name: str) -> Iterator[Parameter]:
        """A norm, which may have no parameters."""
        return (
            layer_norm(name, self.hidden_size) if self.layer_norm_elementwise_affine else iter(())
        )

    def block(self) -> Iterator[Parameter]:
        """One layer."""
        width, inner, bias = self.hidden_size, self.ffn_dim, self.enable_bias
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield from linear(f"self_attn.{part}", width, width, self.std, bias=bias)
        yield from self.norm("self_attn_layer_norm")
        yield from linear("fc1", inner, width, self.std, bias=bias)
        yield from linear("fc2", width, inner, self.std, bias=bias)
        yield from self.norm("final_layer_norm")

    def decoder(self) -> Iterator[Parameter]:
        """Embeddings, projections to and from their width, the last norm, layers."""
        width, narrow, std = self.hidden_size, self.narrow, self.std
        yield embedding("embed_tokens", self.vocab_size, narrow, std, self.pad_token_id)
        yield embedding("embed_positions", self.max_position_embeddings + OFFSET, width, std)
        if narrow != width:
            yield from linear("project_out", narrow, width, std, bias=False)
            yield from linear("project_in", width, narrow, std, bias=False)
        if self.do_layer_norm_before:
            yield from self.norm("final_layer_norm")
        yield from repeat("layers", self.num_hidden_layers, self.block())

    def bare(self) -> Iterator[Parameter]:
        """Without a head."""
        return prefixed("decoder", self.decoder())

    def causal(self) -> Iterator[Parameter]:
        """With a language model's head."""
        yield from prefixed("model.decoder", self.decoder())
        if not self.tie_word_embeddings:
            yield from linear("lm_head", self.vocab_size, self.narrow, self.std, bias=False)

    def sequences(self) -> Iterator[Parameter]:
        """With a classifier of sequences."""
        yield from prefixed("model.decoder", self.decoder())
        yield from linear("score", self.num_labels, self.narrow, self.std, bias=False)

    def answers(self) -> Iterator[Parameter]:
        """With a head that marks answers."""
        yield from prefixed("model.decoder", self.decoder())
        yield from linear("qa_outputs", 2, self.narrow, self.std)


FAMILIES = (OPT,)
