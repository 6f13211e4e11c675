"""Fills made of other fills: the same weights, stored as another framework stores them.

The random stream runs over PyTorch's order of a parameter, whatever the file looks like. A view
takes elements from there: it renames the stream, cuts, joins, adds and transposes. `arrays` writes
them as one writes NumPy.

Each view reads any range in bounded memory. All but `Transposed` cost what the range costs. A
range of a transposed tensor lies scattered in the stream, in one run for each row of the weight
that it touches, and a run costs some 10 µs however short it is: a kilobyte of a huge matrix takes
some milliseconds. Longer ranges are made in panels, contiguous parts of the file of at most
`PANEL_BYTES`, which are kept as whole matrices are; so reading on costs each run once a panel. Rows
that are short are drawn whole instead, which costs less than to begin anew in each.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, product
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import ParameterError
from seedbed.init.fill import Fill
from seedbed.init.source import Source
from seedbed.stream import DTYPES, Dtype, Summary

Shape = tuple[int, ...]
Box = tuple[tuple[int, int], ...]
"""A half-open interval for each axis."""

PANEL_BYTES = 1 << 24
"""Of a transposed tensor that is made and kept at a time."""

DIRECT_BYTES = 1 << 16
"""A range of a transposed tensor below this is made alone, without its panel."""

PANEL_ROWS = 4
"""So is every range where a panel would have less of the first axis, and no run be much longer."""

TILE_ELEMENTS = 1 << 20
"""Elements gathered at a time."""

RUN_COST = 8192
"""What beginning a run costs, in elements drawn: below that, it is cheaper to draw on."""

BLOCK_ELEMENTS = 1 << 14
"""Elements transposed at a time, so that both sides stay in the cache: five times as fast."""

_SUM_ELEMENTS = 1 << 16


@dataclass(frozen=True)
class _View(Fill):
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

    def check(self, dtype: Dtype) -> None:
        """As the fill's."""
        self.fill.check(dtype)

    def summary(self) -> Summary:
        """Of the fill."""
        return self.fill.summary()


@dataclass(frozen=True)
class Named(_View):
    """A fill that draws from the stream of another name than that of the file's tensor."""

    name: str

    def write(self, source: Source, start: int, out: memoryview) -> None:
        """From that stream."""
        self.fill.write(replace(source, name=self.name), start, out)


@dataclass(frozen=True)
class Sliced(_View):
    """Elements from `offset` on of a fill."""

    offset: int

    def write(self, source: Source, start: int, out: memoryview) -> None:
        """From further on."""
        self.fill.write(source, start + self.offset, out)


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

    def check(self, dtype: Dtype) -> None:
        """As every part's."""
        for fill, _ in self.parts:
            fill.check(dtype)

    def write(self, source: Source, start: int, out: memoryview) -> None:
        """Each part's own."""
        size = source.dtype.size_bytes
        stop = start + len(out) // size
        index = bisect_right(self.starts, start) - 1
        position = start
        while position < stop:
            first, last = self.starts[index], self.starts[index + 1]
            end = min(last, stop)
            piece = out[(position - start) * size : (end - start) * size]
            self.parts[index][0].write(source, position - first, piece)
            position, index = end, index + 1

    def summary(self) -> Summary:
        """Moments of an element chosen at random; of that, not all parts have a kurtosis."""
        parts = [(fill.summary(), count) for fill, count in self.parts]
        total = self.starts[-1]
        mean = sum(one.mean * (count / total) for one, count in parts)
        second = fourth = 0.0
        for one, count in parts:
            away, variance = one.mean - mean, one.std**2
            second += (variance + away**2) * (count / total)
            kurtosis = 3.0 + (one.excess_kurtosis or 0.0)
            fourth += (kurtosis * variance**2 + 6 * variance * away**2 + away**4) * (count / total)
        return Summary(
            mean,
            math.sqrt(second),
            _least(one.lower for one, _ in parts),
            _greatest(one.upper for one, _ in parts),
            fourth / second**2 - 3.0 if second else None,
        )


