"""Boxes: the elements of a flat tensor that nested strides reach, and where they go.

A box says which elements; beside it goes an array of the same extents, in any memory order, for
their values. Whatever cuts, turns or merges a box does the same to that array, which stays a view.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Box:
    """Elements of a flat tensor: `(i, j, …)` is number `start + i·strides[0] + j·strides[1] + …`.

    Attributes:
        start: number of the first element.
        extents: how many there are along each axis.
        strides: from one to the next along each axis, in elements; not negative.
    """

    start: int
    extents: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def run(cls, start: int, count: int) -> Box:
        """Elements `[start, start + count)`."""
        return cls(start, (count,), (1,))

    @property
    def size(self) -> int:
        """How many elements there are."""
        return math.prod(self.extents)

    @property
    def last(self) -> int:
        """The greatest number of an element; the box must have one."""
        spans = ((e - 1) * s for e, s in zip(self.extents, self.strides, strict=True))
        return self.start + sum(spans)

    @property
    def is_run(self) -> bool:
        """Whether the elements follow each other."""
        return len(self.extents) == 1 and self.strides[0] == 1

    def moved(self, offset: int) -> Box:
        """The same elements of what lies so much further on."""
        return Box(self.start + offset, self.extents, self.strides)

    def indices(self) -> Indices:
        """Numbers of all elements, flat, in order."""
        numbers = np.array([self.start], np.int64)
        for extent, stride in zip(self.extents, self.strides, strict=True):
            numbers = np.add.outer(numbers, np.arange(extent, dtype=np.int64) * stride)
        return numbers.reshape(-1)


def pieces(box: Box, out: Values, most: int) -> Iterator[tuple[Box, Values]]:
    """A box in order, at most so many elements at a time, with inner axes whole where they fit."""
    size, axis = 1, len(box.extents)
    while axis and size * box.extents[axis - 1] <= most:
        axis -= 1
        size *= box.extents[axis]
    if not axis:
        yield box, out
        return
    cut = axis - 1
    extent, stride = box.extents[cut], box.strides[cut]
    step = max(most // size, 1)
    for index in product(*map(range, box.extents[:cut])):
        start = box.start + sum(i * s for i, s in zip(index, box.strides[:cut], strict=True))
        rows = out[index]
        for low in range(0, extent, step):
            high = min(low + step, extent)
            extents = (high - low, *box.extents[axis:])
            yield Box(start + low * stride, extents, box.strides[cut:]), rows[low:high]


def merged(box: Box) -> Box:
    """The same elements in the same order, with as few axes as that takes."""
    kept: list[tuple[int, int]] = []
    for extent, stride in zip(box.extents, box.strides, strict=True):
        if kept and kept[-1][1] == extent * stride:
            kept[-1] = kept[-1][0] * extent, stride
        elif extent > 1:
            kept.append((extent, stride))
    extents, strides = zip(*(kept or [(box.size, 1)]), strict=True)
    return Box(box.start, extents, strides)


def ordered(box: Box, out: Values) -> tuple[Box, Values]:
    """The same elements in the order of `out`, without axes of 1, merged where both sides allow it.

    Negative strides are taken, and turned round.
    """
    extents, strides, start = box.extents, list(box.strides), box.start
    axes = [axis for axis, extent in enumerate(extents) if extent > 1]
    for axis in axes:
        if strides[axis] < 0:
            start += (extents[axis] - 1) * strides[axis]
            strides[axis] = -strides[axis]
            out = np.flip(out, axis)
    axes.sort(key=lambda axis: -out.strides[axis])
    out = out.transpose([*(a for a, e in enumerate(extents) if e <= 1), *axes])
    kept: list[tuple[int, int, int]] = []  # extent, stride, bytes from one to the next in `out`
    for axis, width in zip(axes, out.strides[out.ndim - len(axes) :], strict=True):
        extent, stride = extents[axis], strides[axis]
        if kept and kept[-1][1] == extent * stride and kept[-1][2] == extent * width:
            kept[-1] = kept[-1][0] * extent, stride, width
        else:
            kept.append((extent, stride, width))
    if not kept or not out.size:
        return Box(start, (out.size,), (1,)), out.reshape(out.size)
    shape = tuple(extent for extent, _, _ in kept)
    return Box(start, shape, tuple(stride for _, stride, _ in kept)), out.reshape(shape)


def parted(box: Box, out: Values, bound: int) -> Iterator[tuple[Box, Values]]:
    """A box that has elements on both sides of a bound, as boxes that have them on one.

    `out` may have axes before those of the box, which are left alone.
    """
    if not box.start < bound <= box.last:
        yield box, out
        return
    axis = max(range(len(box.extents)), key=lambda a: (box.extents[a] > 1, box.strides[a]))
    extent, stride = box.extents[axis], box.strides[axis]
    rest = box.last - box.start - (extent - 1) * stride
    below = max(-((box.start + rest - bound) // stride), 0)  # that end before the bound
    begun = min(-((box.start - bound) // stride), extent)  # that begin before it
    yield from part_of(box, out, axis, 0, below)
    for number in range(below, begun):
        yield from parted(*row_of(box, out, axis, number), bound)
    yield from part_of(box, out, axis, begun, extent)


def part_of(
    box: Box, out: Values, axis: int, first: int, stop: int
) -> Iterator[tuple[Box, Values]]:
    """The box of `[first, stop)` along an axis, unless that is empty."""
    if first < stop:
        extents = (*box.extents[:axis], stop - first, *box.extents[axis + 1 :])
        start = box.start + first * box.strides[axis]
        yield Box(start, extents, box.strides), out[_at(box, axis, slice(first, stop))]


def row_of(box: Box, out: Values, axis: int, number: int) -> tuple[Box, Values]:
    """The box at one place of an axis, which it has no more."""
    return _without(box, axis).moved(number * box.strides[axis]), out[_at(box, axis, number)]


def _without(box: Box, axis: int) -> Box:
    extents = (*box.extents[:axis], *box.extents[axis + 1 :])
    return Box(box.start, extents, (*box.strides[:axis], *box.strides[axis + 1 :]))


def _at(box: Box, axis: int, place: int | slice) -> Any:
    return (..., place, *[slice(None)] * (len(box.extents) - axis - 1))


class _Way(NamedTuple):
    """A box on its way through a tensor: axes of the tensor up to `axis` are behind it.

    Attributes:
        box: what is still to be placed, within one row of the axes behind.
        out: for its values; axes that are placed come first.
        axis: of the tensor, that comes next.
        base: where the row lies.
        extents, strides: of the axes that are placed.
    """

    box: Box
    out: Values
    axis: int
    base: int
    extents: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()


def through(
    box: Box, out: Values, shape: tuple[int, ...], strides: tuple[int, ...], base: int = 0
) -> Iterator[tuple[Box, Values]]:
    """A box of a tensor whose own elements lie in nested strides, as boxes of what they lie in.

    Args:
        box: in the row-major order of `shape`.
        out: for its values.
        shape: of the tensor.
        strides: of its axes in what it lies in; negative ones give negative strides.
        base: where its first element lies.
    """
    todo = [_Way(box, out, 0, base)]
    while todo:
        box, out, axis, base, extents, along = todo.pop()
        period = math.prod(shape[axis + 1 :])
        for k in reversed(range(len(box.extents))):
            if box.extents[k] == 1 or box.strides[k] % period == 0:  # it moves along this axis only
                out = np.moveaxis(out, len(extents) + k, len(extents))
                extents = (*extents, box.extents[k])
                along = (*along, box.strides[k] // period * strides[axis])
                box = _without(box, k)
        row, place = divmod(box.start, period)
        below = base + row * strides[axis]
        if axis == len(shape) - 1:
            yield Box(below, extents, along), out
        elif place + box.last - box.start < period:
            inner = box.moved(-row * period)
            todo.append(_Way(inner, out, axis + 1, below, extents, along))
        else:
            todo += [_Way(*part, axis, base, extents, along) for part in _cut(box, out, period)]


def _cut(box: Box, out: Values, period: int) -> Iterator[tuple[Box, Values]]:
    """A box that goes past the end of a row: what is before that, whole rows, and what is behind.

    Not all that it gives need end within a row.
    """
    axis = max(range(len(box.extents)), key=box.strides.__getitem__)
    extent, stride = box.extents[axis], box.strides[axis]
    row, place = divmod(box.start, period)
    if period % stride or extent * stride <= period:
        yield from parted(box, out, (row + 1) * period)
        return
    each = period // stride
    first = -(place // stride) % each
    rows = (extent - first) // each
    stop = first + rows * each
    yield from part_of(box, out, axis, 0, first)
    for whole, part in part_of(box, out, axis, first, stop):
        extents = (*box.extents[:axis], rows, each, *box.extents[axis + 1 :])
        strides = (*box.strides[:axis], period, stride, *box.strides[axis + 1 :])
        behind = part.ndim - len(box.extents) + axis
        split = part.reshape(*part.shape[:behind], rows, each, *part.shape[behind + 1 :])
        yield Box(whole.start, extents, strides), split
    yield from part_of(box, out, axis, stop, extent)
