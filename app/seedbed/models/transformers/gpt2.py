"""GPT-2: learned positions, fused attention, and linear layers stored as (in, out)."""

from __future__ import annotations

import math
from collections.abc import Iterator

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
    Vocabulary,
    Width,
)
from seedbed.models.transformers.parts import embedding, layer_norm, linear, normal, repeat


def conv1d(name: str, columns: int, rows: int, std: float) -> Iterator[Parameter]:
    """The library's `Conv1D`: a linear layer, its weight stored as (in, out)."""
    yield Parameter(f"{name}.weight", (columns, rows), normal(std))
    yield Parameter(f"{name}.bias", (rows,), normal(0.0))


class GPT2(Family):
    """GPT-2, and what was trained with its code."""

    model_type = "gpt2"
    stem = "GPT2"
    aliases = {
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }
    inert = words(
        """
        attn_pdrop n_ctx reorder_and_upcast_attn scale_attn_by_inverse_layer_idx scale_attn_weights
        summary_activation summary_first_dropout summary_proj_to_labels summary_type
        summary_use_proj predict_special_tokens
        """
    )

    vocab_size: Vocabulary = 50257
    n_positions: Positions = 1024
    n_embd: Width = 768
    n_layer: Layers = 12
    n_head: Heads = 12
    n_inner: Inner | None = None
    initializer_range: Std = 0.02
    tie_word_embeddings: Tied = True
    bos_token_id: Token | None = 50256
    eos_token_id: Tokens | None = 50256
    pad_token_id: Padding | None = None

    def check(self, config: Config) -> None:
        """Heads share the width."""
        self.require_divisible(config, "n_embd", self.n_embd, self.n_head, "heads")

    def block(self) -> Iterator[Parameter]:
        """One layer; what adds to the residual stream is scaled down by the depth."""
        width, std = self.n_embd, self.initializer_range
        inner = self.n_inner or 4 * width
        residual = std / math.sqrt(2 * self.n_layer)
        yield from layer_norm("ln_1", width)
        yield from conv1d("attn.c_attn", width, 3 * width, std)
        yield from conv1d("attn.c_proj", width, width, residual)
        yield from layer_norm("ln_2", width)
        yield from conv1d("mlp.c_fc", width, inner, std)
        yield from conv1d("mlp.c_proj", inner, width, residual)

    def bare(self) -> Iterator[Parameter]:
        """Without a head."""
        yield embedding("wte", self.vocab_size, self.n_embd, self.std)
        yield embedding("wpe", self.n_positions, self.n_embd, self.std)
        yield from repeat("h", self.n_layer, self.block())
        yield from layer_norm("ln_f", self.n_embd)

    def causal(self) -> Iterator[Parameter]:
        """With a language model's head."""
        yield from prefixed("transformer", self.bare())
        if not self.tie_word_embeddings:
            yield from linear("lm_head", self.vocab_size, self.n_embd, self.std, bias=False)

    def sequences(self) -> Iterator[Parameter]:
        """With a classifier of sequences."""
        yield from prefixed("transformer", self.bare())
        yield from linear("score", self.num_labels, self.n_embd, self.std, bias=False)

    def tokens(self) -> Iterator[Parameter]:
        """With a classifier of tokens."""
        yield from prefixed("transformer", self.bare())
        yield from linear("classifier", self.num_labels, self.n_embd, self.std)

    def answers(self) -> Iterator[Parameter]:
        """With a head that marks answers."""
        yield from prefixed("transformer", self.bare())
        yield from linear("qa_outputs", 2, self.n_embd, self.std)

    heads = {
        "LMHeadModel": "causal",
        "Model": "bare",
        "ForSequenceClassification": "sequences",
        "ForTokenClassification": "tokens",
        "ForQuestionAnswering": "answers",
    }


FAMILIES = (GPT2,)
