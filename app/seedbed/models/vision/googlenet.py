"""GoogLeNet (Szegedy et al. 2014) and Inception v3 (Szegedy et al. 2015)."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from seedbed.init import Parameter
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import TORCHVISION, Classes, Modules, batch_norm, truncated


def _normalised(
    modules: Modules, name: str, inputs: int, outputs: int, size: int | tuple[int, int] = 1
) -> Iterator[Parameter]:
    """`BasicConv2d`."""
    yield from modules.conv2d(f"{name}.conv", inputs, outputs, size)
    yield from batch_norm(f"{name}.bn", outputs)


_CELLS = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}
"""Channels of GoogLeNet's cells: in, 1×1, 3×3 reduced, 3×3, 5×5 reduced, 5×5, after pooling."""


class GoogLeNet(Architecture):
    """torchvision's `GoogLeNet`; its third branch has 3×3 convolutions where the paper has 5×5."""

    library = TORCHVISION

    num_classes: Classes = 1000
    aux_logits: bool = Field(default=True, description="Whether there are two auxiliary heads.")
    init_weights: bool = Field(
        default=True, description="Whether weights are normal; if not, torch's own remain."
    )

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        start = truncated(0.01)
        modules = Modules(start, None, start) if self.init_weights else Modules()
        yield from _normalised(modules, "conv1", 3, 64, 7)
        yield from _normalised(modules, "conv2", 64, 64)
        yield from _normalised(modules, "conv3", 64, 192, 3)
        for cell, widths in _CELLS.items():
            inputs, pointwise, three_in, three, five_in, five, pooled = widths
            name = f"inception{cell}"
            yield from _normalised(modules, f"{name}.branch1", inputs, pointwise)
            yield from _normalised(modules, f"{name}.branch2.0", inputs, three_in)
            yield from _normalised(modules, f"{name}.branch2.1", three_in, three, 3)
            yield from _normalised(modules, f"{name}.branch3.0", inputs, five_in)
            yield from _normalised(modules, f"{name}.branch3.1", five_in, five, 3)
            yield from _normalised(modules, f"{name}.branch4.1", inputs, pooled)
        if self.aux_logits:
            for name, inputs in (("aux1", 512), ("aux2", 528)):
                yield from _normalised(modules, f"{name}.conv", inputs, 128)
                yield from modules.fully_connected(f"{name}.fc1", 2048, 1024)
                yield from modules.fully_connected(f"{name}.fc2", 1024, self.num_classes)
        yield from modules.fully_connected("fc", 1024, self.num_classes)


Cell = tuple[tuple[str, int, int, int | tuple[int, int]], ...]
"""Convolutions of a cell: name, channels in and out, size of the kernel."""

_ROW, _COLUMN = (1, 7), (7, 1)


def _cell_a(inputs: int, pooled: int) -> Cell:
    return (
        ("branch1x1", inputs, 64, 1),
        ("branch5x5_1", inputs, 48, 1),
        ("branch5x5_2", 48, 64, 5),
        ("branch3x3dbl_1", inputs, 64, 1),
        ("branch3x3dbl_2", 64, 96, 3),
        ("branch3x3dbl_3", 96, 96, 3),
        ("branch_pool", inputs, pooled, 1),
    )


def _cell_b(inputs: int) -> Cell:
    return (
        ("branch3x3", inputs, 384, 3),
        ("branch3x3dbl_1", inputs, 64, 1),
        ("branch3x3dbl_2", 64, 96, 3),
        ("branch3x3dbl_3", 96, 96, 3),
    )


def _cell_c(width: int) -> Cell:
    return (
        ("branch1x1", 768, 192, 1),
        ("branch7x7_1", 768, width, 1),
        ("branch7x7_2", width, width, _ROW),
        ("branch7x7_3", width, 192, _COLUMN),
        ("branch7x7dbl_1", 768, width, 1),
        ("branch7x7dbl_2", width, width, _COLUMN),
        ("branch7x7dbl_3", width, width, _ROW),
        ("branch7x7dbl_4", width, width, _COLUMN),
        ("branch7x7dbl_5", width, 192, _ROW),
        ("branch_pool", 768, 192, 1),
    )


