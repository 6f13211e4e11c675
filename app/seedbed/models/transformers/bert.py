"""Encoders like BERT: learned positions, biases everywhere, a norm after each half of a block."""

from __future__ import annotations

from collections.abc import Iterator

from seedbed.init import Parameter, scheme
from seedbed.models.base import prefixed
from seedbed.models.config import Config, words
from seedbed.models.transformers.encoder import Encoder
from seedbed.models.transformers.family import Family
from seedbed.models.transformers.fields import (
    Flag,
    Heads,
    Inner,
    Layers,
    Padding,
    Positions,
    Size,
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
    normal,
    parameter,
    repeat,
)


class Bert(Encoder):
    """BERT."""

    model_type = "bert"
    stem = "Bert"
    body = "bert"
    inert = words(
        """
        directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
        pooler_size_per_head pooler_type position_embedding_type
        """
    )
    heads = {
        "ForMaskedLM": "masked",
        "Model": "bare",
        "LMHeadModel": "masked",
        "ForPreTraining": "pretraining",
        "ForNextSentencePrediction": "next_sentences",
        "ForSequenceClassification": "sequences",
        "ForTokenClassification": "tokens",
        "ForQuestionAnswering": "answers",
        "ForMultipleChoice": "choices",
    }

    def predictions(self) -> Iterator[Parameter]:
        """The head that predicts tokens."""
        width, std = self.hidden_size, self.std
        yield parameter("bias", (self.vocab_size,), normal(0.0))
        yield from linear("transform.dense", width, width, std)
        yield from layer_norm("transform.LayerNorm", width)
        if not self.tie_word_embeddings:
            yield from linear("decoder", self.vocab_size, width, std)

    def masked(self) -> Iterator[Parameter]:
        """With a head that predicts tokens."""
        yield from self.unpooled()
        yield from prefixed("cls.predictions", self.predictions())

    def pretraining(self) -> Iterator[Parameter]:
        """With both heads of its training."""
        yield from self.pooled()
        yield from prefixed("cls.predictions", self.predictions())
        yield from linear("cls.seq_relationship", 2, self.hidden_size, self.std)

    def next_sentences(self) -> Iterator[Parameter]:
        """With the head that tells whether one sentence follows another."""
        yield from self.pooled()
        yield from linear("cls.seq_relationship", 2, self.hidden_size, self.std)


class Roberta(Encoder):
    """RoBERTa: positions start after the padding index, whose row is zeros there, too."""

    model_type = "roberta"
    stem = "Roberta"
    body = "roberta"
    heads = {
        "ForMaskedLM": "masked",
        "Model": "bare",
        "ForCausalLM": "masked",
        "ForSequenceClassification": "sequences",
        "ForTokenClassification": "tokens",
        "ForQuestionAnswering": "answers",
        "ForMultipleChoice": "choices",
    }

    vocab_size: Vocabulary = 50265
    bos_token_id: Token | None = 0
    eos_token_id: Tokens | None = 2
    pad_token_id: Padding | None = 1

    def check(self, config: Config) -> None:
        """The padding token has a row among the positions, too."""
        super().check(config)
        self.require_row(config, "pad_token_id", self.pad_token_id, self.max_position_embeddings)

    def embeddings(self) -> Iterator[Parameter]:
        """In another order than BERT's."""
        width, std, padding = self.hidden_size, self.std, self.pad_token_id
        yield embedding("word_embeddings", self.vocab_size, width, std, padding)
        yield embedding("token_type_embeddings", self.type_vocab_size, width, std)
        yield from layer_norm("LayerNorm", width)
        yield embedding("position_embeddings", self.max_position_embeddings, width, std, padding)

    def masked(self) -> Iterator[Parameter]:
        """With a head that predicts tokens."""
        width, std = self.hidden_size, self.std
        yield from self.unpooled()
        yield parameter("lm_head.bias", (self.vocab_size,), normal(0.0))
        yield from linear("lm_head.dense", width, width, std)
        yield from layer_norm("lm_head.layer_norm", width)
        if not self.tie_word_embeddings:
            yield from linear("lm_head.decoder", self.vocab_size, width, std)

    def sequences(self) -> Iterator[Parameter]:
        """With a classifier of sequences, which takes the first position itself."""
        yield from self.unpooled()
        yield from linear("classifier.dense", self.hidden_size, self.hidden_size, self.std)
        yield from linear("classifier.out_proj", self.num_labels, self.hidden_size, self.std)


class XLMRoberta(Roberta):
    """XLM-RoBERTa: RoBERTa for a hundred languages."""

    model_type = "xlm-roberta"
    stem = "XLMRoberta"

    vocab_size: Vocabulary = 30522

    def of_class(self, name: str) -> Iterator[Parameter]:
        """With the head before the body."""
        parameters = list(super().of_class(name))
        body = [parameter for parameter in parameters if parameter.name.startswith("roberta.")]
        yield from (
            parameter for parameter in parameters if not parameter.name.startswith("roberta.")
        )
        yield from body


