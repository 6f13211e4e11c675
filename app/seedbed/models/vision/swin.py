"""Swin transformers (Liu et al. 2021) and their second version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from seedbed.errors import ParameterError
from seedbed.init import Parameter, Size, scheme, zero
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import (
    TORCHVISION,
    Classes,
    Depths,
    Modules,
    Pair,
    Sizes,
    layer_norm,
    truncated,
)
from seedbed.models.vision.windows import coords_table, position_index

_MODULES = Modules(linear=truncated(0.02), linear_bias=zero())
"""The MLPs' own Xavier weights do not last: the network goes over all linear layers after."""

LOG_10 = 2.302585124969482
"""ln 10 as float32: torch computes it in that precision."""

_CPB_WIDTH = 512


class SwinTransformer(Architecture):
    """torchvision's `SwinTransformer`."""

    library = TORCHVISION

    patch_size: Pair = Field((4, 4), description="Pixels of a patch: rows, columns.")
    embed_dim: Annotated[Size, Field(le=2**32)] = Field(
        description="Width of the first stage; each that follows is twice as wide."
    )
    depths: Depths = Field(description="Blocks of each stage.")
    num_heads: Sizes = Field(description="Heads of each stage.")
    window_size: Annotated[
        tuple[Annotated[int, Field(ge=1, le=4096)], Annotated[int, Field(ge=1, le=4096)]],
        Field(strict=False),
    ] = Field(description="Patches of a window: rows, columns.")
    mlp_ratio: Annotated[float, Field(gt=0.0, le=1024.0)] = Field(
        4.0, description="Width within an MLP over that outside."
    )
    num_classes: Classes = 1000
    block: Literal["SwinTransformerBlock", "SwinTransformerBlockV2"] = Field(
        "SwinTransformerBlock", description="Kind of block; with V2, patches merge as there."
    )

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        self._check()
        width = self.embed_dim
        yield from _MODULES.conv2d("features.0.0", 3, width, self.patch_size, bias=True)
        yield from layer_norm("features.0.2", width)
        stages = tuple(zip(self.depths, self.num_heads, strict=True))
        for stage, (depth, heads) in enumerate(stages):
            for block in range(depth):
                yield from self._block(f"features.{2 * stage + 1}.{block}", width, heads)
            if stage < len(stages) - 1:
                name = f"features.{2 * stage + 2}"
                yield from _MODULES.fully_connected(
                    f"{name}.reduction", 4 * width, 2 * width, bias=False
                )
                yield from layer_norm(f"{name}.norm", (2 if self._second else 4) * width)
                width *= 2
        yield from layer_norm("norm", width)
        yield from _MODULES.fully_connected("head", width, self.num_classes)

    @property
    def _second(self) -> bool:
        return self.block == "SwinTransformerBlockV2"

    def _block(self, name: str, width: int, heads: int) -> Iterator[Parameter]:
        hidden = int(width * self.mlp_ratio)
        yield from layer_norm(f"{name}.norm1", width)
        yield from self._attention(f"{name}.attn", width, heads)
        yield from layer_norm(f"{name}.norm2", width)
        yield from _MODULES.fully_connected(f"{name}.mlp.0", width, hidden)
        yield from _MODULES.fully_connected(f"{name}.mlp.3", hidden, width)

    def _attention(self, name: str, width: int, heads: int) -> Iterator[Parameter]:
        """A module's own parameters first, then its buffers, then its children."""
        height, across = self.window_size
        rows, columns = 2 * height - 1, 2 * across - 1
        index = Parameter(
            f"{name}.relative_position_index",
            ((height * across) ** 2,),
            position_index(height, across),
            dtype="I64",
        )
        if self._second:
            yield Parameter(f"{name}.logit_scale", (heads, 1, 1), scheme("constant", value=LOG_10))
            yield Parameter(
                f"{name}.relative_coords_table",
                (1, rows, columns, 2),
                coords_table(),
            )
        else:
            table = truncated(0.02)
            yield Parameter(f"{name}.relative_position_bias_table", (rows * columns, heads), table)
        yield index
        yield from _MODULES.fully_connected(f"{name}.qkv", width, 3 * width)
        yield from _MODULES.fully_connected(f"{name}.proj", width, width)
        if self._second:
            yield from _MODULES.fully_connected(f"{name}.cpb_mlp.0", 2, _CPB_WIDTH)
            yield from _MODULES.fully_connected(f"{name}.cpb_mlp.2", _CPB_WIDTH, heads, bias=False)

    def _check(self) -> None:
        if len(self.num_heads) != len(self.depths):
            raise ParameterError(
                f"{len(self.depths)} stages have depths, but {len(self.num_heads)} have heads",
                ("num_heads",),
            )
        for stage, heads in enumerate(self.num_heads):
            width = self.embed_dim << stage
            if width % heads:
                raise ParameterError(
                    f"{heads} heads do not divide the width {width} of stage {stage}",
                    ("num_heads", stage),
                )
        if self._second and min(self.window_size) < 2:
            raise ParameterError(
                "a window of version 2 has at least 2 patches on both axes: torchvision divides by "
                "one less",
                ("window_size",),
            )


def _preset(name: str, summary: str, width: int, depth: int, heads: int, *, second: bool) -> Preset:
    return Preset(
        name,
        summary,
        SwinTransformer,
        {
            "embed_dim": width,
            "depths": (2, 2, depth, 2),
            "num_heads": (heads, 2 * heads, 4 * heads, 8 * heads),
            "window_size": (8, 8) if second else (7, 7),
            **({"block": "SwinTransformerBlockV2"} if second else {}),
        },
    )


_SIZES = {"t": (96, 6, 3), "s": (96, 18, 3), "b": (128, 18, 4)}
_NAMES = {"t": "tiny", "s": "small", "b": "base"}

_TINY = {
    "patch_size": (2, 2),
    "embed_dim": 16,
    "depths": (1, 1, 1),
    "num_heads": (1, 2, 4),
    "window_size": (4, 4),
    "num_classes": 10,
}

PRESETS = (
    *(
        _preset(f"swin_{size}", f"Swin, {_NAMES[size]} (Liu et al. 2021)", *sizes, second=False)
        for size, sizes in _SIZES.items()
    ),
    *(
        _preset(
            f"swin_v2_{size}", f"Swin V2, {_NAMES[size]} (Liu et al. 2021)", *sizes, second=True
        )
        for size, sizes in _SIZES.items()
    ),
    Preset(
        "tiny-swin", "A small Swin for tests: 16 to 64 wide, ten classes", SwinTransformer, _TINY
    ),
    Preset(
        "tiny-swin_v2",
        "A small Swin V2 for tests: 16 to 64 wide, ten classes",
        SwinTransformer,
        {**_TINY, "block": "SwinTransformerBlockV2"},
    ),
)
