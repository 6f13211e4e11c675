"""MaxViT (Tu et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from seedbed.errors import ParameterError
from seedbed.init import Parameter, Size, zero
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import (
    TORCHVISION,
    Classes,
    Depths,
    Modules,
    Pair,
    Sizes,
    batch_norm,
    layer_norm,
    normal,
    truncated,
)
from seedbed.models.vision.windows import position_index

_MODULES = Modules(normal(0.02), zero(), normal(0.02), zero())

Ratio = Annotated[float, Field(gt=0.0, le=1024.0)]


class MaxVit(Architecture):
    """torchvision's `MaxVit`."""

    library = TORCHVISION

    input_size: Pair = Field((224, 224), description="Pixels of the images: rows, columns.")
    stem_channels: Size = Field(description="Channels of the first convolutions.")
    partition_size: Annotated[int, Field(ge=1, le=4096)] = Field(
        description="Rows and columns of a window, and of a grid."
    )
    block_channels: Sizes = Field(description="Channels of each block.")
    block_layers: Depths = Field(description="Layers of each block.")
    head_dim: Size = Field(description="Channels of a head.")
    squeeze_ratio: Ratio = Field(0.25, description="Squeezed channels over a layer's.")
    expansion_ratio: Ratio = Field(4.0, description="Channels within MBConv over a layer's.")
    mlp_ratio: Annotated[int, Field(ge=1, le=1024)] = Field(
        4, description="Width within an MLP over that outside."
    )
    num_classes: Classes = 1000

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        self._check()
        inputs = self.stem_channels
        yield from _MODULES.conv_norm("stem.0", 3, inputs, 3)
        yield from _MODULES.conv2d("stem.1.0", inputs, inputs, 3, bias=True)
        blocks = zip(self.block_channels, self.block_layers, strict=True)
        for block, (outputs, layers) in enumerate(blocks):
            for layer in range(layers):
                name = f"blocks.{block}.layers.{layer}.layers"
                yield from self._convolution(f"{name}.MBconv", inputs, outputs, first=layer == 0)
                yield from self._attention(f"{name}.window_attention", outputs)
                yield from self._attention(f"{name}.grid_attention", outputs)
                inputs = outputs
        yield from layer_norm("classifier.2", inputs)
        yield from _MODULES.fully_connected("classifier.3", inputs, inputs)
        yield from _MODULES.fully_connected("classifier.5", inputs, self.num_classes, bias=False)

    def _convolution(
        self, name: str, inputs: int, outputs: int, *, first: bool
    ) -> Iterator[Parameter]:
        """`MBConv`; the first of a block has a stride of 2, and so a projection."""
        expanded = int(outputs * self.expansion_ratio)
        squeezed = int(outputs * self.squeeze_ratio)
        if first:  # its place 0 pools
            yield from _MODULES.conv2d(f"{name}.proj.1", inputs, outputs, bias=True)
        name = f"{name}.layers"
        yield from batch_norm(f"{name}.pre_norm", inputs)
        yield from _MODULES.conv_norm(f"{name}.conv_a", inputs, expanded)
        yield from _MODULES.conv_norm(f"{name}.conv_b", expanded, expanded, 3, expanded)
        yield from _MODULES.squeeze_excitation(f"{name}.squeeze_excitation", expanded, squeezed)
        yield from _MODULES.conv2d(f"{name}.conv_c", expanded, outputs, bias=True)

    def _attention(self, name: str, width: int) -> Iterator[Parameter]:
        """`PartitionAttentionLayer`: attention in a window or over a grid, then an MLP."""
        size, attention = self.partition_size, f"{name}.attn_layer.1"
        yield from layer_norm(f"{name}.attn_layer.0", width)
        yield Parameter(
            f"{attention}.relative_position_bias_table",
            ((2 * size - 1) ** 2, width // self.head_dim),
            truncated(0.02),
        )
        yield Parameter(
            f"{attention}.relative_position_index",
            (size * size, size * size),
            position_index(size, size),
            dtype="I64",
        )
        yield from _MODULES.fully_connected(f"{attention}.to_qkv", width, 3 * width)
        yield from _MODULES.fully_connected(f"{attention}.merge", width, width)
        yield from layer_norm(f"{name}.mlp_layer.0", width)
        hidden = width * self.mlp_ratio
        yield from _MODULES.fully_connected(f"{name}.mlp_layer.1", width, hidden)
        yield from _MODULES.fully_connected(f"{name}.mlp_layer.3", hidden, width)

    def _check(self) -> None:
        if len(self.block_layers) != len(self.block_channels):
            raise ParameterError(
                f"{len(self.block_channels)} blocks have channels, but {len(self.block_layers)} "
                "have layers",
                ("block_layers",),
            )
        for block, width in enumerate(self.block_channels):
            if int(width * self.expansion_ratio) < 1:
                raise ParameterError(
                    f"of {width} channels, {self.expansion_ratio:g} times as many are none",
                    ("expansion_ratio",),
                )
            if width % self.head_dim:
                raise ParameterError(
                    f"heads of {self.head_dim} do not divide {width} channels",
                    ("block_channels", block),
                )
        sides = [(side - 1) // 2 + 1 for side in self.input_size]
        for _ in self.block_channels:
            sides = [(side - 1) // 2 + 1 for side in sides]
            if any(side % self.partition_size for side in sides):
                raise ParameterError(
                    f"a block sees {sides[0]} × {sides[1]} pixels, which windows of "
                    f"{self.partition_size} do not divide",
                    ("input_size",),
                )


PRESETS = (
    Preset(
        "maxvit_t",
        "MaxViT, tiny (Tu et al. 2022)",
        MaxVit,
        {
            "stem_channels": 64,
            "partition_size": 7,
            "block_channels": (64, 128, 256, 512),
            "block_layers": (2, 2, 5, 2),
            "head_dim": 32,
        },
    ),
    Preset(
        "tiny-maxvit",
        "A small MaxViT for tests: two blocks of a layer, 16 and 32 channels, ten classes",
        MaxVit,
        {
            "input_size": (32, 32),
            "stem_channels": 8,
            "partition_size": 4,
            "block_channels": (16, 32),
            "block_layers": (1, 1),
            "head_dim": 8,
            "num_classes": 10,
        },
    ),
)
