"""What every fill can do: say what it holds, and write any part of it, whatever lies before."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import ParameterError, Path
from seedbed.init.matrices import Job
from seedbed.init.source import Source
from seedbed.stream import DTYPES, Box, Dtype, Summary, packed_bytes

Elements = NDArray[Any]


class Fill(ABC):
    """The content of a tensor as a function of element index; a frozen dataclass."""

    __slots__ = ()

    @abstractmethod
    def check(self, dtype: Dtype) -> None:
        """Refuse a dtype that cannot hold every value, so that no draw is an infinity or NaN.

        Raises:
            ParameterError: with the values and the dtype's range.
        """

    @abstractmethod
    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Write the elements of a box, in time and memory that depend on its size only.

        Args:
            source: where numbers come from, and the dtype.
            box: which elements, of the tensor in row-major order.
            out: of the box's extents and the dtype's `storage`; a view of anything, in any order.
        """

    def write(self, source: Source, start: int, out: memoryview) -> None:
        """Write the elements from `start` on into `out`, whole units of them."""
        dtype = source.dtype
        if isinstance(dtype, Dtype) and dtype.per_unit > 1:
            count = len(out) // dtype.size_bytes * dtype.per_unit
            codes = np.empty(count, dtype.storage)
            if count:
                self.write_box(source, Box.run(start, count), codes)
            out[:] = packed_bytes(codes, dtype.bits).data
            return
        elements = np.frombuffer(out, dtype.storage)
        if len(elements):
            self.write_box(source, Box.run(start, len(elements)), elements)

    @abstractmethod
    def summary(self) -> Summary:
        """Moments and bounds of the values before rounding to the dtype."""

    @property
    def reach(self) -> tuple[float, float]:
        """Values that no element passes."""
        _, _, lower, upper, _ = self.summary()
        return -math.inf if lower is None else lower, math.inf if upper is None else upper

    @property
    def writes_pairs(self) -> bool:
        """Whether it can write `Pairs`, which only engines can."""
        return False

    @property
    def dense_elements(self) -> int:
        """Elements of the largest matrix that is made as a whole for it; 0 for none.

        Without one, any box costs what the box holds.
        """
        return 0

    @property
    def dense_bytes(self) -> int:
        """Memory that the matrix takes which takes most."""
        return 0

    def matrices(self, source: Source, start: int, stop: int) -> Iterator[Job]:  # noqa: ARG002
        """The matrices that elements `[start, stop)` are taken from, each once or more."""
        return iter(())


DRAWS = "draws"


def require_room(dtype: Dtype, reach: tuple[float, float], what: str) -> None:
    """Refuse a dtype that is no float, or too narrow for values that reach so far.

    Raises:
        ParameterError: with the values and the dtype's range.
    """
    if not dtype.is_float:
        raise ParameterError(
            f"{dtype.code} holds whole numbers; only constants, literals, arange and "
            "random_integers can fill it",
            ("dtype",),
        )
    if dtype.is_complex and what != DRAWS:
        raise ParameterError(
            f"{dtype.code} holds pairs of independent draws, or constants; not {what}", ("dtype",)
        )
    # A float64 element is a widened float32, so float32's range is its range too.
    range_of = DTYPES["F32"] if dtype.code == "F64" else dtype
    low, high = reach
    if not range_of.lowest <= low <= high <= range_of.highest:
        raise ParameterError(
            f"{what} reach {low:.6g} … {high:.6g}, but {dtype.code} ends at "
            f"{range_of.lowest:.6g} … {range_of.highest:.6g}",
            ("init",),
        )


def require_holds(dtype: Dtype, value: float, path: Path) -> None:
    """Refuse a dtype that cannot hold a number that a spec gives: exactly if it holds integers.

    Raises:
        ParameterError: with the number and the dtype's range.
    """
    if not math.isfinite(value):
        if dtype.has_infinity or (math.isnan(value) and dtype.has_nan):
            return
        raise ParameterError(f"{dtype.code} has no {value!r}", path)
    if not dtype.is_float and value != int(value):
        raise ParameterError(f"{dtype.code} cannot hold {value!r}", path)
    # A float64 element is a widened float32, so float32's range is its range too.
    range_of = DTYPES["F32"] if dtype.code == "F64" else dtype
    if not range_of.lowest <= value <= range_of.highest:
        raise ParameterError(
            f"{value!r} is outside {dtype.code}, which ends at "
            f"{range_of.lowest:.6g} … {range_of.highest:.6g}",
            path,
        )
