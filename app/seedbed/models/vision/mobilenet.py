"""MobileNet v2 (Sandler et al. 2018), v3 (Howard et al. 2019) and MNASNet (Tan et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from seedbed.init import Parameter, scheme, zero
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import (
    KAIMING_FAN_OUT,
    TORCHVISION,
    Classes,
    Depth,
    Modules,
    batch_norm,
    make_divisible,
    normal,
)

_MODULES = Modules(KAIMING_FAN_OUT, zero(), normal(0.01), zero())

WidthMult = Annotated[float, Field(gt=0.0, le=1024.0)]

Setting = Annotated[
    tuple[
        Annotated[int, Field(ge=1, le=1024)], Annotated[int, Field(ge=1, le=2**32)], Depth, Depth
    ],
    Field(strict=False),
]
"""A stage of MobileNet v2: expansion, channels, blocks, stride."""


class MobileNetV2(Architecture):
    """torchvision's `MobileNetV2`."""

    library = TORCHVISION

    num_classes: Classes = 1000
    width_mult: WidthMult = Field(1.0, description="Multiplies the channels.")
    inverted_residual_setting: Annotated[
        tuple[Setting, ...], Field(strict=False, min_length=1, max_length=64)
    ] = Field(
        (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ),
        description="Of each stage: expansion, channels, blocks, stride.",
    )
    round_nearest: Annotated[int, Field(ge=1, le=2**32)] = Field(
        8, description="Channels are multiples of this."
    )

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        inputs = self._channels(32, self.width_mult)
        last = self._channels(1280, max(1.0, self.width_mult))
        yield from _MODULES.conv_norm("features.0", 3, inputs, 3)
        index = 1
        for expansion, channels, blocks, _ in self.inverted_residual_setting:
            outputs = self._channels(channels, self.width_mult)
            for _ in range(blocks):
                name = f"features.{index}.conv"
                yield from _inverted_residual(name, inputs, outputs, expansion)
                inputs, index = outputs, index + 1
        yield from _MODULES.conv_norm(f"features.{index}", inputs, last)
        yield from _MODULES.fully_connected("classifier.1", last, self.num_classes)

    def _channels(self, channels: int, times: float) -> int:
        return make_divisible(channels * times, self.round_nearest)


def _inverted_residual(name: str, inputs: int, outputs: int, expansion: int) -> Iterator[Parameter]:
    hidden, index = inputs * expansion, 0
    if expansion != 1:
        yield from _MODULES.conv_norm(f"{name}.0", inputs, hidden)
        index = 1
    yield from _MODULES.conv_norm(f"{name}.{index}", hidden, hidden, 3, hidden)
    yield from _MODULES.conv2d(f"{name}.{index + 1}", hidden, outputs)
    yield from batch_norm(f"{name}.{index + 2}", outputs)


Row = tuple[int, int, int, int, bool]
"""A block of MobileNet v3: channels in, kernel, expanded, out, and whether it is gated."""

_LARGE: tuple[Row, ...] = (
    (16, 3, 16, 16, False),
    (16, 3, 64, 24, False),
    (24, 3, 72, 24, False),
    (24, 5, 72, 40, True),
    (40, 5, 120, 40, True),
    (40, 5, 120, 40, True),
    (40, 3, 240, 80, False),
    (80, 3, 200, 80, False),
    (80, 3, 184, 80, False),
    (80, 3, 184, 80, False),
    (80, 3, 480, 112, True),
    (112, 3, 672, 112, True),
    (112, 5, 672, 160, True),
    (160, 5, 960, 160, True),
    (160, 5, 960, 160, True),
)
_SMALL: tuple[Row, ...] = (
    (16, 3, 16, 16, True),
    (16, 3, 72, 24, False),
    (24, 3, 88, 24, False),
    (24, 5, 96, 40, True),
    (40, 5, 240, 40, True),
    (40, 5, 240, 40, True),
    (40, 5, 120, 48, True),
    (48, 5, 144, 48, True),
    (48, 5, 288, 96, True),
    (96, 5, 576, 96, True),
    (96, 5, 576, 96, True),
)


