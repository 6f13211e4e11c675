"""Schemes by fans, and how a spec may say which axes of a shape the fans are taken from.

Without a word the shape is (out, in, *kernel), as PyTorch has it. A stack of matrices, a matrix
stored [in, out], attention's [heads, depth, width]: the shape does not show it, so the axes can be
named as `jax.nn.initializers.variance_scaling` has them, or the numbers themselves be given.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from seedbed.errors import ShapeError
from seedbed.init.schemes.base import Fans, Scheme, Shape, fans_of

_AXES = 64
"""No shape has more."""


def _axes(value: object, info: ValidationInfo) -> object:
    """Axes in the shortest form: one as a number, several as a tuple in order."""
    if isinstance(value, str) and info.mode not in ("json", "python"):  # of a query: 1 or 1,2
        with suppress(ValueError):
            value = json.loads(value if value.lstrip()[:1] == "[" else f"[{value}]")
    axes = value if isinstance(value, list | tuple) else (value,)
    if not all(type(axis) is int and -_AXES <= axis < _AXES for axis in axes):
        raise PydanticCustomError("axes", "must be an axis such as 0 or −1, or a list of axes")
    if len(set(axes)) < len(axes):
        raise PydanticCustomError("axis_twice", "an axis is named twice")
    return axes[0] if len(axes) == 1 else tuple(sorted(axes))


_Axis = Annotated[int, Field(ge=-_AXES, lt=_AXES)]
Axes = Annotated[
    _Axis | tuple[_Axis, ...],
    BeforeValidator(_axes, json_schema_input_type=_Axis | list[_Axis]),
]
"""Axes of a shape, −1 the last: one, or a list of them."""

FanCount = Annotated[int, Field(ge=1, le=2**53)]


class ByFans(Scheme):
    """A scheme whose spread follows from fans."""

    in_axis: Axes | None = Field(
        None, description="Axes of the inputs, as in JAX: one, or a list; −1 is the last."
    )
    out_axis: Axes | None = Field(None, description="Axes of the outputs, likewise.")
    batch_axis: Axes | None = Field(
        None,
        description="Axes along which the tensor is a stack of weights, such as experts. Of the "
        "axes that are not named, the first is that of the outputs and the next that of the "
        "inputs, unless those are; what is left is the kernel.",
    )
    fan_in: FanCount | None = Field(None, description="The number itself, whatever the shape.")
    fan_out: FanCount | None = Field(None, description="The number itself, whatever the shape.")

    @model_validator(mode="after")
    def _directions_go_together(self) -> Self:
        counts = [name for name in ("fan_in", "fan_out") if getattr(self, name) is not None]
        for name in counts:
            if name not in self.needs:
                raise PydanticCustomError(
                    "fan_unused",
                    "{scheme} with these parameters does not use {name}",
                    {"scheme": self.scheme, "name": name},
                )
        if counts and self._axes_named:
            raise PydanticCustomError(
                "fans_twice", "give either axes, or the numbers fan_in and fan_out, not both"
            )
        return self

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Those of its own first, since a direction is seldom needed."""
        return tuple(sorted(super().parameters(), key=ByFans.model_fields.__contains__))

    @property
    def needs(self) -> tuple[str, ...]:
        """Which fans the spread follows from, by `mode` if there is one."""
        mode = getattr(self, "mode", "fan_in")
        return (mode,) if mode in ("fan_in", "fan_out") else ("fan_in", "fan_out")

    @property
    def is_directed(self) -> bool:
        """Whether the spec says more of the fans than the shape does."""
        return self._axes_named or self.fan_in is not None or self.fan_out is not None

    @property
    def _axes_named(self) -> bool:
        return not (self.in_axis is None and self.out_axis is None and self.batch_axis is None)

    def fans(self, shape: Shape, known: Fans | None = None) -> Fans | None:
        """The fans that the spec says, else those that the layer knows, else those of the shape."""
        return self.fans_used(shape, known)

    def fans_used(self, shape: Shape, known: Fans | None = None) -> Fans:
        """`fans`, of a scheme that uses some."""
        if self._axes_named:
            return directed(shape, self.in_axis, self.out_axis, self.batch_axis)
        counts = {"fan_in": self.fan_in, "fan_out": self.fan_out}
        if (
            all(counts[name] is not None for name in self.needs)
            and known is None
            and len(shape) < 2
        ):
            return Fans(self.fan_in or 0, self.fan_out or 0)  # 0: unknown, and not needed
        fans = known or fans_of(shape)
        return Fans(self.fan_in or fans.fan_in, self.fan_out or fans.fan_out)


def directed(
    shape: Shape,
    in_axis: int | tuple[int, ...] | None = None,
    out_axis: int | tuple[int, ...] | None = None,
    batch_axis: int | tuple[int, ...] | None = None,
) -> Fans:
    """Fans of a shape whose axes are named; as `jax._src.nn.initializers._compute_fans`.

    Args:
        shape: of the tensor.
        in_axis: whose dimensions are the inputs; `None`: the second that is not named.
        out_axis: whose dimensions are the outputs; `None`: the first that is not named.
        batch_axis: whose dimensions count copies.

    Raises:
        ShapeError: there is no such axis, or one is named twice, or none is left.
    """
    named = {"batch_axis": batch_axis, "out_axis": out_axis, "in_axis": in_axis}
    places = placed(shape, named)
    sizes = {
        name: math.prod(shape[axis] for axis in places[name])
        for name, axes in named.items()
        if axes is not None
    }
    taken = {axis for axes in places.values() for axis in axes}
    rest = [axis for axis in range(len(shape)) if axis not in taken]
    for name in ("out_axis", "in_axis"):
        if name not in sizes:
            if not rest:
                raise ShapeError(
                    f"shape {list(shape)} has no axis left for {name}; if there is none, say []",
                    ("init", name),
                )
            sizes[name] = shape[rest.pop(0)]
    kernel = math.prod(shape[axis] for axis in rest)
    return Fans(sizes["in_axis"] * kernel, sizes["out_axis"] * kernel)


def placed(
    shape: Shape, named: Mapping[str, int | tuple[int, ...] | None]
) -> dict[str, tuple[int, ...]]:
    """Axes of a shape by what they are named for, each counted from the first one, in order.

    Raises:
        ShapeError: there is no such axis, or one is named twice.
    """
    owner: dict[int, str] = {}
    selections: dict[str, tuple[int, ...]] = {}
    for name, axes in named.items():
        places = []
        for axis in _plain(axes):
            if not -len(shape) <= axis < len(shape):
                raise ShapeError(f"shape {list(shape)} has no axis {axis}", ("init", name))
            if (place := axis % len(shape)) in owner:
                raise ShapeError(
                    f"axis {place} of shape {list(shape)} is named twice: {owner[place]}, {name}",
                    ("init", name),
                )
            owner[place] = name
            places.append(place)
        selections[name] = tuple(sorted(places))
    return selections


def _plain(axes: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """Axes as a tuple."""
    return (axes,) if isinstance(axes, int) else axes or ()
