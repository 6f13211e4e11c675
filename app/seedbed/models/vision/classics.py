"""Small classics: LeNet-5 (LeCun et al. 1998) and the multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from seedbed.init import Parameter, Size
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import (
    TORCHVISION,
    Classes,
    Modules,
    Sizes,
    batch_norm,
    layer_norm,
)

_PLAIN = Modules()


class LeNet5(Architecture):
    """LeNet-5 as PyTorch's tutorial has it, for images of 32 × 32, with torch's own initialisation.

    Every map of the second convolution sees all of the first (in the paper a part of them), and
    the last layer is linear (in the paper of radial basis functions).
    """

    library = "torch 2.13.0"

    in_channels: Size = Field(1, description="Channels of the images.")
    num_classes: Classes = 10

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the layers."""
        yield from _PLAIN.conv2d("conv1", self.in_channels, 6, 5, bias=True)
        yield from _PLAIN.conv2d("conv2", 6, 16, 5, bias=True)
        yield from _PLAIN.fully_connected("fc1", 16 * 5 * 5, 120)
        yield from _PLAIN.fully_connected("fc2", 120, 84)
        yield from _PLAIN.fully_connected("fc3", 84, self.num_classes)


class MLP(Architecture):
    """torchvision's `ops.MLP`: linear layers, each but the last with an activation and a dropout.

    A Sequential: names are places in it.
    """

    library = TORCHVISION

    in_channels: Size = Field(784, description="Inputs.")
    hidden_channels: Sizes = Field((512, 512, 10), description="Widths; the last is the outputs.")
    norm_layer: Literal["BatchNorm1d", "LayerNorm"] | None = Field(
        None, description="Normalisation after every linear layer but the last."
    )
    bias: bool = Field(default=True, description="Whether the linear layers have biases.")

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        inputs, index = self.in_channels, 0
        *hidden, last = self.hidden_channels
        for width in hidden:
            yield from _PLAIN.fully_connected(f"{index}", inputs, width, bias=self.bias)
            if self.norm_layer is not None:
                norm = batch_norm if self.norm_layer == "BatchNorm1d" else layer_norm
                yield from norm(f"{index + 1}", width)
                index += 1
            index += 3  # past the activation and the dropout
            inputs = width
        yield from _PLAIN.fully_connected(f"{index}", inputs, last, bias=self.bias)


PRESETS = (
    Preset("lenet5", "LeNet-5 (LeCun et al. 1998)", LeNet5),
    Preset("mlp", "A multi-layer perceptron: 784, 512, 512, 10", MLP),
)
