"""Fills of one draw, one number or one formula."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import ParameterError
from seedbed.init.fill import Elements, Fill, require_room
from seedbed.init.source import Source
from seedbed.stream import (
    DTYPES,
    Box,
    Distribution,
    Dtype,
    LogUniform,
    Summary,
    Uniform,
    boxes,
    exact,
)

Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]

BLOCK = 1 << 14
"""Elements made together by what is not compiled; its temporaries should stay in cache."""


@dataclass(frozen=True)
class Drawn(Fill):
    """Independent draws, one stream word an element."""

    distribution: Distribution

    @property
    def reach(self) -> tuple[float, float]:
        """Of the distribution."""
        return self.distribution.reach

    def check(self, dtype: Dtype) -> None:
        """Draws need a float, wide enough for the furthest of them."""
        require_room(dtype, self.reach, "draws")

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Draw straight into the caller's buffer."""
        draw = source.engine.draw_box
        draw(source.seed, source.name, self.distribution, source.dtype, box, out)

    def summary(self) -> Summary:
        """Of the distribution."""
        return self.distribution.summary()


@dataclass(frozen=True)
class Constant(Fill):
    """The same value everywhere: a float32 by definition where the dtype is a float."""

    value: int | float

    def check(self, dtype: Dtype) -> None:
        """Integers must be exact, floats within range."""
        if not dtype.is_float and self.value != int(self.value):
            raise ParameterError(f"{dtype.code} cannot hold {self.value!r}", ("init", "value"))
        # A float64 element is a widened float32, so float32's range is its range too.
        range_of = DTYPES["F32"] if dtype.code == "F64" else dtype
        if not range_of.lowest <= self.value <= range_of.highest:
            raise ParameterError(
                f"{self.value!r} is outside {dtype.code}, which ends at "
                f"{range_of.lowest:.6g} … {range_of.highest:.6g}",
                ("init", "value"),
            )

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Repeat one element."""
        out[...] = self._element(source.dtype)

    def _element(self, dtype: Dtype) -> NDArray[np.generic]:
        """An array of one element."""
        if dtype.is_float:
            value = self.value
            # NumPy would round a whole number past 2**53 twice, by way of float64.
            twice = isinstance(value, int) and abs(value) > 2**53
            nearest = exact.to_float32(Fraction(value)) if twice else np.float32(value)
            return dtype.encode(np.array([nearest]))
        return np.array([int(self.value)], dtype.storage)

    def summary(self) -> Summary:
        """A point."""
        value = float(self.value)
        return Summary(value, 0.0, value, value, None)


class Formula(Protocol):
    """Elements as a function of their index; hashable."""

    @property
    def reach(self) -> tuple[float, float]:
        """Values that no element passes."""

    def at(self, indices: Indices) -> Doubles:
        """The elements at these indices, in row-major order of the shape."""

    def summary(self) -> Summary:
        """Moments and bounds of the elements."""


@dataclass(frozen=True)
class Pattern(Fill):
    """What depends on the index alone: nothing is drawn, and a range costs no more than its size.

    Every element is computed in float64 and rounded once to float32.
    """

    formula: Formula

    @property
    def reach(self) -> tuple[float, float]:
        """Of the formula."""
        return self.formula.reach

    def check(self, dtype: Dtype) -> None:
        """Only floats wide enough for every element."""
        require_room(dtype, self.reach, "values")

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Compute the elements block by block."""
        for piece, part in boxes.pieces(box, out, BLOCK):
            values = self.formula.at(piece.indices())
            part[...] = self.stored(values, source.dtype).reshape(part.shape)

    def stored(self, values: Doubles, dtype: Dtype) -> Elements:
        """Values as elements of a dtype."""
        return dtype.encode(values.astype(np.float32))

    def summary(self) -> Summary:
        """Of the formula."""
        return self.formula.summary()


class Transform(Protocol):
    """A monotone function of draws; hashable."""

    def of(self, draws: Doubles) -> Doubles:
        """The values of draws, both float64."""


@dataclass(frozen=True)
class Derived(Fill):
    """Independent draws, each put through a function in float64 and rounded once to float32.

    The function is made of operations that IEEE 754 fixes (`elementary`), so that the bytes are
    the same everywhere.
    """

    distribution: Uniform | LogUniform
    transform: Transform

    @property
    def reach(self) -> tuple[float, float]:
        """The function at the first and the last float32 that can be drawn."""
        _, _, first, last = self.distribution.parameters
        low, high = self.transform.of(np.array([first, last], np.float64))
        return min(float(low), float(high)), max(float(low), float(high))

    def check(self, dtype: Dtype) -> None:
        """Only floats wide enough for the furthest value."""
        require_room(dtype, self.reach, "values")

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Draw as float32, and go on from there, block by block."""
        draw, wide = source.engine.draw_box, DTYPES["F32"]
        for piece, part in boxes.pieces(box, out, BLOCK):
            draws = np.empty(piece.extents, np.float32)
            draw(source.seed, source.name, self.distribution, wide, piece, draws)
            values = self.transform.of(draws.reshape(-1).astype(np.float64))
            part[...] = source.dtype.encode(values.astype(np.float32)).reshape(part.shape)

    def summary(self) -> Summary:
        """By the midpoint rule over the distribution's quantiles."""
        low, high = self.distribution.low, self.distribution.high
        u = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        if isinstance(self.distribution, LogUniform):
            draws = np.exp(math.log(low) + u * (math.log(high) - math.log(low)))
        else:
            draws = low + u * (high - low)
        return moments(self.transform.of(draws))._replace(lower=self.reach[0], upper=self.reach[1])


_QUANTILES = 1 << 14


def moments(values: Doubles) -> Summary:
    """Mean, standard deviation, ends and excess kurtosis of some values."""
    mean, std = float(values.mean()), float(values.std())
    fourth = float(np.mean(((values - mean) / std) ** 4)) - 3.0 if std > 0 else None
    return Summary(mean, std, float(values.min()), float(values.max()), fourth)
