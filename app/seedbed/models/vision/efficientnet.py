"""EfficientNet (Tan, Le 2019) and EfficientNet v2 (Tan, Le 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from seedbed.init import Parameter, Size, zero
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import (
    KAIMING_FAN_OUT,
    TORCHVISION,
    Classes,
    Modules,
    make_divisible,
    within_root,
)

Row = tuple[bool, int, int, int, int, int]
"""A stage: whether it is fused, expansion, kernel, channels in and out, blocks."""

_B: tuple[Row, ...] = (
    (False, 1, 3, 32, 16, 1),
    (False, 6, 3, 16, 24, 2),
    (False, 6, 5, 24, 40, 2),
    (False, 6, 3, 40, 80, 3),
    (False, 6, 5, 80, 112, 3),
    (False, 6, 5, 112, 192, 4),
    (False, 6, 3, 192, 320, 1),
)
_STAGES: dict[str, tuple[Row, ...]] = {
    "efficientnet": _B,
    "efficientnet_v2_s": (
        (True, 1, 3, 24, 24, 2),
        (True, 4, 3, 24, 48, 4),
        (True, 4, 3, 48, 64, 4),
        (False, 4, 3, 64, 128, 6),
        (False, 6, 3, 128, 160, 9),
        (False, 6, 3, 160, 256, 15),
    ),
    "efficientnet_v2_m": (
        (True, 1, 3, 24, 24, 3),
        (True, 4, 3, 24, 48, 5),
        (True, 4, 3, 48, 80, 5),
        (False, 4, 3, 80, 160, 7),
        (False, 6, 3, 160, 176, 14),
        (False, 6, 3, 176, 304, 18),
        (False, 6, 3, 304, 512, 5),
    ),
    "efficientnet_v2_l": (
        (True, 1, 3, 32, 32, 4),
        (True, 4, 3, 32, 64, 7),
        (True, 4, 3, 64, 96, 7),
        (False, 4, 3, 96, 192, 10),
        (False, 6, 3, 192, 224, 19),
        (False, 6, 3, 224, 384, 25),
        (False, 6, 3, 384, 640, 7),
    ),
}

Times = Annotated[float, Field(gt=0.0, le=1024.0)]


class EfficientNet(Architecture):
    """torchvision's `EfficientNet`; fused stages are as they are, the others scale."""

    library = TORCHVISION

    arch: Literal["efficientnet", "efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l"] = (
        Field("efficientnet", description="Which table of stages.")
    )
    width_mult: Times = Field(1.0, description="Multiplies channels, but of fused stages.")
    depth_mult: Times = Field(1.0, description="Multiplies blocks, but of fused stages.")
    num_classes: Classes = 1000
    last_channel: Size | None = Field(
        None, description="Channels of the last convolution; null for 4 times the last stage's."
    )

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        modules = Modules(KAIMING_FAN_OUT, zero(), within_root(self.num_classes), zero())
        stages = tuple(map(self._scaled, _STAGES[self.arch]))
        yield from modules.conv_norm("features.0", 3, stages[0][3], 3)
        for stage, (fused, expansion, size, first, outputs, blocks) in enumerate(stages, 1):
            inputs = first
            for block in range(blocks):
                name = f"features.{stage}.{block}.block"
                kind = _fused if fused else _inverted
                yield from kind(modules, name, inputs, outputs, expansion, size)
                inputs = outputs
        last = self.last_channel or 4 * stages[-1][4]
        yield from modules.conv_norm(f"features.{len(stages) + 1}", stages[-1][4], last)
        yield from modules.fully_connected("classifier.1", last, self.num_classes)

    def _scaled(self, row: Row) -> Row:
        fused, expansion, size, inputs, outputs, blocks = row
        if fused:
            return row
        return (
            fused,
            expansion,
            size,
            make_divisible(inputs * self.width_mult),
            make_divisible(outputs * self.width_mult),
            math.ceil(blocks * self.depth_mult),
        )


def _inverted(
    modules: Modules, name: str, inputs: int, outputs: int, expansion: int, size: int
) -> Iterator[Parameter]:
    """`MBConv`: expand, one kernel a channel, gate, and project."""
    expanded, index = make_divisible(inputs * expansion), 0
    if expanded != inputs:
        yield from modules.conv_norm(f"{name}.0", inputs, expanded)
        index = 1
    yield from modules.conv_norm(f"{name}.{index}", expanded, expanded, size, expanded)
    squeezed = max(1, inputs // 4)
    yield from modules.squeeze_excitation(f"{name}.{index + 1}", expanded, squeezed)
    yield from modules.conv_norm(f"{name}.{index + 2}", expanded, outputs)


def _fused(
    modules: Modules, name: str, inputs: int, outputs: int, expansion: int, size: int
) -> Iterator[Parameter]:
    """`FusedMBConv`: expand with a full kernel, and project."""
    expanded = make_divisible(inputs * expansion)
    if expanded == inputs:
        yield from modules.conv_norm(f"{name}.0", inputs, outputs, size)
        return
    yield from modules.conv_norm(f"{name}.0", inputs, expanded, size)
    yield from modules.conv_norm(f"{name}.1", expanded, outputs)


PRESETS = (
    *(
        Preset(
            f"efficientnet_b{index}",
            f"EfficientNet-B{index} (Tan, Le 2019)",
            EfficientNet,
            {"width_mult": width, "depth_mult": depth},
        )
        for index, (width, depth) in enumerate(
            (
                (1.0, 1.0),
                (1.0, 1.1),
                (1.1, 1.2),
                (1.2, 1.4),
                (1.4, 1.8),
                (1.6, 2.2),
                (1.8, 2.6),
                (2.0, 3.1),
            )
        )
    ),
    *(
        Preset(
            f"efficientnet_v2_{size}",
            f"EfficientNet v2, {size.upper()} (Tan, Le 2021)",
            EfficientNet,
            {"arch": f"efficientnet_v2_{size}", "last_channel": 1280},
        )
        for size in "sml"
    ),
    Preset(
        "tiny-efficientnet",
        "A small EfficientNet for tests: a quarter as wide and deep, ten classes",
        EfficientNet,
        {"width_mult": 0.25, "depth_mult": 0.25, "num_classes": 10},
    ),
)