class Electra(Encoder):
    """ELECTRA: embeddings may be narrower than the layers."""

    model_type = "electra"
    stem = "Electra"
    body = "electra"
    inert = words("position_embedding_type summary_activation summary_last_dropout summary_type")
    heads = {
        "ForPreTraining": "discriminator",
        "Model": "bare",
        "ForMaskedLM": "masked",
        "ForSequenceClassification": "sequences",
        "ForTokenClassification": "tokens",
        "ForQuestionAnswering": "answers",
    }

    hidden_size: Width = 256
    embedding_size: Size = 128
    num_attention_heads: Heads = 4
    intermediate_size: Inner = 1024
    summary_use_proj: Flag = True

    @property
    def width_of_embedding(self) -> int:
        """May be narrower."""
        return self.embedding_size

    def stem_and_layers(self) -> Iterator[Parameter]:
        """A projection between embeddings and layers, if they differ in width."""
        yield from prefixed("embeddings", self.embeddings())
        if self.embedding_size != self.hidden_size:
            yield from linear("embeddings_project", self.hidden_size, self.embedding_size, self.std)
        yield from repeat("encoder.layer", self.num_hidden_layers, self.block())

    def pooler(self) -> Iterator[Parameter]:
        """None."""
        return iter(())

    def discriminator(self) -> Iterator[Parameter]:
        """With the head that tells replaced tokens."""
        yield from self.unpooled()
        name, width = "discriminator_predictions", self.hidden_size
        yield from linear(f"{name}.dense", width, width, self.std)
        yield from linear(f"{name}.dense_prediction", 1, width, self.std)

    def masked(self) -> Iterator[Parameter]:
        """With the generator's head, which predicts tokens."""
        yield from self.unpooled()
        name, narrow = "generator_predictions", self.embedding_size
        yield from layer_norm(f"{name}.LayerNorm", narrow)
        yield from linear(f"{name}.dense", narrow, self.hidden_size, self.std)
        if not self.tie_word_embeddings:
            yield from linear("generator_lm_head", self.vocab_size, narrow, self.std)
        else:
            yield parameter("generator_lm_head.bias", (self.vocab_size,), normal(0.0))

    def sequences(self) -> Iterator[Parameter]:
        """With a classifier of sequences."""
        yield from self.unpooled()
        yield from linear("classifier.dense", self.hidden_size, self.hidden_size, self.std)
        yield from linear("classifier.out_proj", self.num_labels, self.hidden_size, self.std)


class Albert(Encoder):
    """ALBERT: layers share their weights, by groups; embeddings are narrow."""

    model_type = "albert"
    stem = "Albert"
    body = "albert"
    inert = words(
        """
        classifier_dropout_prob down_scale_factor gap_size net_structure_type num_memory_blocks
        position_embedding_type
        """
    )
    heads = {
        "ForMaskedLM": "masked",
        "Model": "bare",
        "ForPreTraining": "pretraining",
        "ForSequenceClassification": "sequences",
        "ForTokenClassification": "tokens",
        "ForQuestionAnswering": "answers",
        "ForMultipleChoice": "choices",
    }

    vocab_size: Vocabulary = 30000
    embedding_size: Size = 128
    hidden_size: Width = 4096
    num_hidden_groups: Layers = 1
    inner_group_num: Layers = 1
    num_attention_heads: Heads = 64
    intermediate_size: Inner = 16384
    bos_token_id: Token | None = 2
    eos_token_id: Tokens | None = 3

    @property
    def width_of_embedding(self) -> int:
        """Narrower than the layers."""
        return self.embedding_size

    def block(self) -> Iterator[Parameter]:
        """One layer of a group."""
        width, inner, std = self.hidden_size, self.intermediate_size, self.std
        yield from layer_norm("full_layer_layer_norm", width)
        for part in ("query", "key", "value", "dense"):
            yield from linear(f"attention.{part}", width, width, std)
        yield from layer_norm("attention.LayerNorm", width)
        yield from linear("ffn", inner, width, std)
        yield from linear("ffn_output", width, inner, std)

    def stem_and_layers(self) -> Iterator[Parameter]:
        """Embeddings, the projection to the layers' width, and the groups."""
        yield from prefixed("embeddings", self.embeddings())
        name = "encoder.embedding_hidden_mapping_in"
        yield from linear(name, self.hidden_size, self.embedding_size, self.std)
        group = list(repeat("albert_layers", self.inner_group_num, self.block()))
        yield from repeat("encoder.albert_layer_groups", self.num_hidden_groups, group)

    def pooler(self) -> Iterator[Parameter]:
        """What takes the first position."""
        return linear("pooler", self.hidden_size, self.hidden_size, self.std)

    def predictions(self) -> Iterator[Parameter]:
        """The head that predicts tokens."""
        narrow = self.embedding_size
        yield parameter("predictions.bias", (self.vocab_size,), normal(0.0))
        yield from layer_norm("predictions.LayerNorm", narrow)
        yield from linear("predictions.dense", narrow, self.hidden_size, self.std)
        if not self.tie_word_embeddings:
            yield from linear("predictions.decoder", self.vocab_size, narrow, self.std)

    def masked(self) -> Iterator[Parameter]:
        """With a head that predicts tokens."""
        yield from self.unpooled()
        yield from self.predictions()

    def pretraining(self) -> Iterator[Parameter]:
        """With both heads of its training."""
        yield from self.pooled()
        yield from self.predictions()
        yield from linear("sop_classifier.classifier", self.num_labels, self.hidden_size, self.std)


