"""RegNet X and Y (Radosavovic et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Annotated

from pydantic import Field

from seedbed.errors import ParameterError
from seedbed.init import Parameter, zero
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import (
    KAIMING_FAN_OUT,
    TORCHVISION,
    Classes,
    Modules,
    make_divisible,
    normal,
)

_MODULES = Modules(KAIMING_FAN_OUT, linear=normal(0.01), linear_bias=zero())
"""Of convolutions only those of the gates have biases, and these keep torch's own."""

_QUANTUM = 8

Width = Annotated[int, Field(ge=1, le=2**20)]


class RegNet(Architecture):
    """torchvision's `RegNet`, by the arguments of `BlockParams.from_init_params`."""

    library = TORCHVISION

    depth: Annotated[int, Field(ge=1, le=1024)] = Field(description="Blocks.")
    w_0: Annotated[int, Field(ge=8, le=2**20, multiple_of=_QUANTUM)] = Field(
        description="Width of the first block, a multiple of 8."
    )
    w_a: Annotated[float, Field(ge=0.0, le=2.0**20)] = Field(
        description="By how much each block is wider, before rounding."
    )
    w_m: Annotated[float, Field(ge=1.0078125, le=1024.0)] = Field(
        description="Widths are rounded to the first one times powers of this."
    )
    group_width: Width = Field(description="Channels of a group.")
    bottleneck_multiplier: Annotated[float, Field(ge=0.125, le=64.0)] = Field(
        1.0, description="Width within a block over that outside."
    )
    se_ratio: Annotated[float, Field(ge=0.0, le=64.0)] | None = Field(
        None, description="Squeezed width over the width of a block's inputs; null for no gates."
    )
    stem_width: Width = Field(32, description="Channels of the first convolution.")
    num_classes: Classes = 1000

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        inputs = self.stem_width
        yield from _MODULES.conv_norm("stem", 3, inputs, 3)
        for stage, (outputs, depth, group) in enumerate(self._stages(), start=1):
            for block in range(depth):
                name = f"trunk_output.block{stage}.block{stage}-{block}"
                if block == 0:  # always at a stride of 2
                    yield from _MODULES.conv_norm(f"{name}.proj", inputs, outputs)
                width = round(outputs * self.bottleneck_multiplier)
                if width % (width // group):
                    raise ParameterError(
                        f"groups of {group} channels do not divide a block of {width}",
                        ("group_width",),
                    )
                yield from _MODULES.conv_norm(f"{name}.f.a", inputs, width)
                yield from _MODULES.conv_norm(f"{name}.f.b", width, width, 3, width // group)
                if self.se_ratio:
                    squeezed = round(self.se_ratio * inputs)
                    if squeezed < 1:
                        raise ParameterError(
                            f"of {inputs} channels, {self.se_ratio:g} times as many are none",
                            ("se_ratio",),
                        )
                    yield from _MODULES.squeeze_excitation(f"{name}.f.se", width, squeezed)
                yield from _MODULES.conv_norm(f"{name}.f.c", width, outputs)
                inputs = outputs
        yield from _MODULES.fully_connected("fc", inputs, self.num_classes)

    def _stages(self) -> Iterator[tuple[int, int, int]]:
        """Width, depth and group width of each stage: runs of blocks that are alike."""
        times = self.bottleneck_multiplier
        for width, run in groupby(self._widths()):
            bottleneck = int(width * times)
            group = min(self.group_width, bottleneck)
            yield int(make_divisible(bottleneck, group) / times), len(list(run)), group

    def _widths(self) -> Iterator[int]:
        """w_0 + i·w_a, rounded to w_0 times a power of w_m, and that to a multiple of 8.

        The power is the nearest by its logarithm: the square of the ratio lies within those half a
        step around. So said, it takes products alone, which are the same on every machine.
        """
        power = 1.0
        for index in range(self.depth):
            ratio = (self.w_0 + index * self.w_a) / self.w_0
            while ratio * ratio > power * power * self.w_m:
                power *= self.w_m
            yield round(self.w_0 * power / _QUANTUM) * _QUANTUM


def _preset(kind: str, size: str, *numbers: float, se_ratio: float | None = None) -> Preset:
    names = ("depth", "w_0", "w_a", "w_m", "group_width")
    flops = size.replace("_", ".").replace("gf", " GF").replace("mf", " MF")
    return Preset(
        f"regnet_{kind}_{size}",
        f"RegNet {kind.upper()}, {flops} (Radosavovic et al. 2020)",
        RegNet,
        {**dict(zip(names, numbers, strict=True)), "se_ratio": se_ratio},
    )


PRESETS = (
    *(
        _preset("y", size, *numbers, se_ratio=0.25)
        for size, *numbers in (
            ("400mf", 16, 48, 27.89, 2.09, 8),
            ("800mf", 14, 56, 38.84, 2.4, 16),
            ("1_6gf", 27, 48, 20.71, 2.65, 24),
            ("3_2gf", 21, 80, 42.63, 2.66, 24),
            ("8gf", 17, 192, 76.82, 2.19, 56),
            ("16gf", 18, 200, 106.23, 2.48, 112),
            ("32gf", 20, 232, 115.89, 2.53, 232),
            ("128gf", 27, 456, 160.83, 2.52, 264),
        )
    ),
    *(
        _preset("x", size, *numbers)
        for size, *numbers in (
            ("400mf", 22, 24, 24.48, 2.54, 16),
            ("800mf", 16, 56, 35.73, 2.28, 16),
            ("1_6gf", 18, 80, 34.01, 2.25, 24),
            ("3_2gf", 25, 88, 26.31, 2.25, 48),
            ("8gf", 23, 80, 49.56, 2.88, 120),
            ("16gf", 22, 216, 55.59, 2.1, 128),
            ("32gf", 23, 320, 69.86, 2.0, 168),
        )
    ),
    Preset(
        "tiny-regnet",
        "A small RegNet Y for tests: six blocks, 8 to 64 channels, ten classes",
        RegNet,
        {
            "depth": 6,
            "w_0": 8,
            "w_a": 8.0,
            "w_m": 2.0,
            "group_width": 8,
            "se_ratio": 0.25,
            "stem_width": 8,
            "num_classes": 10,
        },
    ),
)
