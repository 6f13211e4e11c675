"""SqueezeNet (Iandola et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from seedbed.init import Parameter, scheme, zero
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import TORCHVISION, Classes, Modules, normal

_MODULES = Modules(scheme("he_uniform"), zero())
_LAST = Modules(normal(0.01), zero())

_FIRST = {"1_0": (96, 7), "1_1": (64, 3)}
_FIRES = {"1_0": (3, 4, 5, 7, 8, 9, 10, 12), "1_1": (3, 4, 6, 7, 9, 10, 11, 12)}
_WIDTHS = (16, 16, 32, 32, 48, 48, 64, 64)
"""To which each fire module squeezes; it expands to four times as much by each of two ways."""


class SqueezeNet(Architecture):
    """torchvision's `SqueezeNet`."""

    library = TORCHVISION

    version: Literal["1_0", "1_1"] = Field("1_0", description="Of the architecture.")
    num_classes: Classes = 1000

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        inputs, size = _FIRST[self.version]
        yield from _MODULES.conv2d("features.0", 3, inputs, size, bias=True)
        for index, squeezed in zip(_FIRES[self.version], _WIDTHS, strict=True):
            name, half = f"features.{index}", 4 * squeezed
            yield from _MODULES.conv2d(f"{name}.squeeze", inputs, squeezed, bias=True)
            yield from _MODULES.conv2d(f"{name}.expand1x1", squeezed, half, bias=True)
            yield from _MODULES.conv2d(f"{name}.expand3x3", squeezed, half, 3, bias=True)
            inputs = 2 * half
        yield from _LAST.conv2d("classifier.1", inputs, self.num_classes, bias=True)


PRESETS = tuple(
    Preset(
        f"squeezenet{version}",
        f"SqueezeNet {version.replace('_', '.')} (Iandola et al. 2016)",
        SqueezeNet,
        {"version": version},
    )
    for version in _FIRST
)
