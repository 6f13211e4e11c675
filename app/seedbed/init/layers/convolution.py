"""Convolutions in one to three dimensions: plain, grouped, depthwise, transposed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from seedbed.errors import SpecError
from seedbed.init.layers.base import Arrays, Layer, Parameter, Size, Stored, bias, kernel
from seedbed.init.schemes import Fans


def _sizes(rank: int) -> Any:
    """One size for all axes, or one for each."""

    def spread(value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool):
            return (value,) * rank
        return value

    return BeforeValidator(
        spread,
        json_schema_input_type=Size
        | Annotated[list[Size], Field(min_length=rank, max_length=rank)],
    )


Sizes1 = Annotated[tuple[Size], Field(strict=False), _sizes(1)]
Sizes2 = Annotated[tuple[Size, Size], Field(strict=False), _sizes(2)]
Sizes3 = Annotated[tuple[Size, Size, Size], Field(strict=False), _sizes(3)]


class _Convolution(Layer):
    """What all have; `kernel_size` is declared by each."""

    kernel_size: Any

    in_channels: Size = Field(description="Channels of the input.")
    out_channels: Size = Field(description="Channels of the output.")
    groups: Size = Field(
        1, description="Parts that see only their own channels; in_channels is depthwise."
    )
    bias: bool = Field(default=True, description="Whether there is a bias.")

    @model_validator(mode="after")
    def _groups_divide(self) -> Self:
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise PydanticCustomError(
                "groups",
                "groups {groups} must divide in_channels {inputs} and out_channels {outputs}",
                {
                    "groups": self.groups,
                    "inputs": self.in_channels,
                    "outputs": self.out_channels,
                },
            )
        return self

    @property
    def axes(self) -> tuple[int, ...]:
        """Of Keras' and Flax's kernels: (*kernel, second, first)."""
        return (*range(2, 2 + len(self.kernel_size)), 1, 0)


class Convolution(_Convolution):
    """A convolution."""

    def parameters(self) -> Iterator[Parameter]:
        inputs = self.in_channels // self.groups
        shape = self.out_channels, inputs, *self.kernel_size
        yield Parameter("weight", shape, kernel(self.defaults))
        if self.bias:
            init = bias(self.defaults, inputs * math.prod(self.kernel_size))
            yield Parameter("bias", (self.out_channels,), init)

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        yield Stored("kernel", arrays["weight"].transpose(*self.axes))
        if self.bias:
            yield Stored("bias", arrays["bias"])

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        return self.keras(arrays)


class TransposedConvolution(_Convolution):
    """A transposed convolution.

    PyTorch's weight is (in, out / groups, *kernel), and its fans count accordingly: fan_in is
    that of the output channels, as in Keras. Flax counts the other way round. A Flax kernel is
    that of the default `transpose_kernel=False`, which runs backwards in space.
    """

    def parameters(self) -> Iterator[Parameter]:
        field = math.prod(self.kernel_size)
        outputs = self.out_channels // self.groups
        shape = self.in_channels, outputs, *self.kernel_size
        fans = {"jax": Fans(self.in_channels * field, outputs * field)}
        yield Parameter("weight", shape, kernel(self.defaults), fans=fans)
        if self.bias:
            yield Parameter("bias", (self.out_channels,), bias(self.defaults, outputs * field))

    def stored(self, framework: Any, arrays: Arrays) -> Iterator[Stored]:
        """Only PyTorch has groups here."""
        if framework != "torch" and self.groups != 1:
            raise SpecError(f"{framework} has no transposed convolution with groups", ("groups",))
        return super().stored(framework, arrays)

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        yield Stored("kernel", arrays["weight"].transpose(*self.axes))
        if self.bias:
            yield Stored("bias", arrays["bias"])

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        space = tuple(range(2, 2 + len(self.kernel_size)))
        yield Stored("kernel", arrays["weight"].transpose(*space, 0, 1, flipped=space))
        if self.bias:
            yield Stored("bias", arrays["bias"])


_SIZE = "Of the kernel: one number, or one for each axis."
_EXAMPLE = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}


class Conv1d(Convolution):
    """A convolution in one dimension."""

    type: Literal["conv1d"] = "conv1d"
    example = _EXAMPLE
    kernel_size: Sizes1 = Field(description=_SIZE)


class Conv2d(Convolution):
    """A convolution in two dimensions."""

    type: Literal["conv2d"] = "conv2d"
    example = _EXAMPLE
    kernel_size: Sizes2 = Field(description=_SIZE)


class Conv3d(Convolution):
    """A convolution in three dimensions."""

    type: Literal["conv3d"] = "conv3d"
    example = _EXAMPLE
    kernel_size: Sizes3 = Field(description=_SIZE)


class ConvTranspose1d(TransposedConvolution):
    """A transposed convolution in one dimension."""

    type: Literal["conv_transpose1d"] = "conv_transpose1d"
    example = _EXAMPLE
    kernel_size: Sizes1 = Field(description=_SIZE)


class ConvTranspose2d(TransposedConvolution):
    """A transposed convolution in two dimensions."""

    type: Literal["conv_transpose2d"] = "conv_transpose2d"
    example = _EXAMPLE
    kernel_size: Sizes2 = Field(description=_SIZE)


class ConvTranspose3d(TransposedConvolution):
    """A transposed convolution in three dimensions."""

    type: Literal["conv_transpose3d"] = "conv_transpose3d"
    example = _EXAMPLE
    kernel_size: Sizes3 = Field(description=_SIZE)


LAYERS = (Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
