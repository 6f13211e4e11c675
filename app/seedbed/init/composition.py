"""A tensor put together from boxes of its elements, each with a fill of its own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from seedbed.errors import ShapeError
from seedbed.init.arrays import Array, concatenate
from seedbed.init.fill import Fill
from seedbed.init.fills import Constant, Derived, Drawn
from seedbed.init.integers import Integers
from seedbed.init.views import Shape

Region = tuple[range, ...]
"""A box: an interval of each axis."""

_PIECES = 1024
"""Boxes that the boundaries of all parts may cut a tensor into."""


@dataclass(frozen=True, slots=True)
class Part:
    """A box of a tensor and what fills it.

    Attributes:
        box: an interval of each axis.
        fill: over the box's own shape, or over the whole tensor if it is element-wise.
    """

    box: Region
    fill: Fill

    @property
    def shape(self) -> Shape:
        """Of the box."""
        return tuple(map(len, self.box))

    def within(self, box: Region, shape: Shape) -> Array:
        """The elements of a smaller box of a tensor of this shape."""
        if is_elementwise(self.fill):
            return _cut(Array(self.fill, shape, (), ""), box)
        pairs = zip(box, self.box, strict=True)
        own = tuple(range(a.start - b.start, a.stop - b.start) for a, b in pairs)
        return _cut(Array(self.fill, self.shape, (), ""), own)


def is_elementwise(fill: Fill) -> bool:
    """Whether each element follows from the word of its own place, wherever a part begins."""
    return isinstance(fill, Drawn | Derived | Integers | Constant)


def composed(shape: Shape, base: Fill | None, parts: Sequence[Part]) -> Fill:
    """The fill of a tensor of which some boxes are filled otherwise.

    Args:
        shape: of the tensor.
        base: of what no part covers; `None` if there is nothing.
        parts: boxes that do not overlap.

    Raises:
        ShapeError: the boundaries of the parts cut the tensor into too many boxes.
    """
    whole = tuple(map(range, shape))
    rest = [] if base is None else [Part(whole, base)]
    return _Composition(shape, rest).of(whole, parts).fill


class _Composition:
    """A tensor that is being put together."""

    def __init__(self, shape: Shape, base: Sequence[Part]) -> None:
        self._shape = shape
        self._base = base
        self._pieces = 0

    def of(self, box: Region, parts: Sequence[Part]) -> Array:
        """The elements of a box, cut along one axis after the other where a part begins or ends."""
        inside = [part for part in parts if meet(part.box, box)]
        for axis, interval in enumerate(box):
            ends = {end for part in inside for end in _ends(part.box[axis])}
            between = {end for end in ends if interval.start < end < interval.stop}
            cuts = sorted({interval.start, *between, interval.stop})
            if len(cuts) > 2:
                boxes = [
                    (*box[:axis], range(start, stop), *box[axis + 1 :])
                    for start, stop in itertools.pairwise(cuts)
                ]
                return _concatenated([self.of(piece, inside) for piece in boxes], axis)
        if not all(box):  # no elements: whatever fills it fills nothing, and no part meets it
            inside = list(parts)
        self._pieces += 1
        if self._pieces > _PIECES:
            raise ShapeError(
                f"the parts cut the tensor into more than {_PIECES:,} boxes", ("shape",)
            )
        return (*inside, *self._base)[0].within(box, self._shape)


def meet(region: Region, other: Region) -> bool:
    """Whether two boxes have elements in common."""
    pairs = zip(region, other, strict=True)
    return all(max(a.start, b.start) < min(a.stop, b.stop) for a, b in pairs)


def _ends(interval: range) -> tuple[int, int]:
    return interval.start, interval.stop


def _first(rank: int, axis: int) -> tuple[int, ...]:
    """The order of axes with one before the others."""
    return (axis, *(other for other in range(rank) if other != axis))


def _cut(array: Array, box: Region) -> Array:
    """A box of an array."""
    for axis, interval in enumerate(box):
        if len(interval) < array.shape[axis]:
            turned = array.transpose(*_first(len(box), axis))[interval.start : interval.stop]
            array = _back(turned, axis)
    return array


def _concatenated(arrays: Sequence[Array], axis: int) -> Array:
    """As `numpy.concatenate`."""
    order = _first(len(arrays[0].shape), axis)
    return _back(concatenate([array.transpose(*order) for array in arrays]), axis)


def _back(array: Array, axis: int) -> Array:
    """An array whose first axis goes back to its place."""
    return array.transpose(*range(1, axis + 1), 0, *range(axis + 1, len(array.shape)))
