"""GPT-NeoX and Pythia: queries, keys and values in one matrix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from seedbed.init import Parameter
from seedbed.models.base import prefixed
from seedbed.models.config import Config, words
from seedbed.models.transformers.family import Family
from seedbed.models.transformers.fields import (
    Bias,
    Heads,
    Inner,
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
    layer_norm,
    linear,
    repeat,
    sorted_by_name,
)


class GPTNeoX(Family):
    """GPT-NeoX, Pythia and StableLM's first models."""

    model_type = "gpt_neox"
    stem = "GPTNeoX"
    inert = words("rotary_emb_base use_parallel_residual")
    heads = {
        "ForCausalLM": "causal",
        "Model": "bare",
        "ForSequenceClassification": "sequences",
        "ForTokenClassification": "tokens",
        "ForQuestionAnswering": "answers",
    }

    vocab_size: Vocabulary = 50432
    hidden_size: Width = 6144
    num_hidden_layers: Layers = 44
    num_attention_heads: Heads = 64
    intermediate_size: Inner = 24576
    initializer_range: Std = 0.02
    attention_bias: Bias = True
    tie_word_embeddings: Tied = False
    bos_token_id: Token | None = 0
    eos_token_id: Tokens | None = 2
    pad_token_id: Padding | None = None

    def check(self, config: Config) -> None:
        """Heads share the width."""
        self.require_divisible(
            config, "hidden_size", self.hidden_size, self.num_attention_heads, "heads"
        )

    def block(self) -> Iterator[Parameter]:
        """One layer."""
        width, inner, std, bias = (
            self.hidden_size,
            self.intermediate_size,
            self.std,
            self.attention_bias,
        )
        yield from layer_norm("input_layernorm", width)
        yield from layer_norm("post_attention_layernorm", width)
        yield from linear("attention.query_key_value", 3 * width, width, std, bias=bias)
        yield from linear("attention.dense", width, width, std, bias=bias)
        yield from linear("mlp.dense_h_to_4h", inner, width, std)
        yield from linear("mlp.dense_4h_to_h", width, inner, std)

    def bare(self) -> Iterator[Parameter]:
        """Without a head."""
        yield embedding("embed_in", self.vocab_size, self.hidden_size, self.std)
        yield from repeat("layers", self.num_hidden_layers, self.block())
        yield from layer_norm("final_layer_norm", self.hidden_size)

    def causal(self) -> Iterator[Parameter]:
        """With a language model's head: its name is another in memory, so names are sorted."""
        yield embedding("gpt_neox.embed_in", self.vocab_size, self.hidden_size, self.std)
        norm = layer_norm("gpt_neox.final_layer_norm", self.hidden_size)
        yield from sorted_by_name(norm)
        block = sorted_by_name(self.block())
        yield from repeat("gpt_neox.layers", self.num_hidden_layers, block)
        if not self.tie_word_embeddings:
            yield from linear("embed_out", self.vocab_size, self.hidden_size, self.std, bias=False)

    def _headed(self, head: Iterable[Parameter]) -> Iterator[Parameter]:
        yield from prefixed("gpt_neox", self.bare())
        yield from head

    def sequences(self) -> Iterator[Parameter]:
        """With a classifier of sequences."""
        width, labels = self.hidden_size, self.num_labels
        return self._headed(linear("score", labels, width, self.std, bias=False))

    def tokens(self) -> Iterator[Parameter]:
        """With a classifier of tokens."""
        return self._headed(linear("classifier", self.num_labels, self.hidden_size, self.std))

    def answers(self) -> Iterator[Parameter]:
        """With a head that marks answers."""
        return self._headed(linear("qa_outputs", 2, self.hidden_size, self.std))


FAMILIES = (GPTNeoX,)
