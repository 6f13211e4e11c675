"""Which elements of which tensor of a file a module's tensor is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from seedbed.stream import Box, boxes
from seedbed.torch import geometry
from seedbed.torch.geometry import Geometry, intersection, row_major

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Portion:
    """Ranges of a module's tensor, and where their elements are in a tensor of the file.

    Attributes:
        name: of the file's tensor.
        whole: shape of the module's tensor; a scalar has one axis, of 1.
        ranges: along its axes.
        shape: nested axes of these elements, in the row-major order of the ranges.
        strides: of those axes in the file's tensor.
        base: number of the first of them in the file's tensor.
    """

    name: str
    whole: Shape
    ranges: geometry.Box
    shape: Shape
    strides: Shape
    base: int

    @property
    def elements(self) -> int:
        """How many there are."""
        return math.prod(stop - start for start, stop in self.ranges)

    def overlaps(self, other: Portion) -> bool:
        """Whether both have some elements of the module's tensor."""
        return intersection(self.ranges, other.ranges) is not None

    def within(self, ranges: geometry.Box, out: NDArray[Any]) -> Iterator[tuple[Box, NDArray[Any]]]:
        """What is here of some ranges of the module's tensor.

        Args:
            ranges: along its axes.
            out: for their values.

        Yields:
            boxes of the file's tensor, each with its place in `out`.
        """
        common = intersection(self.ranges, ranges)
        if common is None:
            return
        frame = row_major(tuple(stop - start for start, stop in self.ranges))
        inner = tuple(
            (a - start, b - start) for (a, b), (start, _) in zip(common, self.ranges, strict=True)
        )
        part = geometry.part_of(frame, inner)
        places = tuple(
            slice(a - start, b - start) for (a, b), (start, _) in zip(common, ranges, strict=True)
        )
        box = Box(part.offset, part.shape, part.strides)
        yield from boxes.through(box, out[places], self.shape, self.strides, self.base)


def same(name: str, shape: Shape) -> Portion:
    """A tensor that has the same elements in the file."""
    whole = shape or (1,)
    return Portion(name, whole, tuple((0, n) for n in whole), (math.prod(whole),), (1,), 0)


def portion(
    name: str, file: Shape, at: geometry.Box, part: Geometry, shape: Shape
) -> Portion | None:
    """The elements of a module's tensor that are ranges of a tensor of the file.

    Args:
        name: of the file's tensor.
        file: its shape.
        at: ranges along its axes.
        part: those elements, in the row-major numbering of the module's tensor.
        shape: of the module's tensor.

    Returns:
        None if they are no ranges along the axes of the module's tensor.
    """
    if 0 in shape:
        return same(name, shape)
    whole = shape or (1,)
    ranges = geometry.box_of(row_major(whole), part)
    if ranges is None:
        return None
    along = row_major(file).strides
    axes = sorted(
        ((s, n, f) for s, n, f in zip(part.strides, part.shape, along, strict=True) if n != 1),
        reverse=True,
    )
    nested: list[tuple[int, int]] = []  # extents, and strides in the file
    for _, n, f in axes:
        if nested and nested[-1][1] == n * f:
            nested[-1] = nested[-1][0] * n, f
        else:
            nested.append((n, f))
    nested = nested or [(1, 1)]
    base = sum(start * f for (start, _), f in zip(at, along, strict=True))
    return Portion(
        name, whole, ranges, tuple(n for n, _ in nested), tuple(f for _, f in nested), base
    )
