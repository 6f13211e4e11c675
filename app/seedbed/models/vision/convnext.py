"""ConvNeXt (Liu et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from seedbed.errors import ParameterError
from seedbed.init import Parameter, Size, scheme, zero
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import (
    TORCHVISION,
    Classes,
    Depth,
    Modules,
    layer_norm,
    truncated,
)

_MODULES = Modules(truncated(0.02), zero(), truncated(0.02), zero())

Stage = Annotated[tuple[Size, Size | None, Depth], Field(strict=False)]


class ConvNeXt(Architecture):
    """torchvision's `ConvNeXt`."""

    library = TORCHVISION

    block_setting: Annotated[
        tuple[Stage, ...], Field(strict=False, min_length=1, max_length=64)
    ] = Field(
        description="Of each stage: channels, those of the next (null for none), and blocks; as "
        "input_channels, out_channels and num_layers of CNBlockConfig."
    )
    layer_scale: float = Field(1e-6, description="Of every block's outputs, at first.")
    num_classes: Classes = 1000

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        self._check()
        scale = scheme("constant", value=self.layer_scale)
        width = self.block_setting[0][0]
        yield from _MODULES.conv2d("features.0.0", 3, width, 4, bias=True)
        yield from layer_norm("features.0.1", width)
        index = 1
        for inputs, following, blocks in self.block_setting:
            width = inputs
            for block in range(blocks):
                name = f"features.{index}.{block}"
                yield Parameter(f"{name}.layer_scale", (width, 1, 1), scale)
                yield from _MODULES.conv2d(f"{name}.block.0", width, width, 7, width, bias=True)
                yield from layer_norm(f"{name}.block.2", width)
                yield from _MODULES.fully_connected(f"{name}.block.3", width, 4 * width)
                yield from _MODULES.fully_connected(f"{name}.block.5", 4 * width, width)
            index += 1
            if following is not None:
                yield from layer_norm(f"features.{index}.0", width)
                name = f"features.{index}.1"
                yield from _MODULES.conv2d(name, width, following, 2, bias=True)
                width, index = following, index + 1
        yield from layer_norm("classifier.0", width)
        yield from _MODULES.fully_connected("classifier.2", width, self.num_classes)

    def _check(self) -> None:
        """A stage has what the one before leaves it."""
        left = self.block_setting[0][0]
        for index, (width, following, _) in enumerate(self.block_setting):
            if width != left:
                raise ParameterError(
                    f"this stage has {width} channels, but gets {left}",
                    ("block_setting", index, 0),
                    (str(left),),
                )
            left = following or width


def _stages(width: int, depths: tuple[int, ...]) -> list[tuple[int, int | None, int]]:
    last = len(depths) - 1
    return [
        (width << stage, width << stage + 1 if stage < last else None, depth)
        for stage, depth in enumerate(depths)
    ]


PRESETS = (
    *(
        Preset(
            f"convnext_{size}",
            f"ConvNeXt, {size} (Liu et al. 2022)",
            ConvNeXt,
            {"block_setting": _stages(width, (3, 3, depth, 3))},
        )
        for size, width, depth in (
            ("tiny", 96, 9),
            ("small", 96, 27),
            ("base", 128, 27),
            ("large", 192, 27),
        )
    ),
    Preset(
        "tiny-convnext",
        "A small ConvNeXt for tests: 8 to 64 channels, a block each, ten classes",
        ConvNeXt,
        {"block_setting": _stages(8, (1, 1, 1, 1)), "num_classes": 10},
    ),
)
