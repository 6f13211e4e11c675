"""Pairs of a text and a vision transformer: CLIP and SigLIP. Each half has a config of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from seedbed.init import TRUNCATED_STD, Parameter, Scheme, scheme, zero
from seedbed.models.base import Json, prefixed
from seedbed.models.config import Config, words
from seedbed.models.transformers.family import TRANSFORMER, Family
from seedbed.models.transformers.fields import (
    Channels,
    Factor,
    Flag,
    Heads,
    Inner,
    Layers,
    Positions,
    Size,
    Vocabulary,
    Width,
)
from seedbed.models.transformers.parts import (
    layer_norm,
    linear,
    normal,
    parameter,
    repeat,
    weight,
)
from seedbed.models.transformers.vit import Sides, cut, patches, sides


class Half(BaseModel):
    """The config of one half."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    inert: ClassVar[frozenset[str]] = words(
        "vocab_size projection_dim num_key_value_heads tie_word_embeddings"
    )

    hidden_size: Width = 768
    intermediate_size: Inner = 3072
    num_hidden_layers: Layers = 12
    num_attention_heads: Heads = 12


class TextHalf(Half):
    """Fields of the text half, by default CLIP's."""

    vocab_size: Vocabulary = 49408
    hidden_size: Width = 512
    intermediate_size: Inner = 2048
    num_attention_heads: Heads = 8
    max_position_embeddings: Positions = 77
    initializer_factor: Factor = 1.0


class VisionHalf(Half):
    """Fields of the vision half, by default CLIP's."""

    num_channels: Channels = 3
    image_size: Sides = 224
    patch_size: Sides = 32
    initializer_range: Factor = 0.02
    initializer_factor: Factor = 1.0


class Pair(Family):
    """What both have in common: reading and writing the halves."""

    halves: ClassVar[Mapping[str, type[Half]]]
    generates = ()

    @classmethod
    def of(cls, config: Config) -> Self:
        """The fields of a config and of its halves."""
        parts: dict[str, Any] = {}
        for name, half in cls.halves.items():
            part = config.part(name)
            parts[name] = part.into(half, TRANSFORMER, half.inert)
            width, heads = parts[name].hidden_size, parts[name].num_attention_heads
            if width % heads:
                raise part.error("hidden_size", f"{width} does not divide into {heads} heads")
        for old in (f"{name}_dict" for name in cls.halves):
            if config.get(old) is not None:
                raise config.error(old, f"say it in {old.removesuffix('_dict')}")
        whole = Config({**config.fields, **parts}, config.spelled, config.present, config.prefix)
        whole = replace(whole, heard=config.heard, ignored=config.ignored)
        old_names = [f"{name}_dict" for name in cls.halves]
        return whole.into(cls, TRANSFORMER, cls.inert, old_names)

    def written(self, config: Config, raw: Json, name: str) -> Json:
        """With the fields of the halves spelled out."""
        fields = {**super().written(config, raw, name)}
        for half in self.halves:
            own = {key: value for key, value in (raw.get(half) or {}).items() if key[:1] != "_"}
            own.pop("dtype", None)
            own.pop("torch_dtype", None)
            fields[half] = {**own, **getattr(self, half).model_dump()}
            fields.pop(f"{half}_dict", None)
        return fields


def root(*numbers: float) -> float:
    """1 over the root of a product."""
    return 1.0 / math.sqrt(math.prod(numbers))


class CLIP(Pair):
    """CLIP: every spread follows from the width and the depth of its half."""

    model_type = "clip"
    stem = "CLIP"
    halves = {"text_config": TextHalf, "vision_config": VisionHalf}
    heads = {"Model": "bare", "ForImageClassification": "images"}

    text_config: TextHalf = TextHalf()
    vision_config: VisionHalf = VisionHalf()
    projection_dim: Size = 512
    logit_scale_init_value: Annotated[
        float, Field(ge=-1e6, le=1e6, description="Logarithm of the temperature's inverse.")
    ] = 2.6592
    initializer_factor: Factor = 1.0

    def block(self, half: Half, factor: float) -> Iterator[Parameter]:
        """One layer of a half."""
        width, inner, depth = half.hidden_size, half.intermediate_size, half.num_hidden_layers
        residual = factor * root(width, 2 * depth)
        for part in ("k_proj", "v_proj", "q_proj"):
            yield from linear(f"self_attn.{part}", width, width, residual)
        yield from linear("self_attn.out_proj", width, width, factor * root(width))
        yield from layer_norm("layer_norm1", width)
        yield from linear("mlp.fc1", inner, width, factor * root(2 * width))
        yield from linear("mlp.fc2", width, inner, residual)
        yield from layer_norm("layer_norm2", width)

    def text(self) -> Iterator[Parameter]:
        """The text half."""
        half = self.text_config
        width, factor = half.hidden_size, half.initializer_factor
        init = normal(0.02 * factor)
        yield parameter("embeddings.token_embedding.weight", (half.vocab_size, width), init)
        rows = half.max_position_embeddings
        yield parameter("embeddings.position_embedding.weight", (rows, width), init)
        yield from repeat("encoder.layers", half.num_hidden_layers, self.block(half, factor))
        yield from layer_norm("final_layer_norm", width)

    def vision(self) -> Iterator[Parameter]:
        """The vision half. `pre_layrnorm` is spelled so."""
        half = self.vision_config
        width, factor = half.hidden_size, half.initializer_factor
        init = normal(half.initializer_range * factor)
        yield parameter("embeddings.class_embedding", (width,), normal(factor * root(width)))
        shape = width, half.num_channels, *sides(half.patch_size)
        yield from weight("embeddings.patch_embedding", shape, init, bias=False)
        rows = patches(half.image_size, half.patch_size) + 1
        yield parameter("embeddings.position_embedding.weight", (rows, width), init)
        yield from layer_norm("pre_layrnorm", width)
        yield from repeat("encoder.layers", half.num_hidden_layers, self.block(half, factor))
        yield from layer_norm("post_layernorm", width)

    def bare(self) -> Iterator[Parameter]:
        """Both halves, and the projections to where they meet."""
        yield parameter("logit_scale", (), scheme("constant", value=self.logit_scale_init_value))
        yield from prefixed("text_model", self.text())
        yield from prefixed("vision_model", self.vision())
        both, factor = self.projection_dim, self.initializer_factor
        text, vision = self.text_config.hidden_size, self.vision_config.hidden_size
        yield from linear("visual_projection", both, vision, factor * root(vision), bias=False)
        yield from linear("text_projection", both, text, factor * root(text), bias=False)

    def images(self) -> Iterator[Parameter]:
        """The vision half with a classifier of images."""
        yield from prefixed("vision_model", self.vision())
        width = self.vision_config.hidden_size
        std = self.initializer_factor * root(width)
        yield from linear("classifier", self.num_labels, width, std)


