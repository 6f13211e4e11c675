"""Vision transformers (Dosovitskiy et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from seedbed.errors import ParameterError
from seedbed.init import Parameter, Scheme, Size, scheme, zero
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import (
    DEFAULT,
    TORCHVISION,
    Classes,
    Depth,
    Modules,
    layer_norm,
    normal,
    truncated,
)

_MLP = Modules(linear=scheme("glorot_uniform"), linear_bias=normal(1e-6))
_HEAD = Modules(linear=zero(), linear_bias=zero())


class ConvStem(BaseModel):
    """A convolution of the stem, with its normalisation."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    out_channels: Size = Field(description="Channels.")
    kernel_size: Size = Field(description="Of the kernel, on both axes.")
    stride: Size = Field(description="Of the kernel; no weight depends on it.")


class VisionTransformer(Architecture):
    """torchvision's `VisionTransformer`; its head starts at zero."""

    library = TORCHVISION

    image_size: Size = Field(224, description="Pixels of a side; a multiple of patch_size.")
    patch_size: Size = Field(description="Pixels of a patch's side.")
    num_layers: Depth = Field(description="Encoder blocks.")
    num_heads: Size = Field(description="Heads; they share hidden_dim.")
    hidden_dim: Size = Field(description="Width.")
    mlp_dim: Size = Field(description="Width within the MLP of a block.")
    num_classes: Classes = 1000
    representation_size: Size | None = Field(
        None, description="Width of a tanh layer before the head; null for none."
    )
    conv_stem_configs: (
        Annotated[tuple[ConvStem, ...], Field(strict=False, max_length=64)] | None
    ) = Field(None, description="Convolutions in place of patches (Xiao et al. 2021).")

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        self._check()
        hidden = self.hidden_dim
        yield Parameter("class_token", (1, 1, hidden), zero())
        yield from self._projection()
        tokens = (self.image_size // self.patch_size) ** 2 + 1
        yield Parameter("encoder.pos_embedding", (1, tokens, hidden), normal(0.02))
        for layer in range(self.num_layers):
            name = f"encoder.layers.encoder_layer_{layer}"
            yield from layer_norm(f"{name}.ln_1", hidden)
            yield from _attention(f"{name}.self_attention", hidden)
            yield from layer_norm(f"{name}.ln_2", hidden)
            yield from _MLP.fully_connected(f"{name}.mlp.0", hidden, self.mlp_dim)
            yield from _MLP.fully_connected(f"{name}.mlp.3", self.mlp_dim, hidden)
        yield from layer_norm("encoder.ln", hidden)
        width = hidden
        if self.representation_size is not None:
            modules = Modules(linear=_by_root(width), linear_bias=zero())
            yield from modules.fully_connected("heads.pre_logits", width, self.representation_size)
            width = self.representation_size
        yield from _HEAD.fully_connected("heads.head", width, self.num_classes)

    def _projection(self) -> Iterator[Parameter]:
        """Of patches, or of what a stem of convolutions leaves of them."""
        hidden, size = self.hidden_dim, self.patch_size
        if self.conv_stem_configs is None:
            modules = Modules(_by_root(3 * size * size), zero())
            yield from modules.conv2d("conv_proj", 3, hidden, size, bias=True)
            return
        inputs = 3
        for index, stem in enumerate(self.conv_stem_configs):
            name = f"conv_proj.conv_bn_relu_{index}"
            yield from Modules().conv_norm(name, inputs, stem.out_channels, stem.kernel_size)
            inputs = stem.out_channels
        last = Modules(normal(math.sqrt(2.0 / hidden)), zero())
        yield from last.conv2d("conv_proj.conv_last", inputs, hidden, bias=True)

    def _check(self) -> None:
        if self.image_size % self.patch_size:
            raise ParameterError(
                f"image_size {self.image_size} is no multiple of patch_size {self.patch_size}",
                ("image_size",),
            )
        if self.hidden_dim % self.num_heads:
            raise ParameterError(
                f"num_heads {self.num_heads} must divide hidden_dim {self.hidden_dim}",
                ("num_heads",),
            )


def _by_root(fan_in: int) -> Scheme:
    return truncated(math.sqrt(1.0 / fan_in))


def _attention(name: str, width: int) -> Iterator[Parameter]:
    """`MultiheadAttention`: its own initialisation sees query, key and value as one matrix."""
    yield Parameter(f"{name}.in_proj_weight", (3 * width, width), scheme("glorot_uniform"))
    yield Parameter(f"{name}.in_proj_bias", (3 * width,), zero())
    yield Parameter(f"{name}.out_proj.weight", (width, width), DEFAULT)
    yield Parameter(f"{name}.out_proj.bias", (width,), zero())


def _preset(size: str, patch: int, layers: int, heads: int, width: int) -> Preset:
    return Preset(
        f"vit_{size}_{patch}",
        f"ViT-{size.upper()}/{patch} (Dosovitskiy et al. 2020)",
        VisionTransformer,
        {
            "patch_size": patch,
            "num_layers": layers,
            "num_heads": heads,
            "hidden_dim": width,
            "mlp_dim": 4 * width,
        },
    )


PRESETS = (
    _preset("b", 16, 12, 12, 768),
    _preset("b", 32, 12, 12, 768),
    _preset("l", 16, 24, 16, 1024),
    _preset("l", 32, 24, 16, 1024),
    _preset("h", 14, 32, 16, 1280),
    Preset(
        "tiny-vit_b",
        "A small ViT for tests: two blocks of 64, patches of 8 in images of 32, ten classes",
        VisionTransformer,
        {
            "image_size": 32,
            "patch_size": 8,
            "num_layers": 2,
            "num_heads": 4,
            "hidden_dim": 64,
            "mlp_dim": 128,
            "num_classes": 10,
        },
    ),
)
