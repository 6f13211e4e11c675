"""Which elements of a storage a strided tensor has: overlap, containment, ranges along axes.

All of it is arithmetic on offset, shape and strides; addresses are listed for small tensors only.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LISTED = 1 << 22
"""Elements whose addresses are listed where arithmetic alone does not decide."""

Box = tuple[tuple[int, int], ...]
"""A half-open range along each axis."""


@lru_cache(4096)
def _axes(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    pairs = sorted(((s, n) for n, s in zip(shape, strides, strict=True) if n != 1), reverse=True)
    merged: list[tuple[int, int]] = []
    for stride, size in pairs:
        if merged and merged[-1][0] == stride * size:
            merged[-1] = (stride, merged[-1][1] * size)
        else:
            merged.append((stride, size))
    return tuple(merged)


class Geometry(NamedTuple):
    """A strided view of a storage, in elements."""

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many it has."""
        return math.prod(self.shape)

    @property
    def span(self) -> tuple[int, int]:
        """The first address, and the one behind the last."""
        if not self.elements:
            return self.offset, self.offset
        last = sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        return self.offset, self.offset + last + 1

    @property
    def axes(self) -> tuple[tuple[int, int], ...]:
        """(stride, size) in descending order, without axes of size 1, neighbours merged.

        Two injective geometries have the same elements, whatever their order, if offset and axes
        are equal.
        """
        return _axes(self.shape, self.strides)

    @property
    def is_injective(self) -> bool:
        """Whether no address occurs twice (as it does in an expanded tensor)."""
        reach = 0
        for stride, size in reversed(self.axes):
            if stride <= reach:
                return False
            reach += stride * (size - 1)
        return True

    @property
    def is_dense(self) -> bool:
        """Whether every address of the span is taken, once."""
        first, stop = self.span
        return stop - first == self.elements and self.is_injective

    @property
    def is_row_major(self) -> bool:
        """Whether addresses count up by one in the order of the elements."""
        step = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size != 1 and stride != step:
                return False
            step *= size
        return True

    def addresses(self) -> NDArray[np.int64]:
        """Every address, in the order of the elements."""
        offsets = np.array([self.offset], np.int64)
        for size, stride in zip(self.shape, self.strides, strict=True):
            offsets = (offsets[:, None] + np.arange(size, dtype=np.int64) * stride).ravel()
        return offsets

    def moved(self, by: int) -> Geometry:
        """The same elements, counted from elsewhere."""
        return self._replace(offset=self.offset + by)


def row_major(shape: tuple[int, ...], offset: int = 0) -> Geometry:
    """The geometry of a contiguous tensor."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return Geometry(offset, tuple(shape), tuple(reversed(strides)))


def box_of(frame: Geometry, inner: Geometry) -> Box | None:
    """The ranges along the frame's axes that are exactly the inner geometry's elements.

    None if they are no such ranges (steps, diagonals, elements outside of the frame).
    """
    if not inner.elements or not inner.is_injective:
        return None
    order = sorted(range(len(frame.shape)), key=lambda k: -frame.strides[k])
    order = [k for k in order if frame.shape[k] != 1]
    for outer, following in pairwise(order):
        if frame.strides[outer] < frame.strides[following] * frame.shape[following]:
            return None
    rest = inner.offset - frame.offset
    start = dict.fromkeys(range(len(frame.shape)), 0)
    for k in order:
        start[k], rest = divmod(rest, frame.strides[k]) if frame.strides[k] else (0, rest)
        if not 0 <= start[k] < frame.shape[k]:
            return None
    if rest:
        return None
    size = dict.fromkeys(range(len(frame.shape)), 1)
    for stride, length in inner.axes:
        if not _spread(frame, order, start, size, stride, length):
            return None
    return tuple((start[k], start[k] + size[k]) for k in range(len(frame.shape)))


def _spread(
    frame: Geometry,
    order: list[int],
    start: dict[int, int],
    size: dict[int, int],
    stride: int,
    length: int,
) -> bool:
    """Take `length` steps of a stride as ranges along one or more of the frame's axes."""
    at = next((i for i, k in enumerate(order) if frame.strides[k] == stride), None)
    while length > 1:
        if at is None or at < 0:
            return False
        k = order[at]
        if size[k] != 1 or frame.strides[k] != stride:
            return False
        if start[k] + length <= frame.shape[k]:
            size[k], length = length, 1
        elif start[k] == 0 and length % frame.shape[k] == 0:
            size[k], length = frame.shape[k], length // frame.shape[k]
            stride *= frame.shape[k]
            at -= 1
        else:
            return False
    return True


