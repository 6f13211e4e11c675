"""Fills whose elements depend on each other, so that all of them are made at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from seedbed.init.fill import Elements, Fill, require_room
from seedbed.init.matrices import Check, Job, Matrix
from seedbed.init.source import Source
from seedbed.stream import Box, Dtype, Summary, boxes

BLOCK = 1 << 16
"""Elements taken at a time."""

_ELEMENT_BYTES = 28
"""Memory for an element of a matrix that is drawn, sorted and rounded."""


class Recipe(Protocol):
    """How a whole matrix is made; hashable, since matrices are kept by it."""

    @property
    def reach(self) -> tuple[float, float]:
        """Values that no element passes."""

    def make(self, source: Source, check: Check) -> Matrix:
        """All elements as float32, in the order of the file (any shape with that order).

        Args:
            source: where draws come from.
            check: to be called now and then; it raises if the matrix is not wanted any more.
        """

    def summary(self) -> Summary:
        """Moments and bounds of the elements."""


@dataclass(frozen=True)
class Dense(Fill):
    """A fill whose elements depend on each other.

    Attributes:
        recipe: makes all of them.
        elements: how many there are; a setting bounds it.
        working_bytes: memory that making them takes; by default what most recipes need.
    """

    recipe: Recipe
    elements: int
    working_bytes: int = 0

    @property
    def reach(self) -> tuple[float, float]:
        """Of the recipe."""
        return self.recipe.reach

    @property
    def dense_elements(self) -> int:
        """All of them."""
        return self.elements

    @property
    def dense_bytes(self) -> int:
        """Of this one."""
        return self.working_bytes or _ELEMENT_BYTES * self.elements

    def check(self, dtype: Dtype) -> None:
        """Only floats wide enough for every element."""
        require_room(dtype, self.reach, "values")

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Take the elements out of the whole."""
        with source.matrices.hold(self._job(source)) as matrix:
            whole = matrix.reshape(-1)
            for piece, part in boxes.pieces(box, out, BLOCK):
                part[...] = source.dtype.encode(whole[piece.indices()]).reshape(part.shape)

    def matrices(self, source: Source, start: int, stop: int) -> Iterator[Job]:
        """This one."""
        if start < stop:
            yield self._job(source)

    def _job(self, source: Source) -> Job:
        key = (self.recipe, source.seed, source.name)
        return Job(key, self.dense_bytes, lambda check: self.recipe.make(source, check))

    def summary(self) -> Summary:
        """Of the recipe."""
        return self.recipe.summary()