class SiglipTextHalf(Half):
    """Fields of SigLIP's text half."""

    inert = words("projection_dim bos_token_id")

    vocab_size: Vocabulary = 32000
    max_position_embeddings: Positions = 64
    projection_size: Size | None = None


class SiglipVisionHalf(Half):
    """Fields of SigLIP's vision half."""

    num_channels: Channels = 3
    image_size: Sides = 224
    patch_size: Sides = 16
    vision_use_head: Flag = True


class Siglip(Pair):
    """SigLIP: initialised as in Flax, with the schemes of LeCun and Glorot."""

    model_type = "siglip"
    stem = "Siglip"
    halves = {"text_config": SiglipTextHalf, "vision_config": SiglipVisionHalf}
    heads = {"Model": "bare", "ForImageClassification": "images"}

    text_config: SiglipTextHalf = SiglipTextHalf()
    vision_config: SiglipVisionHalf = SiglipVisionHalf()
    initializer_factor: Factor = 1.0

    @property
    def glorot(self) -> Scheme:
        """Of attention and feed-forward blocks."""
        return scheme("glorot_uniform")

    def lecun(self, fan_in: int) -> Scheme:
        """Of other layers: spread as for a cut at 2 σ, which torch makes at the values −2 and 2."""
        return cut(root(fan_in) / TRUNCATED_STD)

    def mlp(self, name: str, half: Half) -> Iterator[Parameter]:
        """Two linear layers; their biases are not quite zero."""
        width, inner = half.hidden_size, half.intermediate_size
        for part, rows, columns in (("fc1", inner, width), ("fc2", width, inner)):
            yield parameter(f"{name}.{part}.weight", (rows, columns), self.glorot)
            yield parameter(f"{name}.{part}.bias", (rows,), normal(1e-6))

    def block(self, half: Half) -> Iterator[Parameter]:
        """One layer of a half."""
        width = half.hidden_size
        yield from layer_norm("layer_norm1", width)
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield from weight(f"self_attn.{part}", (width, width), self.glorot)
        yield from layer_norm("layer_norm2", width)
        yield from self.mlp("mlp", half)

    def text(self) -> Iterator[Parameter]:
        """The text half."""
        half = self.text_config
        width = half.hidden_size
        init = normal(root(width))
        yield parameter("embeddings.token_embedding.weight", (half.vocab_size, width), init)
        rows = half.max_position_embeddings
        yield parameter("embeddings.position_embedding.weight", (rows, width), init)
        yield from repeat("encoder.layers", half.num_hidden_layers, self.block(half))
        yield from layer_norm("final_layer_norm", width)
        yield from weight("head", (half.projection_size or width, width), self.lecun(width))

    def pooling(self) -> Iterator[Parameter]:
        """The head of the vision half: a probe attends to every patch."""
        half = self.vision_config
        width = half.hidden_size
        yield parameter("probe", (1, 1, width), self.glorot)
        yield parameter("attention.in_proj_weight", (3 * width, width), self.glorot)
        yield parameter("attention.in_proj_bias", (3 * width,), zero())
        yield from weight("attention.out_proj", (width, width), self.lecun(width))
        yield from layer_norm("layernorm", width)
        yield from self.mlp("mlp", half)

    def vision(self, *, head: bool) -> Iterator[Parameter]:
        """The vision half."""
        half = self.vision_config
        width = half.hidden_size
        shape = width, half.num_channels, *sides(half.patch_size)
        yield from weight("embeddings.patch_embedding", shape, self.lecun(math.prod(shape[1:])))
        rows = patches(half.image_size, half.patch_size)
        yield parameter("embeddings.position_embedding.weight", (rows, width), normal(root(width)))
        yield from repeat("encoder.layers", half.num_hidden_layers, self.block(half))
        yield from layer_norm("post_layernorm", width)
        if head:
            yield from prefixed("head", self.pooling())

    def bare(self) -> Iterator[Parameter]:
        """Both halves, temperature and bias."""
        yield parameter("logit_scale", (1,), zero())
        yield parameter("logit_bias", (1,), zero())
        yield from prefixed("text_model", self.text())
        head = self.vision_config.vision_use_head
        yield from prefixed("vision_model", self.vision(head=head))

    def images(self) -> Iterator[Parameter]:
        """The vision half with a classifier of images."""
        head = self.vision_config.vision_use_head
        yield from prefixed("vision_model", self.vision(head=head))
        width = self.vision_config.hidden_size
        std = self.initializer_factor * root(width)
        yield from linear("classifier", self.num_labels, width, std)


FAMILIES = (CLIP, Siglip)
