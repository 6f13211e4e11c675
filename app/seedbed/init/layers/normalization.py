"""Normalisations, and the scales that stand alone: PReLU's slope and LayerScale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from seedbed.errors import SpecError
from seedbed.init.layers.base import Arrays, Layer, Parameter, Size, Stored, one, scheme, zero


def _scale_and_shift(shape: tuple[int, ...], *, bias: bool = True) -> Iterator[Parameter]:
    yield Parameter("weight", shape, one())
    if bias:
        yield Parameter("bias", shape, zero())


def _renamed(arrays: Arrays, names: dict[str, str]) -> Iterator[Stored]:
    for old, new in names.items():
        if old in arrays:
            yield Stored(new, arrays[old])


_KERAS = {"weight": "gamma", "bias": "beta"}
_FLAX = {"weight": "scale", "bias": "bias"}


def _statistics(features: int) -> Iterator[Parameter]:
    yield Parameter("running_mean", (features,), zero())
    yield Parameter("running_var", (features,), one())
    yield Parameter("num_batches_tracked", (), zero(), dtype="I64")


class BatchNorm(Layer):
    """Batch normalisation, in any number of dimensions."""

    type: Literal["batch_norm"] = "batch_norm"
    example = {"num_features": 4}

    num_features: Size = Field(description="Channels.")
    affine: bool = Field(default=True, description="Whether there are a scale and a shift.")
    track_running_stats: bool = Field(
        default=True, description="Whether mean and variance are kept."
    )

    def parameters(self) -> Iterator[Parameter]:
        if self.affine:
            yield from _scale_and_shift((self.num_features,))
        if self.track_running_stats:
            yield from _statistics(self.num_features)

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        self._needs_statistics("keras")
        yield from _renamed(arrays, _KERAS)
        yield Stored("moving_mean", arrays["running_mean"])
        yield Stored("moving_variance", arrays["running_var"])

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        self._needs_statistics("flax")
        yield from _renamed(arrays, _FLAX)
        yield Stored("mean", arrays["running_mean"], "batch_stats")
        yield Stored("var", arrays["running_var"], "batch_stats")

    def _needs_statistics(self, framework: str) -> None:
        if not self.track_running_stats:
            raise SpecError(f"{framework} always keeps mean and variance", ("track_running_stats",))


def _shape(value: object) -> object:
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


NormalizedShape = Annotated[
    tuple[Size, ...],
    Field(strict=False, min_length=1),
    BeforeValidator(
        _shape, json_schema_input_type=Size | Annotated[list[Size], Field(min_length=1)]
    ),
]


class LayerNorm(Layer):
    """Layer normalisation over the last axes."""

    type: Literal["layer_norm"] = "layer_norm"
    example = {"normalized_shape": 4}

    normalized_shape: NormalizedShape = Field(description="Those axes.")
    elementwise_affine: bool = Field(default=True, description="Whether there is a scale.")
    bias: bool = Field(default=True, description="Whether there is a shift too.")

    def parameters(self) -> Iterator[Parameter]:
        if self.elementwise_affine:
            yield from _scale_and_shift(self.normalized_shape, bias=self.bias)

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        return _renamed(arrays, _KERAS)

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        return _renamed(arrays, _FLAX)


class RMSNorm(Layer):
    """Root-mean-square normalisation over the last axes."""

    type: Literal["rms_norm"] = "rms_norm"
    example = {"normalized_shape": 4}

    normalized_shape: NormalizedShape = Field(description="Those axes.")
    elementwise_affine: bool = Field(default=True, description="Whether there is a scale.")

    def parameters(self) -> Iterator[Parameter]:
        if self.elementwise_affine:
            yield from _scale_and_shift(self.normalized_shape, bias=False)

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        return _renamed(arrays, _FLAX)

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        return _renamed(arrays, _FLAX)


class GroupNorm(Layer):
    """Group normalisation."""

    type: Literal["group_norm"] = "group_norm"
    example = {"num_groups": 2, "num_channels": 4}

    num_groups: Size = Field(description="Groups of channels.")
    num_channels: Size = Field(description="Channels.")
    affine: bool = Field(default=True, description="Whether there are a scale and a shift.")

    @model_validator(mode="after")
    def _groups_divide(self) -> Self:
        if self.num_channels % self.num_groups:
            raise PydanticCustomError(
                "groups",
                "num_groups {groups} must divide num_channels {channels}",
                {"groups": self.num_groups, "channels": self.num_channels},
            )
        return self

    def parameters(self) -> Iterator[Parameter]:
        if self.affine:
            yield from _scale_and_shift((self.num_channels,))

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        return _renamed(arrays, _KERAS)

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        return _renamed(arrays, _FLAX)


class InstanceNorm(Layer):
    """Instance normalisation; without parameters unless asked for, as in PyTorch.

    In Keras it is `GroupNormalization(groups=-1)`.
    """

    type: Literal["instance_norm"] = "instance_norm"
    example = {"num_features": 4, "affine": True}

    num_features: Size = Field(description="Channels.")
    affine: bool = Field(default=False, description="Whether there are a scale and a shift.")
    track_running_stats: bool = Field(
        default=False, description="Whether mean and variance are kept."
    )

    def parameters(self) -> Iterator[Parameter]:
        if self.affine:
            yield from _scale_and_shift((self.num_features,))
        if self.track_running_stats:
            yield from _statistics(self.num_features)

    def stored(self, framework: Any, arrays: Arrays) -> Iterator[Stored]:
        """Only PyTorch keeps statistics here."""
        if framework != "torch" and self.track_running_stats:
            raise SpecError(
                f"{framework} keeps no statistics of instances", ("track_running_stats",)
            )
        return super().stored(framework, arrays)

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        return _renamed(arrays, _KERAS)

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        return _renamed(arrays, _FLAX)


class PReLU(Layer):
    """The slope of a leaky ReLU, learnt.

    Keras' `alpha` has the shape of its inputs: that of (batch, features) is stored, others are a
    reshape away. Flax has one slope for all channels.
    """

    type: Literal["prelu"] = "prelu"
    example = {}

    num_parameters: Size = Field(1, description="Slopes: 1, or one for each channel.")

    def parameters(self) -> Iterator[Parameter]:
        init = {
            "torch": scheme("constant", value=0.25),
            "keras": zero(),
            "flax": scheme("constant", value=0.01),
            "nnx": scheme("constant", value=0.01),
        }
        yield Parameter("weight", (self.num_parameters,), init[self.defaults])

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        yield Stored("alpha", arrays["weight"])

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        if self.num_parameters != 1:
            raise SpecError("flax has one slope for all channels", ("num_parameters",))
        yield Stored("negative_slope", arrays["weight"].reshape())


class LayerScale(Layer):
    """A factor for each channel of a residual branch; the name is timm's, no framework has one."""

    type: Literal["layer_scale"] = "layer_scale"
    example = {"dim": 4}

    dim: Size = Field(description="Channels.")
    init_values: float = Field(1e-5, description="The factor at the start.")

    def parameters(self) -> Iterator[Parameter]:
        init = scheme("constant", value=self.init_values)
        yield Parameter("gamma", (self.dim,), init, ("weight",))

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        yield Stored("gamma", arrays["gamma"])

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        yield Stored("gamma", arrays["gamma"])


LAYERS = (
    BatchNorm, LayerNorm, RMSNorm, GroupNorm, InstanceNorm, PReLU, LayerScale,
)  # fmt: skip
