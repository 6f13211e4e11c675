"""The modules that networks for images are made of, each as the parameters that it saves.

A network of torchvision makes its modules first, each with torch's own initialisation, and then
goes over all of them once more: `Modules` says what it does to those of a kind. Fans are those of
the weight's shape, whatever the groups, as in `torch.nn.init`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from seedbed.init import Parameter, Scheme, Size, kernel, one, over_root, scheme, zero

TORCHVISION = "torchvision 0.28.0"
"""Whose names, shapes and initial distributions these are."""

DEFAULT = kernel("torch")
"""What torch does to the weights of `Linear` and `Conv2d`: uniform within 1/√fan_in."""

KAIMING_FAN_OUT = scheme("he_normal", mode="fan_out")

Depth = Annotated[int, Field(ge=1, le=2**16)]
"""Of a stage: blocks in a row."""

Sizes = Annotated[tuple[Size, ...], Field(strict=False, min_length=1, max_length=64)]
Depths = Annotated[tuple[Depth, ...], Field(strict=False, min_length=1, max_length=64)]
Pair = Annotated[tuple[Size, Size], Field(strict=False)]

Classes = Annotated[Size, Field(description="Classes that the last layer tells apart.")]


def normal(std: float) -> Scheme:
    """As `normal_(0, std)`."""
    return scheme("normal", std=std)


def truncated(std: float) -> Scheme:
    """As `trunc_normal_(std=std)`, whose bounds −2 and 2 are values, not multiples of it."""
    return scheme("truncated_normal", std=std, bounds="absolute")


@dataclass(frozen=True, slots=True)
class Modules:
    """What a network does to the weights and biases of each kind of module.

    Attributes:
        conv: scheme of convolutions' weights.
        conv_bias: of their biases; None for torch's uniform within 1/√fan_in.
        linear: of linear layers' weights.
        linear_bias: of their biases; None likewise.
    """

    conv: Scheme = DEFAULT
    conv_bias: Scheme | None = None
    linear: Scheme = DEFAULT
    linear_bias: Scheme | None = None

    def conv2d(
        self,
        name: str,
        inputs: int,
        outputs: int,
        size: int | tuple[int, int] = 1,
        groups: int = 1,
        *,
        bias: bool = False,
    ) -> Iterator[Parameter]:
        """A convolution: weight (out, in / groups, *size), and a bias if there is one."""
        height, width = (size, size) if isinstance(size, int) else size
        inner = inputs // groups
        yield Parameter(f"{name}.weight", (outputs, inner, height, width), self.conv)
        if bias:
            init = self.conv_bias or over_root(inner * height * width)
            yield Parameter(f"{name}.bias", (outputs,), init)

    def conv_norm(
        self,
        name: str,
        inputs: int,
        outputs: int,
        size: int = 1,
        groups: int = 1,
    ) -> Iterator[Parameter]:
        """`Conv2dNormActivation`: a convolution without a bias, and its batch normalisation."""
        yield from self.conv2d(f"{name}.0", inputs, outputs, size, groups)
        yield from batch_norm(f"{name}.1", outputs)

    def squeeze_excitation(self, name: str, width: int, squeezed: int) -> Iterator[Parameter]:
        """`SqueezeExcitation`: two convolutions of one pixel, with biases."""
        yield from self.conv2d(f"{name}.fc1", width, squeezed, bias=True)
        yield from self.conv2d(f"{name}.fc2", squeezed, width, bias=True)

    def fully_connected(
        self, name: str, inputs: int, outputs: int, *, bias: bool = True
    ) -> Iterator[Parameter]:
        """A linear layer: weight (out, in), and a bias if there is one."""
        yield Parameter(f"{name}.weight", (outputs, inputs), self.linear)
        if bias:
            yield Parameter(f"{name}.bias", (outputs,), self.linear_bias or over_root(inputs))


def batch_norm(name: str, width: int, weight: Scheme | None = None) -> Iterator[Parameter]:
    """Batch normalisation, with the statistics that it keeps and the counter of its batches."""
    shape = (width,)
    yield Parameter(f"{name}.weight", shape, weight or one())
    yield Parameter(f"{name}.bias", shape, zero())
    yield Parameter(f"{name}.running_mean", shape, zero())
    yield Parameter(f"{name}.running_var", shape, one())
    yield Parameter(f"{name}.num_batches_tracked", (), zero(), dtype="I64")


def layer_norm(name: str, width: int) -> Iterator[Parameter]:
    """Layer normalisation."""
    yield Parameter(f"{name}.weight", (width,), one())
    yield Parameter(f"{name}.bias", (width,), zero())


def make_divisible(value: float, divisor: int = 8) -> int:
    """The nearest multiple of a divisor, but never below 90 % of the value.

    As `torchvision.models._utils._make_divisible`, by way of MobileNet's own code.
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def within_root(features: int) -> Scheme:
    """Uniform within 1/√features."""
    return scheme("uniform", low=-1.0 / math.sqrt(features), high=1.0 / math.sqrt(features))
