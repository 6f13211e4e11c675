"""VGG, with and without batch normalisation (Simonyan, Zisserman 2014)."""

from __future__ import annotations

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
    batch_norm,
    normal,
)

_INITIALISED = Modules(KAIMING_FAN_OUT, zero(), normal(0.01), zero())


class VGG(Architecture):
    """torchvision's `VGG`."""

    library = TORCHVISION

    cfg: Annotated[
        tuple[Size | Literal["M"], ...], Field(strict=False, min_length=1, max_length=1024)
    ] = Field(description="Channels of each convolution, and M where pixels are pooled.")
    batch_norm: bool = Field(default=False, description="Whether convolutions are normalised.")
    num_classes: Classes = 1000
    init_weights: bool = Field(
        default=True, description="Whether weights are He normal; if not, torch's own remain."
    )

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        modules = _INITIALISED if self.init_weights else Modules()
        inputs, index = 3, 0
        for outputs in self.cfg:
            if outputs == "M":
                index += 1
                continue
            yield from modules.conv2d(f"features.{index}", inputs, outputs, 3, bias=True)
            if self.batch_norm:
                yield from batch_norm(f"features.{index + 1}", outputs)
            index += 3 if self.batch_norm else 2
            inputs = outputs
        yield from modules.fully_connected("classifier.0", 512 * 7 * 7, 4096)
        yield from modules.fully_connected("classifier.3", 4096, 4096)
        yield from modules.fully_connected("classifier.6", 4096, self.num_classes)


def _cfg(*depths: int) -> list[int | str]:
    """Stages of so many convolutions each, of 64 to 512 channels."""
    widths: list[int | str] = []
    for depth, width in zip(depths, (64, 128, 256, 512, 512), strict=True):
        widths += [*[width] * depth, "M"]
    return widths


PRESETS = tuple(
    Preset(
        f"vgg{layers}{'_bn' * normalised}",
        f"VGG-{layers}{' with batch normalisation' * normalised} (Simonyan, Zisserman 2014)",
        VGG,
        {"cfg": _cfg(*depths), "batch_norm": normalised},
    )
    for layers, depths in {
        11: (1, 1, 2, 2, 2),
        13: (2, 2, 2, 2, 2),
        16: (2, 2, 3, 3, 3),
        19: (2, 2, 4, 4, 4),
    }.items()
    for normalised in (False, True)
)