def overlaps(a: Geometry, b: Geometry, frame: Geometry | None = None) -> bool:
    """Whether the two have an element in common; true where that cannot be found out cheaply."""
    (first_a, stop_a), (first_b, stop_b) = a.span, b.span
    if stop_a <= first_b or stop_b <= first_a or not a.elements or not b.elements:
        return False
    if a.is_dense and b.is_dense:
        return True
    if frame is not None:
        in_a, in_b = box_of(frame, a), box_of(frame, b)
        if in_a is not None and in_b is not None:
            return intersection(in_a, in_b) is not None
    if a.elements + b.elements <= LISTED:
        return bool(np.isin(a.addresses(), b.addresses()).any())
    return True


def contains(a: Geometry, b: Geometry, frame: Geometry | None = None) -> bool:
    """Whether every element of b is one of a; false where that cannot be found out cheaply."""
    if not b.elements:
        return True
    (first_a, stop_a), (first_b, stop_b) = a.span, b.span
    if first_b < first_a or stop_b > stop_a:
        return False
    if a.is_dense or (a.offset == b.offset and a.axes == b.axes):
        return True
    for outer in (frame, a):
        if outer is not None:
            in_a, in_b = box_of(outer, a), box_of(outer, b)
            if in_a is not None and in_b is not None:
                return intersection(in_a, in_b) == in_b
    if a.elements + b.elements <= LISTED:
        return bool(np.isin(b.addresses(), a.addresses()).all())
    return False


def intersection(a: Box, b: Box) -> Box | None:
    """The ranges that both have; None if there are none."""
    common = tuple((max(x[0], y[0]), min(x[1], y[1])) for x, y in zip(a, b, strict=True))
    return None if any(start >= stop for start, stop in common) else common


def part_of(frame: Geometry, box: Box) -> Geometry:
    """The geometry of ranges along a frame's axes."""
    offset = frame.offset + sum(
        start * stride for (start, _), stride in zip(box, frame.strides, strict=True)
    )
    return Geometry(offset, tuple(stop - start for start, stop in box), frame.strides)


def composed(outer: Geometry, inner: Geometry) -> Geometry | None:
    """A view of a view: `inner` counts the elements of `outer` in row-major order.

    None if the two together are no strided view.
    """
    if outer.is_row_major:
        return inner.moved(outer.offset)
    return _carried(inner, row_major(outer.shape), outer)


def relative(outer: Geometry, inner: Geometry) -> Geometry | None:
    """A part of `outer` in the row-major numbering of outer's elements; undoes `composed`.

    None if it is no part, or not one that goes along axes.
    """
    if outer.is_row_major:
        return inner.moved(-outer.offset)
    return _carried(inner, outer, row_major(outer.shape))


def _carried(inner: Geometry, old: Geometry, new: Geometry) -> Geometry | None:
    """A part of one geometry as the same part of another of that shape."""
    box = box_of(old, inner)
    if box is None:
        return None
    strides = []
    for size, stride in zip(inner.shape, inner.strides, strict=True):
        if size == 1:
            strides.append(0)
            continue
        along = [k for k, n in enumerate(old.shape) if n != 1 and old.strides[k] == stride]
        if len(along) != 1 or size > box[along[0]][1] - box[along[0]][0]:
            return None
        strides.append(new.strides[along[0]])
    return Geometry(part_of(new, box).offset, inner.shape, tuple(strides))


def without(box: Box, taken: Box) -> list[Box]:
    """What is left of ranges when others are taken out, as ranges again."""
    common = intersection(box, taken)
    if common is None:
        return [box]
    left, rest = [], list(box)
    for axis, (start, stop) in enumerate(common):
        first, last = rest[axis]
        for a, b in ((first, start), (stop, last)):
            if a < b:
                left.append((*rest[:axis], (a, b), *rest[axis + 1 :]))
        rest[axis] = (start, stop)
    return left
