"""Fills of one draw, one number or one formula."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import ParameterError
from seedbed.init.fill import DRAWS, Elements, Fill, require_holds, require_room
from seedbed.init.source import Source
from seedbed.stream import (
    DTYPES,
    Box,
    Distribution,
    Dtype,
    Form,
    LogUniform,
    Summary,
    TruncatedNormal,
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

    @property
    def writes_pairs(self) -> bool:
        """It asks the engine."""
        return True

    def check(self, dtype: Dtype) -> None:
        """Draws need a float, wide enough for the furthest of them."""
        require_room(dtype, self.reach, DRAWS)

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

    @property
    def reach(self) -> tuple[float, float]:
        """The value, exactly, where it is an integer past float64."""
        return self.value, self.value

    def check(self, dtype: Dtype) -> None:
        """Integers must be exact, floats within range."""
        require_holds(dtype, self.value, ("init", "value"))

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Repeat one element."""
        out[...] = self._element(source.dtype)

    def _element(self, dtype: Form) -> NDArray[np.generic]:
        """An array of one element."""
        return encoded((self.value,), dtype)

    def summary(self) -> Summary:
        """A point."""
        value = float(self.value)
        return Summary(value, 0.0, value, value, None)


def encoded(values: Sequence[int | float], dtype: Form) -> Elements:
    """Numbers that a dtype can hold, as its elements: a float32 by definition if it is a float."""
    if not dtype.is_float:
        return np.array([int(value) for value in values], dtype.storage)
    # NumPy would round a whole number past 2**53 twice, by way of float64.
    nearest = [
        exact.to_float32(Fraction(value))
        if isinstance(value, int) and abs(value) > 2**53
        else np.float32(value)
        for value in values
    ]
    return dtype.encode_any(np.array(nearest, np.float32))


