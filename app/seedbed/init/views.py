"""Fills made of other fills: the same weights, stored as another framework stores them.

The random stream runs over PyTorch's order of a parameter, whatever the file looks like. A view
takes elements from there: it renames the stream, cuts, joins, adds and transposes. `arrays` writes
them as one writes NumPy.

A view hands on the boxes it is asked for as boxes of what it shows (`stream.boxes`), so that no
element is made but those that are wanted.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import numpy as np

from seedbed.errors import ParameterError
from seedbed.init.fill import Elements, Fill
from seedbed.init.matrices import Job
from seedbed.init.source import Source
from seedbed.stream import DTYPES, Box, Dtype, Summary, boxes

Shape = tuple[int, ...]

_SUM_ELEMENTS = 1 << 16
"""Elements added at a time."""


@dataclass(frozen=True)
class View(Fill):
    """One fill, read in another way: its values, and what they need, are those of the fill."""

    fill: Fill

    @property
    def reach(self) -> tuple[float, float]:
        """Of the fill."""
        return self.fill.reach

    @property
    def dense_elements(self) -> int:
        """Of the fill."""
        return self.fill.dense_elements

    @property
    def dense_bytes(self) -> int:
        """Of the fill."""
        return self.fill.dense_bytes

    def matrices(self, source: Source, start: int, stop: int) -> Iterator[Job]:
        """Those of the fill."""
        return self.fill.matrices(source, start, stop)

    def check(self, dtype: Dtype) -> None:
        """As the fill's."""
        self.fill.check(dtype)

    def summary(self) -> Summary:
        """Of the fill."""
        return self.fill.summary()


@dataclass(frozen=True)
class Named(View):
    """A fill that draws from the stream of another name than that of the file's tensor."""

    name: str

    @property
    def writes_pairs(self) -> bool:
        """If the fill can."""
        return self.fill.writes_pairs

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """From that stream."""
        self.fill.write_box(replace(source, name=self.name), box, out)

    def matrices(self, source: Source, start: int, stop: int) -> Iterator[Job]:
        """Those of that stream."""
        return self.fill.matrices(replace(source, name=self.name), start, stop)


@dataclass(frozen=True)
class Suffixed(View):
    """A fill that draws from the stream of a name that goes on so: `x[0]`, a part of `x`."""

    suffix: str

    @property
    def writes_pairs(self) -> bool:
        """If the fill can."""
        return self.fill.writes_pairs

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """From that stream."""
        self.fill.write_box(self._renamed(source), box, out)

    def matrices(self, source: Source, start: int, stop: int) -> Iterator[Job]:
        """Those of that stream."""
        return self.fill.matrices(self._renamed(source), start, stop)

    def _renamed(self, source: Source) -> Source:
        return replace(source, name=source.name + self.suffix)


@dataclass(frozen=True)
class Sliced(View):
    """Elements from `offset` on of a fill."""

    offset: int

    @property
    def writes_pairs(self) -> bool:
        """If the fill can."""
        return self.fill.writes_pairs

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """From further on."""
        self.fill.write_box(source, box.moved(self.offset), out)

    def matrices(self, source: Source, start: int, stop: int) -> Iterator[Job]:
        """Those of what lies further on."""
        return self.fill.matrices(source, start + self.offset, stop + self.offset)


@dataclass(frozen=True)
class Joined(Fill):
    """Fills one after the other.

    Attributes:
        parts: each with the number of its elements, at least 1.
    """

    parts: tuple[tuple[Fill, int], ...]

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Index of each part's first element, then of the end."""
        return tuple(accumulate((count for _, count in self.parts), initial=0))

    @property
    def reach(self) -> tuple[float, float]:
        """The furthest of any part."""
        lows, highs = zip(*(part.reach for part, _ in self.parts), strict=True)
        return min(lows), max(highs)

    @property
    def dense_elements(self) -> int:
        """Of the part with the largest."""
        return max(part.dense_elements for part, _ in self.parts)

    @property
    def dense_bytes(self) -> int:
        """Of the part that needs most."""
        return max(part.dense_bytes for part, _ in self.parts)

    def matrices(self, source: Source, start: int, stop: int) -> Iterator[Job]:
        """Those of the parts that are touched."""
        for (part, count), first in zip(self.parts, self.starts, strict=False):
            low, high = max(start - first, 0), min(stop - first, count)
            if low < high:
                yield from part.matrices(source, low, high)

    def check(self, dtype: Dtype) -> None:
        """As every part's."""
        for fill, _ in self.parts:
            fill.check(dtype)

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Each part's own."""
        todo = [(box, out)] if out.size else []
        while todo:
            box, out = todo.pop()
            index = bisect_right(self.starts, box.start) - 1
            first, stop = self.starts[index], self.starts[index + 1]
            if box.last < stop:
                self.parts[index][0].write_box(source, box.moved(-first), out)
            else:
                todo += boxes.parted(box, out, stop)

    def summary(self) -> Summary:
        """Moments of an element chosen at random; of that, not all parts have a kurtosis."""
        parts = [(fill.summary(), count) for fill, count in self.parts]
        total = self.starts[-1]
        mean = sum(part.mean * (count / total) for part, count in parts)
        second = fourth = 0.0
        for part, count in parts:
            away, variance = part.mean - mean, part.std**2
            second += (variance + away**2) * (count / total)
            kurtosis = 3.0 + (part.excess_kurtosis or 0.0)
            fourth += (kurtosis * variance**2 + 6 * variance * away**2 + away**4) * (count / total)
        return Summary(
            mean,
            math.sqrt(second),
            _least(part.lower for part, _ in parts),
            _greatest(part.upper for part, _ in parts),
            fourth / second**2 - 3.0 if second else None,
        )