class DistilBert(Family):
    """DistilBERT: BERT with half the layers, no token types and no pooler."""

    model_type = "distilbert"
    stem = "DistilBert"
    aliases = {
        "hidden_size": "dim",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
    }
    inert = words("activation qa_dropout seq_classif_dropout")
    heads = {
        "ForMaskedLM": "masked",
        "Model": "bare",
        "ForSequenceClassification": "sequences",
        "ForTokenClassification": "tokens",
        "ForQuestionAnswering": "answers",
        "ForMultipleChoice": "choices",
    }

    vocab_size: Vocabulary = 30522
    max_position_embeddings: Positions = 512
    sinusoidal_pos_embds: Flag = False
    n_layers: Layers = 6
    n_heads: Heads = 12
    dim: Width = 768
    hidden_dim: Inner = 3072
    initializer_range: Std = 0.02
    tie_word_embeddings: Tied = True
    pad_token_id: Padding | None = 0

    def check(self, config: Config) -> None:
        """Heads share the width, which is even, and the padding token has a row."""
        self.require_divisible(config, "dim", self.dim, self.n_heads, "heads")
        self.require_row(config, "pad_token_id", self.pad_token_id, self.vocab_size)
        if self.sinusoidal_pos_embds and self.dim % 2:
            raise config.error("dim", f"sinusoidal positions need an even width, not {self.dim}")

    def block(self) -> Iterator[Parameter]:
        """One layer."""
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            yield from linear(f"attention.{part}", self.dim, self.dim, self.std)
        yield from layer_norm("sa_layer_norm", self.dim)
        yield from linear("ffn.lin1", self.hidden_dim, self.dim, self.std)
        yield from linear("ffn.lin2", self.dim, self.hidden_dim, self.std)
        yield from layer_norm("output_layer_norm", self.dim)

    def bare(self) -> Iterator[Parameter]:
        """Without a head."""
        yield embedding(
            "embeddings.word_embeddings", self.vocab_size, self.dim, self.std, self.pad_token_id
        )
        shape = self.max_position_embeddings, self.dim
        waves = self.sinusoidal_pos_embds
        init = scheme("sinusoidal", layout="interleaved") if waves else normal(self.std)
        yield parameter("embeddings.position_embeddings.weight", shape, init)
        yield from layer_norm("embeddings.LayerNorm", self.dim)
        yield from repeat("transformer.layer", self.n_layers, self.block())

    def masked(self) -> Iterator[Parameter]:
        """With a head that predicts tokens."""
        yield from prefixed("distilbert", self.bare())
        yield from linear("vocab_transform", self.dim, self.dim, self.std)
        yield from layer_norm("vocab_layer_norm", self.dim)
        if self.tie_word_embeddings:
            yield parameter("vocab_projector.bias", (self.vocab_size,), normal(0.0))
        else:
            yield from linear("vocab_projector", self.vocab_size, self.dim, self.std)

    def sequences(self, labels: int | None = None) -> Iterator[Parameter]:
        """With a classifier of sequences."""
        yield from prefixed("distilbert", self.bare())
        yield from linear("pre_classifier", self.dim, self.dim, self.std)
        yield from linear("classifier", labels or self.num_labels, self.dim, self.std)

    def choices(self) -> Iterator[Parameter]:
        """With a head that scores alternatives."""
        return self.sequences(1)

    def tokens(self) -> Iterator[Parameter]:
        """With a classifier of tokens."""
        yield from prefixed("distilbert", self.bare())
        yield from linear("classifier", self.num_labels, self.dim, self.std)

    def answers(self) -> Iterator[Parameter]:
        """With a head that marks answers."""
        yield from prefixed("distilbert", self.bare())
        yield from linear("qa_outputs", 2, self.dim, self.std)


FAMILIES = (Bert, Roberta, XLMRoberta, DistilBert, Electra, Albert)
