"""ResNet (He et al. 2015), ResNeXt (Xie et al. 2016) and Wide ResNet (Zagoruyko et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from seedbed.errors import ParameterError
from seedbed.init import Parameter, Size, zero
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import (
    KAIMING_FAN_OUT,
    TORCHVISION,
    Classes,
    Depth,
    Modules,
    batch_norm,
)

_MODULES = Modules(conv=KAIMING_FAN_OUT)


class ResNet(Architecture):
    """torchvision's `ResNet`; the linear layer at its end keeps torch's own initialisation."""

    library = TORCHVISION

    block: Literal["BasicBlock", "Bottleneck"] = Field(description="Kind of block.")
    layers: Annotated[tuple[Depth, Depth, Depth, Depth], Field(strict=False)] = Field(
        description="Blocks of each stage."
    )
    num_classes: Classes = 1000
    zero_init_residual: bool = Field(
        default=False,
        description="Whether the last normalisation of each block has weights of zero, so that the "
        "block starts as the identity (Goyal et al. 2017).",
    )
    groups: Size = Field(1, description="Of the middle convolution of a bottleneck.")
    width_per_group: Size = Field(64, description="Of a bottleneck, in 64ths of its planes.")
    inplanes: Annotated[Size, Field(le=2**32)] = Field(
        64, description="Planes of the first stage; torchvision has always 64."
    )

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        self._check()
        inputs = self.inplanes
        yield from _MODULES.conv2d("conv1", 3, inputs, 7)
        yield from batch_norm("bn1", inputs)
        for stage, count in enumerate(self.layers):
            planes = self.inplanes << stage
            outputs = planes if self.block == "BasicBlock" else 4 * planes
            for index in range(count):
                name = f"layer{stage + 1}.{index}"
                yield from self._block(name, inputs, planes, outputs)
                if index == 0 and (stage or inputs != outputs):
                    yield from _MODULES.conv_norm(f"{name}.downsample", inputs, outputs)
                inputs = outputs
        yield from _MODULES.fully_connected("fc", inputs, self.num_classes)

    def _block(self, name: str, inputs: int, planes: int, outputs: int) -> Iterator[Parameter]:
        last = zero() if self.zero_init_residual else None
        if self.block == "BasicBlock":
            yield from _MODULES.conv2d(f"{name}.conv1", inputs, planes, 3)
            yield from batch_norm(f"{name}.bn1", planes)
            yield from _MODULES.conv2d(f"{name}.conv2", planes, outputs, 3)
            yield from batch_norm(f"{name}.bn2", outputs, last)
            return
        width = planes * self.width_per_group // 64 * self.groups
        yield from _MODULES.conv2d(f"{name}.conv1", inputs, width)
        yield from batch_norm(f"{name}.bn1", width)
        yield from _MODULES.conv2d(f"{name}.conv2", width, width, 3, self.groups)
        yield from batch_norm(f"{name}.bn2", width)
        yield from _MODULES.conv2d(f"{name}.conv3", width, outputs)
        yield from batch_norm(f"{name}.bn3", outputs, last)

    def _check(self) -> None:
        if self.block == "BasicBlock":
            for field, only in (("groups", 1), ("width_per_group", 64)):
                if getattr(self, field) != only:
                    raise ParameterError(f"a BasicBlock has {field} {only}", (field,), (str(only),))
        if self.inplanes * self.width_per_group < 64:
            raise ParameterError(
                f"with inplanes {self.inplanes} and width_per_group {self.width_per_group} the "
                "first bottleneck has no channels",
                ("width_per_group",),
            )


def _preset(name: str, summary: str, block: str, layers: tuple[int, ...], **more: int) -> Preset:
    return Preset(name, summary, ResNet, {"block": block, "layers": layers, **more})


_BASIC, _BOTTLENECK = "BasicBlock", "Bottleneck"
_50, _101 = (3, 4, 6, 3), (3, 4, 23, 3)
_HE, _XIE, _WIDE = "(He et al. 2015)", "(Xie et al. 2016)", "(Zagoruyko, Komodakis 2016)"

PRESETS = (
    _preset("resnet18", f"ResNet-18 {_HE}", _BASIC, (2, 2, 2, 2)),
    _preset("resnet34", f"ResNet-34 {_HE}", _BASIC, _50),
    _preset("resnet50", f"ResNet-50 {_HE}", _BOTTLENECK, _50),
    _preset("resnet101", f"ResNet-101 {_HE}", _BOTTLENECK, _101),
    _preset("resnet152", f"ResNet-152 {_HE}", _BOTTLENECK, (3, 8, 36, 3)),
    _preset(
        "resnext50_32x4d",
        f"ResNeXt-50, 32 groups of 4 {_XIE}",
        _BOTTLENECK,
        _50,
        groups=32,
        width_per_group=4,
    ),
    _preset(
        "resnext101_32x8d",
        f"ResNeXt-101, 32 groups of 8 {_XIE}",
        _BOTTLENECK,
        _101,
        groups=32,
        width_per_group=8,
    ),
    _preset(
        "resnext101_64x4d",
        f"ResNeXt-101, 64 groups of 4 {_XIE}",
        _BOTTLENECK,
        _101,
        groups=64,
        width_per_group=4,
    ),
    _preset(
        "wide_resnet50_2",
        f"Wide ResNet-50, twice as wide {_WIDE}",
        _BOTTLENECK,
        _50,
        width_per_group=128,
    ),
    _preset(
        "wide_resnet101_2",
        f"Wide ResNet-101, twice as wide {_WIDE}",
        _BOTTLENECK,
        _101,
        width_per_group=128,
    ),
    _preset(
        "tiny-resnet",
        "A small ResNet for tests: ten layers, 8 to 64 planes, ten classes",
        _BASIC,
        (1, 1, 1, 1),
        num_classes=10,
        inplanes=8,
    ),
)
