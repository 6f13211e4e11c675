"""Vision transformers: patches, a class token, learned positions. ViT, DeiT and DINOv2.

Their names in memory are other ones, so the library sorts them when it saves: biases come before
weights. Truncated normals are cut at the values −2 and 2, as torch's `trunc_normal_` has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from seedbed.init import Parameter, Scheme, one, scheme, zero
from seedbed.models.base import prefixed
from seedbed.models.config import Config, words
from seedbed.models.transformers.family import Family
from seedbed.models.transformers.fields import (
    Bias,
    Channels,
    Flag,
    Heads,
    Inner,
    Layers,
    Pair,
    Size,
    Std,
    Width,
)
from seedbed.models.transformers.parts import normal, parameter, repeat

Sides = Annotated[Size | Pair, Field(description="Height and width, or one number for both.")]


def sides(value: int | list[int]) -> tuple[int, int]:
    """Height and width."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def patches(image: int | list[int], patch: int | list[int]) -> int:
    """How many patches an image has."""
    (height, width), (rows, columns) = sides(image), sides(patch)
    return (height // rows) * (width // columns)


def cut(std: float) -> Scheme:
    """`trunc_normal_(std=std)`, cut at −2 and 2; zeros if there is no spread."""
    return scheme("truncated_normal", std=std, bounds="absolute") if std else zero()


def biased(
    name: str, shape: tuple[int, ...], init: Scheme, *, bias: bool = True
) -> Iterator[Parameter]:
    """A bias of zeros, and a weight after it."""
    if bias:
        yield Parameter(f"{name}.bias", shape[:1], zero())
    yield Parameter(f"{name}.weight", shape, init)


class Vision(Family):
    """What they have in common; defaults are ViT's.

    Class attributes: `body`, the name of the bare model in those with heads, and `tokens`, how
    many there are beside the patches.
    """

    body: ClassVar[str]
    extra_tokens: ClassVar[int] = 1
    generates = ()

    hidden_size: Width = 768
    num_hidden_layers: Layers = 12
    num_attention_heads: Heads = 12
    image_size: Sides = 224
    patch_size: Sides = 16
    num_channels: Channels = 3
    qkv_bias: Bias = True
    initializer_range: Std = 0.02

    def check(self, config: Config) -> None:
        """Heads share the width."""
        self.require_divisible(
            config, "hidden_size", self.hidden_size, self.num_attention_heads, "heads"
        )

    @property
    def matrix(self) -> Scheme:
        """Of linear layers and the patch embedding."""
        return normal(self.std)

    @property
    def token(self) -> Scheme:
        """Of the class token and the positions."""
        return cut(self.std)

    def linear(
        self, name: str, rows: int, columns: int, *, bias: bool = True
    ) -> Iterator[Parameter]:
        """A linear layer, its bias first."""
        return biased(name, (rows, columns), self.matrix, bias=bias)

    def norm(self, name: str) -> Iterator[Parameter]:
        """A norm, its bias first."""
        return biased(name, (self.hidden_size,), one())

    def embeddings(self, *, mask: bool) -> Iterator[Parameter]:
        """Tokens, patches and positions."""
        width = self.hidden_size
        yield parameter("cls_token", (1, 1, width), self.token)
        yield from self.more_tokens()
        if mask:
            yield parameter("mask_token", (1, 1, width), zero())
        shape = width, self.num_channels, *sides(self.patch_size)
        yield from biased("patch_embeddings.projection", shape, self.matrix)
        count = patches(self.image_size, self.patch_size) + self.extra_tokens
        yield parameter("position_embeddings", (1, count, width), self.token)

    def more_tokens(self) -> Iterator[Parameter]:
        """Between the class token and the mask."""
        return iter(())

    def attention(self) -> Iterator[Parameter]:
        """Keys, output, queries, values: so they are sorted in memory."""
        width, bias = self.hidden_size, self.qkv_bias
        yield from self.linear("attention.attention.key", width, width, bias=bias)
        yield from self.linear("attention.output.dense", width, width)
        yield from self.linear("attention.attention.query", width, width, bias=bias)
        yield from self.linear("attention.attention.value", width, width, bias=bias)


class ViT(Vision):
    """ViT."""

    model_type = "vit"
    stem = "ViT"
    body = "vit"
    inert = words("pooler_act")
    heads = {
        "ForImageClassification": "images",
        "Model": "bare",
        "ForMaskedImageModeling": "masked",
    }

    intermediate_size: Inner = 3072
    encoder_stride: Size = 16
    pooler_output_size: Size | None = None

    def block(self) -> Iterator[Parameter]:
        """One layer."""
        width, inner = self.hidden_size, self.intermediate_size
        yield from self.attention()
        yield from self.norm("layernorm_after")
        yield from self.norm("layernorm_before")
        yield from self.linear("intermediate.dense", inner, width)
        yield from self.linear("output.dense", width, inner)

    def trunk(self, *, mask: bool = False) -> Iterator[Parameter]:
        """Embeddings, the last norm, layers."""
        yield from prefixed("embeddings", self.embeddings(mask=mask))
        yield from self.norm("layernorm")
        yield from repeat("encoder.layer", self.num_hidden_layers, self.block())

    def bare(self) -> Iterator[Parameter]:
        """With a pooler."""
        yield from self.trunk()
        rows = self.pooler_output_size or self.hidden_size
        yield from self.linear("pooler.dense", rows, self.hidden_size)

    def images(self) -> Iterator[Parameter]:
        """With a classifier of images."""
        yield from self.linear("classifier", self.num_labels, self.hidden_size)
        yield from prefixed(self.body, self.trunk())

    def masked(self) -> Iterator[Parameter]:
        """With a head that paints what was masked."""
        rows = self.encoder_stride**2 * self.num_channels
        yield from biased("decoder.0", (rows, self.hidden_size, 1, 1), self.matrix)
        yield from prefixed(self.body, self.trunk(mask=True))


class DeiT(ViT):
    """DeiT: a second token learns from a teacher; tokens and positions start as zeros."""

    model_type = "deit"
    stem = "DeiT"
    body = "deit"
    extra_tokens = 2
    heads = {
        "ForImageClassification": "images",
        "Model": "bare",
        "ForImageClassificationWithTeacher": "teacher",
        "ForMaskedImageModeling": "masked",
    }

    @property
    def token(self) -> Scheme:
        """Zeros."""
        return zero()

    def more_tokens(self) -> Iterator[Parameter]:
        """The token that learns from a teacher."""
        yield parameter("distillation_token", (1, 1, self.hidden_size), zero())

    def teacher(self) -> Iterator[Parameter]:
        """With a classifier for each token."""
        yield from self.linear("cls_classifier", self.num_labels, self.hidden_size)
        yield from prefixed(self.body, self.trunk())
        yield from self.linear("distillation_classifier", self.num_labels, self.hidden_size)


class Dinov2(Vision):
    """DINOv2: each half of a block is scaled by learned factors."""

    model_type = "dinov2"
    stem = "Dinov2"
    body = "dinov2"
    inert = words(
        "apply_layernorm drop_path_rate out_features out_indices reshape_hidden_states stage_names"
    )
    heads = {"ForImageClassification": "images", "Model": "bare"}

    patch_size: Sides = 14
    mlp_ratio: Size = 4
    layerscale_value: Annotated[
        float, Field(ge=-1e6, le=1e6, description="What the factors start as.")
    ] = 1.0
    use_swiglu_ffn: Flag = False
    use_mask_token: Flag = True

    @property
    def matrix(self) -> Scheme:
        """Cut, like the tokens."""
        return cut(self.initializer_range)

    @property
    def token(self) -> Scheme:
        """Cut."""
        return cut(self.initializer_range)

    def embeddings(self, *, mask: bool) -> Iterator[Parameter]:
        """With a mask of another shape."""
        for own in super().embeddings(mask=False):
            yield own
            if mask and own.name == "cls_token":
                yield parameter("mask_token", (1, self.hidden_size), zero())

    def block(self) -> Iterator[Parameter]:
        """One layer."""
        width = self.hidden_size
        yield from self.attention()
        factors: Any = scheme("constant", value=self.layerscale_value)
        yield parameter("layer_scale1.lambda1", (width,), factors)
        yield parameter("layer_scale2.lambda1", (width,), factors)
        inner = width * self.mlp_ratio
        if self.use_swiglu_ffn:
            inner = (int(inner * 2 / 3) + 7) // 8 * 8
            yield from self.linear("mlp.weights_out", width, inner)
            yield from self.linear("mlp.weights_in", 2 * inner, width)
        else:
            yield from self.linear("mlp.fc1", inner, width)
            yield from self.linear("mlp.fc2", width, inner)
        yield from self.norm("norm1")
        yield from self.norm("norm2")

    def bare(self) -> Iterator[Parameter]:
        """Without a head."""
        yield from prefixed("embeddings", self.embeddings(mask=self.use_mask_token))
        yield from repeat("encoder.layer", self.num_hidden_layers, self.block())
        yield from self.norm("layernorm")

    def images(self) -> Iterator[Parameter]:
        """With a classifier of images, over the class token and the mean of the others."""
        yield from self.linear("classifier", self.num_labels, 2 * self.hidden_size)
        yield from prefixed(self.body, self.bare())


FAMILIES = (ViT, DeiT, Dinov2)
