"""Fills whose elements depend on each other, so that all of them are made at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from seedbed.init.fill import Elements, Fill, require_room
from seedbed.init.matrices import Matrix
from seedbed.init.source import Source
from seedbed.stream import Box, Dtype, Summary, boxes

BLOCK = 1 << 16
"""Elements taken at a time."""


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
class Dense(Fill):
    """A fill whose elements depend on each other.

    Attributes:
        recipe: makes all of them.
        elements: how many there are; a setting bounds it.
    """

    recipe: Recipe
    elements: int

    @property
    def reach(self) -> tuple[float, float]:
        """Of the recipe."""
        return self.recipe.reach

    @property
    def dense_elements(self) -> int:
        """All of them."""
        return self.elements

    def check(self, dtype: Dtype) -> None:
        """Only floats wide enough for every element."""
        require_room(dtype, self.reach, "values")

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Take the elements out of the whole."""
        key = (self.recipe, source.seed, source.name)
        whole = source.matrices.get(key, lambda: self.recipe.make(source)).reshape(-1)
        for piece, part in boxes.pieces(box, out, BLOCK):
            part[...] = source.dtype.encode(whole[piece.indices()]).reshape(part.shape)

    def summary(self) -> Summary:
        """Of the recipe."""
        return self.recipe.summary()
