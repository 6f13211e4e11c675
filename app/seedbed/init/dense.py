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


class StackRecipe(Recipe, Protocol):
    """How matrices of a stack are made, each on its own."""

    @property
    def working_bytes(self) -> int:
        """Memory that making them takes."""

    def some(self, first: int, count: int) -> StackRecipe:
        """Of so many matrices from one of them on."""


GROUP = 1 << 16
"""Elements of matrices that are made together, if they are small."""

_MATRICES = 64
"""Matrices that are made together at the most, since each takes time of its own."""


@dataclass(frozen=True)
class Stacked(Fill):
    """Matrices one after the other, each made as a whole and on its own; small ones in groups.

    Attributes:
        recipe: makes some of them.
        elements: of one item: the matrices that are made as one.
        within: matrices of an item.
        items: how many there are.
    """

    recipe: StackRecipe
    elements: int
    within: int
    items: int

    @property
    def reach(self) -> tuple[float, float]:
        """Of the recipe."""
        return self.recipe.reach

    @property
    def dense_elements(self) -> int:
        """Of an item."""
        return self.elements

    @property
    def dense_bytes(self) -> int:
        """Of a group."""
        return self._group(0).dense_bytes

    @property
    def _each(self) -> int:
        """Items of a group."""
        most = min(GROUP // self.elements, _MATRICES // self.within)
        return min(max(most, 1), self.items)

    def _group(self, number: int) -> Dense:
        first = number * self._each
        items = min(self._each, self.items - first)
        recipe = self.recipe.some(first * self.within, items * self.within)
        return Dense(recipe, items * self.elements, recipe.working_bytes)

    def check(self, dtype: Dtype) -> None:
        """Only floats wide enough for every element."""
        require_room(dtype, self.reach, "values")

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Take the elements out of their groups."""
        size = self._each * self.elements
        todo = [(box, out)] if out.size else []
        while todo:
            box, out = todo.pop()
            number = box.start // size
            if box.last < (number + 1) * size:
                self._group(number).write_box(source, box.moved(-number * size), out)
            else:
                todo += boxes.parted(box, out, (number + 1) * size)

    def matrices(self, source: Source, start: int, stop: int) -> Iterator[Job]:
        """Those of the groups that are touched."""
        size = self._each * self.elements
        for number in range(start // size, -(-stop // size) if start < stop else 0):
            yield from self._group(number).matrices(source, 0, 1)

    def summary(self) -> Summary:
        """Of the recipe."""
        return self.recipe.summary()


def stack(recipe: StackRecipe, matrix: int, within: int, items: int) -> Fill:
    """A fill of matrices in items that follow each other.

    Args:
        recipe: makes all matrices of an item.
        matrix: elements of a matrix.
        within: matrices of an item.
        items: how many there are.
    """
    elements = matrix * within
    if elements * items == 0 or items == 1:
        return Dense(recipe, elements * items, recipe.working_bytes)
    return Stacked(recipe, elements, within, items)