@dataclass(frozen=True)
class Listed(Fill):
    """Numbers that the spec lists, in row-major order."""

    values: tuple[int | float, ...]

    def check(self, dtype: Dtype) -> None:
        """Integers must be exact, floats within range."""
        for place, value in enumerate(self.values):
            require_holds(dtype, value, ("init", "values", place))

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Take them from the list."""
        elements = self._elements(source.dtype)
        for piece, part in boxes.pieces(box, out, BLOCK):
            part[...] = elements[piece.indices()].reshape(part.shape)

    def _elements(self, dtype: Form) -> Elements:
        if dtype.code not in self._encoded:
            self._encoded[dtype.code] = encoded(self.values, dtype)
        return self._encoded[dtype.code]

    @cached_property
    def _encoded(self) -> dict[str, Elements]:
        """Elements by dtype, since a range is a few of them."""
        return {}

    def summary(self) -> Summary:
        """Of these numbers."""
        if not self.values:
            return Summary(0.0, 0.0, 0.0, 0.0, None)
        values = np.array([float(value) for value in self.values])
        if not np.isfinite(values).all():
            nowhere = math.nan
            return Summary(nowhere, nowhere, float(values.min()), float(values.max()), None)
        return moments(values)._replace(excess_kurtosis=None)


@dataclass(frozen=True)
class Counted(Fill):
    """Evenly spaced numbers along one axis, the same at every index of the others.

    Attributes:
        start: the first.
        step: from one to the next.
        length: of the axis.
        stride: from one to the next along it, in elements.
        repeat: elements in a row along it that have the same number.
    """

    start: int | float
    step: int | float
    length: int
    stride: int
    repeat: int = 1

    @property
    def _ends(self) -> tuple[int | float, int | float]:
        last = self.start + self.step * (max(self.length - 1, 0) // self.repeat)
        return min(self.start, last), max(self.start, last)

    @property
    def reach(self) -> tuple[float, float]:
        """The first and the last."""
        low, high = self._ends
        return float(low), float(high)

    def check(self, dtype: Dtype) -> None:
        """Integers must be exact, floats within range."""
        for name, value in (("start", self.start), ("step", self.step)):
            if not dtype.is_float and not isinstance(value, int):
                raise ParameterError(f"{dtype.code} cannot hold {value!r}", ("init", name))
        for value in self._ends if self.length else ():
            require_holds(dtype, value, ("init",))

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Compute the elements block by block."""
        for piece, part in boxes.pieces(box, out, BLOCK):
            places = (piece.indices() // self.stride) % self.length // self.repeat
            part[...] = self._at(places, source.dtype).reshape(part.shape)

    def _at(self, places: Indices, dtype: Form) -> Elements:
        if dtype.is_float:
            values = float(self.start) + places.astype(np.float64) * float(self.step)
            return dtype.encode(values.astype(np.float32))
        start, step = (np.uint64(int(value) % 2**64) for value in (self.start, self.step))
        # Modulo 2⁶⁴, in which whatever the dtype can hold comes out right.
        return (start + places.astype(np.uint64) * step).astype(dtype.storage)

    def summary(self) -> Summary:
        """Of numbers with even spaces."""
        low, high = self.reach
        if not self.length:
            return Summary(0.0, 0.0, 0.0, 0.0, None)
        whole, rest = divmod(self.length, self.repeat)
        first = self.repeat * whole * (whole - 1) // 2 + rest * whole
        second = self.repeat * whole * (whole - 1) * (2 * whole - 1) // 6 + rest * whole**2
        variance = Fraction(self.length * second - first**2, self.length**2)
        mean = float(self.start) + float(self.step) * (first / self.length)
        return Summary(mean, abs(float(self.step)) * math.sqrt(variance), low, high, None)


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

    def stored(self, values: Doubles, dtype: Form) -> Elements:
        """Values as elements of a dtype."""
        return dtype.encode(values.astype(np.float32))

    def summary(self) -> Summary:
        """Of the formula."""
        return self.formula.summary()


class Transform(Protocol):
    """A function of draws; hashable."""

    def of(self, draws: Doubles) -> Doubles:
        """The values of draws, both float64."""

    def reach(self, low: float, high: float) -> tuple[float, float]:
        """Values that no value of a draw between these passes.

        Raises:
            ParameterProblem: the function is not defined for all of them.
        """


@dataclass(frozen=True)
class Derived(Fill):
    """Independent draws, each put through a function in float64 and rounded once to float32.

    The function is made of operations that IEEE 754 fixes (`elementary`), so that the bytes are
    the same everywhere.
    """

    distribution: Distribution
    transform: Transform

    @cached_property
    def _reach(self) -> tuple[float, float]:
        return self.transform.reach(*drawn_between(self.distribution))

    @property
    def reach(self) -> tuple[float, float]:
        """Of the function, between the least and the greatest float32 that can be drawn."""
        return self._reach

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
        values = self.transform.of(quantiles(self.distribution))
        return moments(values)._replace(lower=self.reach[0], upper=self.reach[1])


_EXTREMES = np.array([0, 2**31 - 1, 2**31, 2**32 - 1], np.uint32)
"""Words that are drawn furthest, of a distribution whose sides meet in the middle of them."""

_LOOSE = 2.0**-20
"""How much further than its formula a normal map in float32 may go, of its greatest value."""


def drawn_between(distribution: Distribution) -> tuple[float, float]:
    """Bounds of the float32 that can be drawn; those of a uniform are drawn."""
    first, last = (float(end) for end in distribution.parameters[-2:])
    if isinstance(distribution, LogUniform):
        return first, last
    if isinstance(distribution, Uniform):
        draws = distribution.draw(_EXTREMES)
        return float(draws.min()), float(draws.max())
    low, high = distribution.reach
    loose = _LOOSE * max(abs(low), abs(high))
    return max(low - loose, first), min(high + loose, last)


_QUANTILES = 1 << 14


@lru_cache(maxsize=64)
def quantiles(distribution: Distribution) -> Doubles:
    """Values of a distribution at the middles of equal parts of its probability, for people."""
    u = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    if isinstance(distribution, LogUniform):
        low, high = math.log(distribution.low), math.log(distribution.high)
        return np.exp(low + u * (high - low))
    if isinstance(distribution, Uniform):
        return distribution.low + u * (distribution.high - distribution.low)
    parent = NormalDist()
    if isinstance(distribution, TruncatedNormal):
        below = parent.cdf(distribution.lower)
        u = below + u * (parent.cdf(distribution.upper) - below)
    tiny = 1e-16
    z = np.array([parent.inv_cdf(min(max(p, tiny), 1 - tiny)) for p in u.tolist()])
    values = distribution.mean + distribution.std * z
    return np.clip(values, *drawn_between(distribution))


def moments(values: Doubles) -> Summary:
    """Mean, standard deviation, ends and excess kurtosis of some values."""
    mean, std = float(values.mean()), float(values.std())
    fourth = float(np.mean(((values - mean) / std) ** 4)) - 3.0 if std > 0 else None
    return Summary(mean, std, float(values.min()), float(values.max()), fourth)
