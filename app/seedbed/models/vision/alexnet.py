"""AlexNet: torchvision's, which has one tower, and the one of 2012 with its two."""

from __future__ import annotations

from collections.abc import Iterator

from seedbed.init import Parameter, one, zero
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import TORCHVISION, Classes, Modules, normal

_PLAIN = Modules()
_PAPER = {bias: Modules(normal(0.01), bias, normal(0.01), bias) for bias in (zero(), one())}


class AlexNet(Architecture):
    """torchvision's `alexnet`: the widths of Krizhevsky 2014, torch's own initialisation."""

    library = TORCHVISION

    num_classes: Classes = 1000

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        inputs = 3
        for index, outputs, size in ((0, 64, 11), (3, 192, 5), (6, 384, 3), (8, 256, 3)):
            yield from _PLAIN.conv2d(f"features.{index}", inputs, outputs, size, bias=True)
            inputs = outputs
        yield from _PLAIN.conv2d("features.10", inputs, 256, 3, bias=True)
        yield from _PLAIN.fully_connected("classifier.1", 256 * 6 * 6, 4096)
        yield from _PLAIN.fully_connected("classifier.4", 4096, 4096)
        yield from _PLAIN.fully_connected("classifier.6", 4096, self.num_classes)


class AlexNet2012(Architecture):
    """AlexNet as its paper has it: all weights N(0, 0.01²), and biases of one where they help.

    Krizhevsky, Sutskever, Hinton 2012, ImageNet Classification with Deep Convolutional Neural
    Networks, §5: the biases of the second, fourth and fifth convolution and of the fully connected
    hidden layers are 1, to give the rectifiers positive inputs; the others are 0. Convolutions 2, 4
    and 5 see only the half of the channels that their own GPU had. Names are those of Caffe.
    """

    library = "Krizhevsky, Sutskever, Hinton 2012"

    num_classes: Classes = 1000

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the layers."""
        inputs = 3
        for index, (outputs, size, groups, bias) in enumerate(
            (
                (96, 11, 1, zero()),
                (256, 5, 2, one()),
                (384, 3, 1, zero()),
                (384, 3, 2, one()),
                (256, 3, 2, one()),
            ),
            start=1,
        ):
            name = f"conv{index}"
            yield from _PAPER[bias].conv2d(name, inputs, outputs, size, groups, bias=True)
            inputs = outputs
        yield from _PAPER[one()].fully_connected("fc6", 256 * 6 * 6, 4096)
        yield from _PAPER[one()].fully_connected("fc7", 4096, 4096)
        yield from _PAPER[zero()].fully_connected("fc8", 4096, self.num_classes)


PRESETS = (
    Preset("alexnet", "AlexNet with one tower (Krizhevsky 2014)", AlexNet),
    Preset(
        "alexnet-2012",
        "AlexNet with two towers, N(0, 0.01²) and biases of one (Krizhevsky et al. 2012)",
        AlexNet2012,
    ),
)