@dataclass(frozen=True)
class Summed(Fill):
    """Two float32 draws added, one rounding, and then rounded to the dtype."""

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

    def write(self, source: Source, start: int, out: memoryview) -> None:
        """Block by block."""
        target = np.frombuffer(out, source.dtype.storage)
        wide = replace(source, dtype=DTYPES["F32"])
        for done in range(0, len(target), _SUM_ELEMENTS):
            step = min(_SUM_ELEMENTS, len(target) - done)
            terms = np.empty((2, step), np.float32)
            for term, fill in zip(terms, (self.first, self.second), strict=True):
                fill.write(wide, start + done, _bytes_of(term))
            target[done : done + step] = source.dtype.encode(terms[0] + terms[1])

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
class Transposed(_View):
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
    def _result(self) -> Shape:
        return tuple(self.shape[axis] for axis in self.axes)

    @cached_property
    def _key(self) -> str:
        # Not the fill itself, which may be equal to one with a zero of the other sign.
        return repr(self)

    def write(self, source: Source, start: int, out: memoryview) -> None:
        """A short range alone, a long one out of panels."""
        size = source.dtype.size_bytes
        step = PANEL_BYTES // size
        total = math.prod(self.shape)
        rows = step * self._result[0] // total
        if len(out) < DIRECT_BYTES or rows < min(PANEL_ROWS, self._result[0]):
            self._make(source, start, np.frombuffer(out, source.dtype.storage))
            return
        stop = start + len(out) // size
        for first in range(start // step * step, stop, step):
            last = min(first + step, total)
            panel = self._panel(source, first, last)
            begin, end = max(first, start), min(last, stop)
            out[(begin - start) * size : (end - start) * size] = _bytes_of(
                panel[begin - first : end - first]
            )

    def _panel(self, source: Source, start: int, stop: int) -> NDArray[Any]:
        """Elements `[start, stop)`, kept."""

        def make() -> NDArray[Any]:
            panel = np.empty(stop - start, source.dtype.storage)
            self._make(source, start, panel)
            return panel

        key = ("transposed", self._key, source.seed, source.name, source.dtype.code, start)
        return source.matrices.get(key, cast("Any", make))

    def _make(self, source: Source, start: int, target: NDArray[Any]) -> None:
        """Elements from `start` on, box by box, no more than a tile at a time."""
        done = 0
        for box in boxes(self._result, start, start + len(target)):
            extents = [stop - first for first, stop in box]
            count = math.prod(extents)
            part = target[done : done + count].reshape(extents)
            for tile in tiles(tuple(extents), TILE_ELEMENTS):
                place = tuple(slice(*ends) for ends in tile)
                within = [
                    (first + low, first + high)
                    for (first, _), (low, high) in zip(box, tile, strict=True)
                ]
                copy_blockwise(self._tile(source, within), part[place])
            done += count

    def _tile(self, source: Source, box: Sequence[tuple[int, int]]) -> NDArray[Any]:
        """A box of the result."""
        wanted = [(0, 0)] * len(self.shape)
        for axis, ends in zip(self.axes, box, strict=True):
            wanted[axis] = ends
        for axis in self.flipped:
            first, stop = wanted[axis]
            wanted[axis] = self.shape[axis] - stop, self.shape[axis] - first
        gathered = gather(self.fill, source, self.shape, tuple(wanted))
        return np.flip(gathered, self.flipped).transpose(self.axes)


def gather(fill: Fill, source: Source, shape: Shape, box: Box) -> NDArray[Any]:
    """A box of a fill over a shape, in the order of the shape.

    It is drawn in runs: all of a run's elements lie together in the stream. Where the box has
    only part of the trailing axes, a run may take in what lies between, if that costs less than
    another run.
    """
    extents = [stop - first for first, stop in box]
    result = np.empty(extents, source.dtype.storage)
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    axis = _run_axis(extents, strides)
    first, extent, trailing = box[axis][0], extents[axis], shape[axis + 1 :]
    if extents[axis + 1 :] == list(trailing):
        piece = extent  # nothing lies between: drawn where it belongs
        run = None
    else:
        piece = min(extent, max(TILE_ELEMENTS // strides[axis], 1))
        run = np.empty((piece, *trailing), source.dtype.storage)
    cut = tuple(slice(*ends) for ends in box[axis + 1 :])
    for index in product(*map(range, extents[:axis])):
        start = first * strides[axis] + sum(
            (low + i) * stride for (low, _), i, stride in zip(box, index, strides, strict=False)
        )
        for low in range(0, extent, piece):
            target = result[index][low : low + piece]
            drawn = target if run is None else run[: len(target)]
            fill.write(source, start + low * strides[axis], _bytes_of(drawn.reshape(-1)))
            if run is not None:
                target[...] = drawn[:, *cut]
    return result


def copy_blockwise(values: NDArray[Any], target: NDArray[Any]) -> None:
    """Copy an array to one of another memory order."""
    for block in tiles(values.shape, BLOCK_ELEMENTS):
        place = tuple(slice(*ends) for ends in block)
        target[place] = values[place]


def _run_axis(extents: Sequence[int], strides: Sequence[int]) -> int:
    """The axis along which a box is drawn in runs, the axes behind it whole."""
    best, least = len(extents) - 1, math.inf
    for axis, (extent, stride) in enumerate(zip(extents, strides, strict=True)):
        length = extent * stride
        cost = math.prod(extents[:axis]) * (RUN_COST + length)
        if stride <= TILE_ELEMENTS and cost < least:
            best, least = axis, cost
    return best


def boxes(shape: Shape, start: int, stop: int) -> Iterator[Box]:
    """Elements `[start, stop)` in row-major order as boxes, in order, each of them contiguous."""
    if start >= stop:
        return
    if len(shape) < 2:
        yield ((start, stop),) if shape else ()
        return
    inner = math.prod(shape[1:])
    first, skipped = divmod(start, inner)
    last, rest = divmod(stop, inner)
    if skipped:
        for box in boxes(shape[1:], skipped, min(stop - first * inner, inner)):
            yield ((first, first + 1), *box)
        first += 1
    if first < last:
        yield ((first, last), *((0, extent) for extent in shape[1:]))
    if rest and first <= last:
        for box in boxes(shape[1:], 0, rest):
            yield ((last, last + 1), *box)


def tiles(extents: Shape, most: int) -> Iterator[Box]:
    """A box cut into boxes of at most so many elements, nearly as long on each side."""
    pieces = list(extents)
    while math.prod(pieces) > most:
        longest = max(range(len(pieces)), key=pieces.__getitem__)
        pieces[longest] = -(-pieces[longest] // 2)
    yield from product(
        *(
            [(first, min(first + piece, extent)) for first in range(0, extent, max(piece, 1))]
            for extent, piece in zip(extents, pieces, strict=True)
        )
    )


def _bytes_of(values: NDArray[Any]) -> memoryview:
    return values.view(np.uint8).data


def _least(values: Iterator[float | None]) -> float | None:
    known = list(values)
    return None if None in known else min(value for value in known if value is not None)


def _greatest(values: Iterator[float | None]) -> float | None:
    known = list(values)
    return None if None in known else max(value for value in known if value is not None)