def _cell_d(inputs: int) -> Cell:
    return (
        ("branch3x3_1", inputs, 192, 1),
        ("branch3x3_2", 192, 320, 3),
        ("branch7x7x3_1", inputs, 192, 1),
        ("branch7x7x3_2", 192, 192, _ROW),
        ("branch7x7x3_3", 192, 192, _COLUMN),
        ("branch7x7x3_4", 192, 192, 3),
    )


def _cell_e(inputs: int) -> Cell:
    return (
        ("branch1x1", inputs, 320, 1),
        ("branch3x3_1", inputs, 384, 1),
        ("branch3x3_2a", 384, 384, (1, 3)),
        ("branch3x3_2b", 384, 384, (3, 1)),
        ("branch3x3dbl_1", inputs, 448, 1),
        ("branch3x3dbl_2", 448, 384, 3),
        ("branch3x3dbl_3a", 384, 384, (1, 3)),
        ("branch3x3dbl_3b", 384, 384, (3, 1)),
        ("branch_pool", inputs, 192, 1),
    )


_STEM: Cell = (
    ("Conv2d_1a_3x3", 3, 32, 3),
    ("Conv2d_2a_3x3", 32, 32, 3),
    ("Conv2d_2b_3x3", 32, 64, 3),
    ("Conv2d_3b_1x1", 64, 80, 1),
    ("Conv2d_4a_3x3", 80, 192, 3),
)

_BODY = {
    "Mixed_5b": _cell_a(192, 32),
    "Mixed_5c": _cell_a(256, 64),
    "Mixed_5d": _cell_a(288, 64),
    "Mixed_6a": _cell_b(288),
    "Mixed_6b": _cell_c(128),
    "Mixed_6c": _cell_c(160),
    "Mixed_6d": _cell_c(160),
    "Mixed_6e": _cell_c(192),
}
_HEAD = {"Mixed_7a": _cell_d(768), "Mixed_7b": _cell_e(1280), "Mixed_7c": _cell_e(2048)}


class InceptionV3(Architecture):
    """torchvision's `Inception3`.

    Its source asks for 0.01 at `AuxLogits.conv1`, but says so to the wrapper of the convolution,
    which has no effect: that convolution has 0.1, as all others have.
    """

    library = TORCHVISION

    num_classes: Classes = 1000
    aux_logits: bool = Field(default=True, description="Whether there is an auxiliary head.")
    init_weights: bool = Field(
        default=True, description="Whether weights are normal; if not, torch's own remain."
    )

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        start = truncated(0.1)
        modules = auxiliary = Modules()
        if self.init_weights:
            modules = Modules(start, None, start)
            auxiliary = Modules(start, None, truncated(0.001))
        for conv in _STEM:
            yield from _normalised(modules, *conv)
        yield from _cells(modules, _BODY)
        if self.aux_logits:
            yield from _normalised(auxiliary, "AuxLogits.conv0", 768, 128)
            yield from _normalised(auxiliary, "AuxLogits.conv1", 128, 768, 5)
            yield from auxiliary.fully_connected("AuxLogits.fc", 768, self.num_classes)
        yield from _cells(modules, _HEAD)
        yield from modules.fully_connected("fc", 2048, self.num_classes)


def _cells(modules: Modules, cells: dict[str, Cell]) -> Iterator[Parameter]:
    for cell, convs in cells.items():
        for name, inputs, outputs, size in convs:
            yield from _normalised(modules, f"{cell}.{name}", inputs, outputs, size)


PRESETS = (
    Preset("googlenet", "GoogLeNet (Szegedy et al. 2014)", GoogLeNet),
    Preset("inception_v3", "Inception v3 (Szegedy et al. 2015)", InceptionV3),
)
