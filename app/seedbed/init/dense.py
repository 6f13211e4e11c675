"""Fills that need a whole matrix: made once, kept within bounds, read in any cut.

Range reads of one tensor come in chunks, often from several threads, and each would make the matrix
again. So matrices are kept, the least recently used go first, and who comes while one is made
waits for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import ParameterError
from seedbed.stream import DTYPES, Dtype, Summary

if TYPE_CHECKING:
    from seedbed.init.fills import Source

Matrix = NDArray[np.float32]


class MatrixCache:
    """Whole matrices made lately.

    Args:
        max_bytes: kept at the most; one that is larger is made, used and let go.
        threads: that make one matrix at the same time.
        seen: told of each request whether the matrix was there, or being made.
    """

    def __init__(
        self, max_bytes: int, threads: int, seen: Callable[[bool], None] = lambda _: None
    ) -> None:
        self.threads = threads
        self._seen = seen
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._made: OrderedDict[Hashable, Future[Matrix]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Matrix]) -> Matrix:
        """The matrix of this key, made at most once at a time."""
        with self._lock:
            future = self._made.get(key)
            mine = future is None
            if future is None:
                future = self._made[key] = Future()
            self._made.move_to_end(key)
        self._seen(not mine)
        if not mine:
            return future.result()
        try:
            matrix = make()
        except BaseException as error:
            with self._lock:
                self._made.pop(key, None)
            future.set_exception(error)
            raise
        future.set_result(matrix)
        self._shrink()
        return matrix

    def _shrink(self) -> None:
        with self._lock:
            done = [(key, f.result().nbytes) for key, f in self._made.items() if f.done()]
            total = sum(size for _, size in done)
            for key, size in done:
                if total <= self._max_bytes:
                    break
                total -= size
                del self._made[key]


def require_room(dtype: Dtype, reach: tuple[float, float], what: str) -> None:
    """Refuse a dtype that is no float, or too narrow for values that reach so far.

    Raises:
        ParameterError: with the values and the dtype's range.
    """
    if not dtype.is_float:
        raise ParameterError(
            f"{dtype.code} holds whole numbers; only constants can fill it", ("dtype",)
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


class Recipe(Protocol):
    """How a whole matrix is made; hashable, since matrices are kept by it."""

    @property
    def reach(self) -> tuple[float, float]:
        """Values that no element passes."""

    def make(self, source: Source) -> Matrix:
        """All elements as float32, in the order of the file (any shape with that order)."""

    def summary(self) -> Summary:
        """Moments and bounds of the elements."""


@dataclass(frozen=True)
class Dense:
    """A fill whose elements depend on each other.

    Attributes:
        recipe: makes all of them.
        elements: how many there are; a setting bounds it.
    """

    recipe: Recipe
    elements: int

    def check(self, dtype: Dtype) -> None:
        """Only floats wide enough for every element."""
        require_room(dtype, self.recipe.reach, "values")

    def write(self, source: Source, start: int, out: memoryview) -> None:
        """Cut the elements out of the whole."""
        key = (self.recipe, source.seed, source.name)
        whole = source.matrices.get(key, lambda: self.recipe.make(source)).reshape(-1)
        target = np.frombuffer(out, source.dtype.storage)
        target[:] = source.dtype.encode(whole[start : start + len(target)])

    def summary(self) -> Summary:
        """Of the recipe."""
        return self.recipe.summary()