class MobileNetV3(Architecture):
    """torchvision's `MobileNetV3`."""

    library = TORCHVISION

    arch: Literal["large", "small"] = Field(description="Which of the paper's two.")
    num_classes: Classes = 1000
    width_mult: WidthMult = Field(1.0, description="Multiplies the channels.")
    reduced_tail: bool = Field(
        default=False, description="Whether the last stage has half the channels, as for detection."
    )

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        rows = self._rows()
        outputs = first = self._adjust(rows[0][0])
        yield from _MODULES.conv_norm("features.0", 3, first, 3)
        for index, (inputs, size, expanded, channels, gated) in enumerate(rows, start=1):
            outputs = self._adjust(channels)
            yield from _gated_residual(
                f"features.{index}.block",
                self._adjust(inputs),
                self._adjust(expanded),
                outputs,
                size,
                gated=gated,
            )
        yield from _MODULES.conv_norm(f"features.{len(rows) + 1}", outputs, 6 * outputs)
        hidden = self._adjust((1280 if self.arch == "large" else 1024) // self._divider)
        yield from _MODULES.fully_connected("classifier.0", 6 * outputs, hidden)
        yield from _MODULES.fully_connected("classifier.3", hidden, self.num_classes)

    @property
    def _divider(self) -> int:
        return 2 if self.reduced_tail else 1

    def _rows(self) -> tuple[Row, ...]:
        """The blocks; of the last three all but the first's inputs are divided."""
        *rows, third, second, last = _LARGE if self.arch == "large" else _SMALL
        by = self._divider
        inputs, size, expanded, channels, gated = third
        tail: list[Row] = [(inputs, size, expanded, channels // by, gated)]
        for inputs, size, expanded, channels, gated in (second, last):
            tail.append((inputs // by, size, expanded // by, channels // by, gated))
        return (*rows, *tail)

    def _adjust(self, channels: int) -> int:
        return make_divisible(channels * self.width_mult)


def _gated_residual(
    name: str, inputs: int, expanded: int, outputs: int, size: int, *, gated: bool
) -> Iterator[Parameter]:
    index = 0
    if expanded != inputs:
        yield from _MODULES.conv_norm(f"{name}.0", inputs, expanded)
        index = 1
    yield from _MODULES.conv_norm(f"{name}.{index}", expanded, expanded, size, expanded)
    if gated:
        index += 1
        squeezed = make_divisible(expanded // 4)
        yield from _MODULES.squeeze_excitation(f"{name}.{index}", expanded, squeezed)
    yield from _MODULES.conv_norm(f"{name}.{index + 1}", expanded, outputs)


_MNASNET = Modules(
    KAIMING_FAN_OUT,
    linear=scheme("he_uniform", mode="fan_out", nonlinearity="sigmoid"),
    linear_bias=zero(),
)

_STACKS = ((3, 3, 3), (5, 3, 3), (5, 6, 3), (3, 6, 2), (5, 6, 4), (3, 6, 1))
"""Of MNASNet: kernel, expansion, blocks."""


class MNASNet(Architecture):
    """torchvision's `MNASNet`, B1."""

    library = TORCHVISION

    alpha: WidthMult = Field(description="Multiplies the channels, but for the last 1280.")
    num_classes: Classes = 1000

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        first, inputs, *widths = (
            make_divisible(width * self.alpha) for width in (32, 16, 24, 40, 80, 96, 192, 320)
        )
        yield from _mnas_conv("layers", 0, 3, first, 3)
        yield from _mnas_conv("layers", 3, first, first, 3, first)
        yield from _mnas_conv("layers", 6, first, inputs)
        for stack, (outputs, row) in enumerate(zip(widths, _STACKS, strict=True), start=8):
            size, expansion, blocks = row
            for block in range(blocks):
                name, hidden = f"layers.{stack}.{block}.layers", inputs * expansion
                yield from _mnas_conv(name, 0, inputs, hidden)
                yield from _mnas_conv(name, 3, hidden, hidden, size, hidden)
                yield from _mnas_conv(name, 6, hidden, outputs)
                inputs = outputs
        yield from _mnas_conv("layers", 14, inputs, 1280)
        yield from _MNASNET.fully_connected("classifier.1", 1280, self.num_classes)


def _mnas_conv(name: str, index: int, *sizes: int) -> Iterator[Parameter]:
    """A convolution at an index, and its normalisation at the next."""
    yield from _MNASNET.conv2d(f"{name}.{index}", *sizes)
    yield from batch_norm(f"{name}.{index + 1}", sizes[1])


PRESETS = (
    Preset("mobilenet_v2", "MobileNet v2 (Sandler et al. 2018)", MobileNetV2),
    *(
        Preset(
            f"mobilenet_v3_{arch}",
            f"MobileNet v3, {arch} (Howard et al. 2019)",
            MobileNetV3,
            {"arch": arch},
        )
        for arch in ("large", "small")
    ),
    *(
        Preset(
            f"mnasnet{str(alpha).replace('.', '_')}",
            f"MNASNet B1, {alpha} times as wide (Tan et al. 2018)",
            MNASNet,
            {"alpha": alpha},
        )
        for alpha in (0.5, 0.75, 1.0, 1.3)
    ),
    Preset(
        "tiny-mobilenet_v2",
        "A small MobileNet v2 for tests: a tenth as wide, ten classes",
        MobileNetV2,
        {"width_mult": 0.1, "num_classes": 10},
    ),
    Preset(
        "tiny-mobilenet_v3",
        "A small MobileNet v3 for tests: a tenth as wide, ten classes",
        MobileNetV3,
        {"arch": "small", "width_mult": 0.1, "num_classes": 10},
    ),
)