@dataclass(frozen=True)
class Summed(Fill):
    """Two float32 draws added, one rounding, and then rounded to the dtype; integers exactly."""

    first: Fill
    second: Fill

    @property
    def reach(self) -> tuple[float, float]:
        """The sums of what both reach."""
        first, second = self.first.reach, self.second.reach
        return first[0] + second[0], first[1] + second[1]

    @property
    def dense_elements(self) -> int:
        """Of the term with the larger."""
        return max(self.first.dense_elements, self.second.dense_elements)

    @property
    def dense_bytes(self) -> int:
        """Of the term that needs more."""
        return max(self.first.dense_bytes, self.second.dense_bytes)

    def matrices(self, source: Source, start: int, stop: int) -> Iterator[Job]:
        """Those of both."""
        yield from self.first.matrices(source, start, stop)
        yield from self.second.matrices(source, start, stop)

    def check(self, dtype: Dtype) -> None:
        """Both must fit, and so must the sum of what they reach."""
        self.first.check(dtype)
        self.second.check(dtype)
        low, high = self.reach
        range_of = DTYPES["F32"] if dtype.code == "F64" else dtype
        if low < range_of.lowest or high > range_of.highest:
            raise ParameterError(
                f"sums reach {low:.6g} … {high:.6g}, but {dtype.code} ends at "
                f"{range_of.lowest:.6g} … {range_of.highest:.6g}",
                ("init",),
            )

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Block by block."""
        narrowed = source.dtype.is_float and not source.dtype.is_complex
        of_terms = DTYPES["F32"] if narrowed else source.dtype
        wide = replace(source, dtype=of_terms)
        for piece, part in boxes.pieces(box, out, _SUM_ELEMENTS):
            terms = np.empty((2, *piece.extents), of_terms.storage)
            for number, fill in enumerate((self.first, self.second)):
                fill.write_box(wide, piece, terms[number, ...])
            total = terms[0] + terms[1]
            part[...] = source.dtype.encode(total) if narrowed else total

    def summary(self) -> Summary:
        """Of two independent terms."""
        a, b = self.first.summary(), self.second.summary()
        variance = a.std**2 + b.std**2
        weighted = (a.excess_kurtosis or 0.0) * a.std**4 + (b.excess_kurtosis or 0.0) * b.std**4
        return Summary(
            a.mean + b.mean,
            math.sqrt(variance),
            None if a.lower is None or b.lower is None else a.lower + b.lower,
            None if a.upper is None or b.upper is None else a.upper + b.upper,
            weighted / variance**2 if variance else None,
        )


@dataclass(frozen=True)
class Transposed(View):
    """A fill with its axes in another order.

    Attributes:
        fill: over `shape`, in row-major order.
        shape: before.
        axes: for each axis after, which one it was, as in `numpy.transpose`.
        flipped: axes before that run backwards.
    """

    shape: Shape
    axes: tuple[int, ...]
    flipped: tuple[int, ...] = ()

    @cached_property
    def _place(self) -> tuple[Shape, tuple[int, ...], int]:
        """Shape after, the stride of each of its axes in the fill, and where the first element is.

        Axes that run backwards have negative strides.
        """
        strides = [math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]
        start = sum((self.shape[axis] - 1) * strides[axis] for axis in self.flipped)
        turned = tuple(-strides[a] if a in self.flipped else strides[a] for a in self.axes)
        return tuple(self.shape[axis] for axis in self.axes), turned, start

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """From where they lie in the fill."""
        if out.size:
            for piece, part in boxes.through(box, out, *self._place):
                self.fill.write_box(source, *boxes.ordered(piece, part))

    def matrices(self, source: Source, start: int, stop: int) -> Iterator[Job]:
        """All of the fill's: a range after is spread over what was before."""
        return self.fill.matrices(source, 0, math.prod(self.shape) if start < stop else 0)


def _least(values: Iterator[float | None]) -> float | None:
    known = list(values)
    return None if None in known else min(value for value in known if value is not None)


def _greatest(values: Iterator[float | None]) -> float | None:
    known = list(values)
    return None if None in known else max(value for value in known if value is not None)
