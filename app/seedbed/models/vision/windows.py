"""Tables of attention within a window of pixels: where a pixel lies as seen from another.

They are buffers that a model saves, of a shape that only a window has. So they are no schemes of
the catalogue, which a spec could ask for; docs/models.md defines them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from seedbed.errors import ParameterError, ShapeError
from seedbed.init import (
    Doubles,
    Fans,
    Fill,
    Indices,
    Pattern,
    Scheme,
    Shape,
    moments,
    sampled,
)
from seedbed.stream import Dtype, Form, Summary, elementary


@dataclass(frozen=True)
class Counted(Pattern):
    """Whole numbers that depend on the index alone, which integers hold too."""

    def check(self, dtype: Dtype) -> None:
        """Integers wide enough, or floats."""
        if dtype.is_float:
            super().check(dtype)
            return
        low, high = self.formula.reach
        if not dtype.lowest <= low <= high <= dtype.highest:
            raise ParameterError(
                f"values reach {low:.0f} … {high:.0f}, but {dtype.code} ends at "
                f"{dtype.lowest:.0f} … {dtype.highest:.0f}",
                ("init",),
            )

    def stored(self, values: Doubles, dtype: Form) -> NDArray[Any]:
        """Integers without rounding."""
        return super().stored(values, dtype) if dtype.is_float else values.astype(dtype.storage)


@dataclass(frozen=True)
class _Pairs:
    """The row of a table of relative positions, for each pair of pixels in a window."""

    height: int
    width: int

    @property
    def reach(self) -> tuple[float, float]:
        return 0.0, float((2 * self.height - 1) * (2 * self.width - 1) - 1)

    def at(self, indices: Indices) -> Doubles:
        pixels = self.height * self.width
        seen_from, seen = indices // pixels, indices % pixels
        down = seen_from // self.width - seen // self.width + self.height - 1
        right = seen_from % self.width - seen % self.width + self.width - 1
        return (down * (2 * self.width - 1) + right).astype(np.float64)

    def summary(self) -> Summary:
        """Of all pairs: the mean is the middle, and both directions vary independently."""
        low, high = self.reach
        rows, columns = ((2 * n * n - 2) / 12.0 for n in (self.height, self.width))
        spread = math.sqrt((2 * self.width - 1) ** 2 * rows + columns)
        return Summary(high / 2.0, spread, low, high, None)


class RelativePositionIndex(Scheme):
    """Row of a relative position bias table, for each pair of pixels in a window of attention.

    Its shape is (H·W, H·W), or that in one dimension, and the table has (2H − 1)·(2W − 1) rows.
    Integers hold it as well as floats.
    """

    scheme: Literal["relative_position_index"] = "relative_position_index"
    formula = "(y_i − y_j + H − 1)·(2W − 1) + x_i − x_j + W − 1, pixels row by row"
    latex = r"(y_i - y_j + H - 1)(2W - 1) + x_i - x_j + W - 1"
    paper = "Liu et al. 2021, Swin Transformer (as in its authors' code)"

    height: int = Field(ge=1, le=2**16, description="Rows of pixels in the window, H.")
    width: int = Field(ge=1, le=2**16, description="Columns of pixels, W.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:  # noqa: ARG002
        """Whole numbers, for that shape alone."""
        pixels = self.height * self.width
        if shape not in {(pixels**2,), (pixels, pixels)}:
            raise ShapeError(
                f"shape {list(shape)} has no pairs of {pixels} pixels: it must be "
                f"{[pixels, pixels]} or {[pixels**2]}",
                ("shape",),
            )
        return Counted(_Pairs(self.height, self.width))


@dataclass(frozen=True)
class _Offsets:
    """Signed logarithms of the offsets in a window, as far as 8 each way."""

    height: int
    width: int

    @property
    def reach(self) -> tuple[float, float]:
        return _FARTHEST[0], _FARTHEST[1]

    def at(self, indices: Indices) -> Doubles:
        axis, place = indices % 2, indices // 2
        across = 2 * self.width - 1
        offset = np.where(
            axis == 0, place // across - (self.height - 1), place % across - (self.width - 1)
        )
        far = np.where(axis == 0, self.height - 1, self.width - 1)
        scaled = np.abs(offset).astype(np.float64) * 8.0 / far
        return np.sign(offset) * (elementary.log(scaled + 1.0) / _LOG_8)

    def summary(self) -> Summary:
        """Of up to as many elements as patterns look at."""
        shape = (2 * self.height - 1, 2 * self.width - 1, 2)
        statistics = moments(self.at(sampled(shape)))
        low, high = self.reach
        return statistics._replace(mean=0.0, lower=low, upper=high, excess_kurtosis=None)


_LOG_8 = float(elementary.log(np.array([8.0]))[0])
_FARTHEST = tuple(sign * float(elementary.log(np.array([9.0]))[0]) / _LOG_8 for sign in (-1.0, 1.0))


class RelativeCoordsTable(Scheme):
    """Log-spaced offsets within a window of attention, the inputs of a continuous position bias.

    For a window of H × W pixels the shape is (2H − 1, 2W − 1, 2), or (1, 2H − 1, 2W − 1, 2).
    """

    scheme: Literal["relative_coords_table"] = "relative_coords_table"
    formula = "sign(d)·log₈(1 + 8·|d| / (n − 1)), d the offset on an axis of n pixels"
    latex = r"\mathrm{sign}(d) \log_8 (1 + 8 |d| / (n - 1))"
    paper = "Liu et al. 2021, Swin Transformer V2 (as in its authors' code)"

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:  # noqa: ARG002
        """A pattern, for those shapes alone."""
        window = shape[1:] if len(shape) == 4 and shape[0] == 1 else shape
        if len(window) != 3 or window[2] != 2 or any(n < 3 or n % 2 == 0 for n in window[:2]):
            raise ShapeError(
                f"shape {list(shape)} has no offsets in a window: it must be (2H − 1, 2W − 1, 2) "
                "with H and W at least 2, or that with a 1 before",
                ("shape",),
            )
        return Pattern(_Offsets((window[0] + 1) // 2, (window[1] + 1) // 2))


@cache
def position_index(height: int, width: int) -> Scheme:
    """Of a window of attention: one object each."""
    return RelativePositionIndex(height=height, width=width)


@cache
def coords_table() -> Scheme:
    """Of any window: one object."""
    return RelativeCoordsTable()
