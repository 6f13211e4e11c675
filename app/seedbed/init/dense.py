"""Fills whose elements depend on each other, so that all of them are made at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from seedbed.init.fill import Fill, require_room
from seedbed.init.matrices import Matrix
from seedbed.init.source import Source
from seedbed.stream import Dtype, Summary


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

    def write(self, source: Source, start: int, out: memoryview) -> None:
        """Cut the elements out of the whole."""
        key = (self.recipe, source.seed, source.name)
        whole = source.matrices.get(key, lambda: self.recipe.make(source)).reshape(-1)
        target = np.frombuffer(out, source.dtype.storage)
        target[:] = source.dtype.encode(whole[start : start + len(target)])

    def summary(self) -> Summary:
        """Of the recipe."""
        return self.recipe.summary()
