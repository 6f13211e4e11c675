"""What fills a tensor: writes elements `[start, stop)` into a buffer, whatever lies before them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import ParameterError
from seedbed.init.dense import MatrixCache
from seedbed.stream import DTYPES, Distribution, Dtype, Engine, Summary, exact


@dataclass(frozen=True, slots=True)
class Source:
    """Where the numbers of one tensor come from, and the form they take.

    Attributes:
        engine: who draws.
        seed: of the checkpoint.
        name: the tensor's.
        dtype: of its elements.
        matrices: where whole matrices are kept.
    """

    engine: Engine
    seed: int
    name: str
    dtype: Dtype
    matrices: MatrixCache


class Fill(Protocol):
    """The content of a tensor as a function of element index."""

    def check(self, dtype: Dtype) -> None:
        """Refuse a dtype that cannot hold every value, so that no file has an infinity or NaN.

        Raises:
            ParameterError: with the values and the dtype's range.
        """

    def write(self, source: Source, start: int, out: memoryview) -> None:
        """Write elements `[start, start + len(out) // size)` into `out`, whole elements."""

    def summary(self) -> Summary:
        """Moments and bounds of the values before rounding to the dtype."""


@dataclass(frozen=True)
class Drawn:
    """Independent draws, one stream word an element."""

    distribution: Distribution

    def check(self, dtype: Dtype) -> None:
        """Draws need a float, wide enough for the furthest of them."""
        if not dtype.is_float:
            raise ParameterError(
                f"{dtype.code} holds whole numbers; only constants can fill it", ("dtype",)
            )
        low, high = self.distribution.reach
        if low < dtype.lowest or high > dtype.highest:
            raise ParameterError(
                f"draws reach {low:.6g} … {high:.6g}, but {dtype.code} ends at "
                f"{dtype.lowest:.6g} … {dtype.highest:.6g}",
                ("init",),
            )

    def write(self, source: Source, start: int, out: memoryview) -> None:
        """Draw straight into the caller's buffer."""
        source.engine.draw(source.seed, source.name, self.distribution, source.dtype, start, out)

    def summary(self) -> Summary:
        """Of the distribution."""
        return self.distribution.summary()


@dataclass(frozen=True)
class Constant:
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

    def write(self, source: Source, start: int, out: memoryview) -> None:
        """Repeat one element."""
        np.frombuffer(out, source.dtype.storage)[:] = self._element(source.dtype)

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
