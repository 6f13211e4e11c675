"""ShuffleNet v2 (Ma et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from seedbed.init import Parameter, Size
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import TORCHVISION, Classes, Depth, Modules, batch_norm

_MODULES = Modules()

Even = Annotated[Size, Field(multiple_of=2)]


class ShuffleNetV2(Architecture):
    """torchvision's `ShuffleNetV2`, with torch's own initialisation."""

    library = TORCHVISION

    stages_repeats: Annotated[tuple[Depth, Depth, Depth], Field(strict=False)] = Field(
        (4, 8, 4), description="Units of each stage."
    )
    stages_out_channels: Annotated[tuple[Size, Even, Even, Even, Size], Field(strict=False)] = (
        Field(description="Channels of the first convolution, of each stage, and of the last.")
    )
    num_classes: Classes = 1000

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        inputs, *stages, last = self.stages_out_channels
        yield from _MODULES.conv_norm("conv1", 3, inputs, 3)
        for stage, (outputs, units) in enumerate(zip(stages, self.stages_repeats, strict=True), 2):
            half = outputs // 2
            for unit in range(units):
                name = f"stage{stage}.{unit}"
                if unit == 0:
                    yield from _conv_norms(
                        f"{name}.branch1", (0, 1, inputs, inputs, 3, inputs), (2, 3, inputs, half)
                    )
                yield from _conv_norms(
                    f"{name}.branch2",
                    (0, 1, half if unit else inputs, half),
                    (3, 4, half, half, 3, half),
                    (5, 6, half, half),
                )
            inputs = outputs
        yield from _MODULES.conv_norm("conv5", inputs, last)
        yield from _MODULES.fully_connected("fc", last, self.num_classes)


def _conv_norms(name: str, *convs: tuple[int, ...]) -> Iterator[Parameter]:
    """Convolutions, each followed by its normalisation: indices of both, then the sizes."""
    for conv, norm, inputs, outputs, *more in convs:
        yield from _MODULES.conv2d(f"{name}.{conv}", inputs, outputs, *more)
        yield from batch_norm(f"{name}.{norm}", outputs)


PRESETS = tuple(
    Preset(
        f"shufflenet_v2_x{size}",
        f"ShuffleNet v2, {size.replace('_', '.')} times as wide (Ma et al. 2018)",
        ShuffleNetV2,
        {"stages_out_channels": channels},
    )
    for size, channels in {
        "0_5": (24, 48, 96, 192, 1024),
        "1_0": (24, 116, 232, 464, 1024),
        "1_5": (24, 176, 352, 704, 1024),
        "2_0": (24, 244, 488, 976, 2048),
    }.items()
)
