"""Fills of quantised weights: views of the draw that the unquantised weight is.

`Quantised` is that draw as codes of a scale, `Packed` puts codes into the words of a file. Like any
view they take the elements that are wanted from where they lie, so that a range of words costs the
draws that it holds. Which scale, grid and order of words a checkpoint has is the business of
`seedbed.quantization`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import ParameterError
from seedbed.init.fill import Elements, Fill
from seedbed.init.source import Source
from seedbed.init.views import View
from seedbed.stream import Box, Dtype, Pairs, Scaled, Whole, boxes, packed_bytes

_CODES = 1 << 20
"""Codes made at a time, which should stay in cache."""

_BYTES = 1 << 22
"""The same of those that need no room but the file's."""

_BYTE_BITS, _WORD_BITS = 8, 32


def _other_dtype(code: str, dtype: Dtype) -> ParameterError:
    """What is wrong with numbers of another dtype than codes: they would stand for others."""
    return ParameterError(
        f"codes of a quantised weight are {code}, which {dtype.code} does not hold; only what is "
        "quantised in the same way does",
        ("dtype",),
    )


_RUN = 512
"""Codes in the order of the draws, of a tile across it: enough for the keystream to be fast."""


@dataclass(frozen=True)
class Quantised(View):
    """A fill as codes, of a byte each.

    Attributes:
        fill: the unquantised weight's.
        scaled: scale and grid; the fill's reach lies within. Of pairs, two elements are a byte.
    """

    scaled: Scaled | Pairs

    @property
    def writes_pairs(self) -> bool:
        """If the fill can."""
        return self.fill.writes_pairs

    def check(self, dtype: Dtype) -> None:
        """The dtype whose bytes codes are; the grid holds all of the fill's reach."""
        scaled = self.scaled if isinstance(self.scaled, Scaled) else self.scaled.scaled
        grid = scaled.grid
        if isinstance(grid, Dtype) and grid.bits == _BYTE_BITS:
            codes = [grid.code]
        elif not isinstance(grid, Whole):
            codes = ["U8"]
        else:  # with a code of its own for 0 it may be counted from 0 or from -128
            codes = ["I8"] if not grid.zero and grid.lowest < 0 else ["I8", "U8"]
        if dtype.code not in codes:
            raise _other_dtype(" or ".join(codes), dtype)

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """The same draws, in another form."""
        self.fill.write_box(replace(source, dtype=self.scaled), box, out.view(self.scaled.storage))


_Part = tuple[Box, Elements]


@dataclass(frozen=True, slots=True)
class _Slots:
    """Codes of an element.

    Attributes:
        count: how many.
        step: between neighbours in the weight, in codes.
        places: which of them each slot is, if they are out of order.
    """

    count: int
    step: int
    places: list[int] | None


def _tiles(box: Box, out: Elements, slots: _Slots, most: int) -> Iterator[_Part]:
    """A box in tiles of at most so many elements.

    Where neighbours in the file are none in the weight, a tile is as long in the order of the draws
    as makes them fast, and across that as wide as stays in cache.
    """
    if out.ndim < 2 or box.strides[-1] == min(box.strides):
        yield from boxes.pieces(box, out, most)
        return
    along = min(range(out.ndim), key=lambda axis: box.strides[axis])
    length = min(_RUN // slots.count if slots.step == 1 else _RUN, box.extents[along])
    width = max(_CODES // (slots.count * length), 1)
    steps = [1] * out.ndim
    steps[along], steps[-1] = length, width
    places = product(*(range(0, e, step) for e, step in zip(box.extents, steps, strict=True)))
    for place in places:
        ends = zip(place, steps, box.extents, strict=True)
        cut = tuple(slice(first, min(first + step, extent)) for first, step, extent in ends)
        start = box.start + sum(p * s for p, s in zip(place, box.strides, strict=True))
        part = out[cut]
        yield Box(start, part.shape, box.strides), part


_APART = 8
"""Words between groups of them, so that those above each other share no part of a cache."""


class _Room(threading.local):
    """A thread's own room for a tile, since pages that are new take as long as half a draw."""

    def __init__(self) -> None:
        self._codes = np.empty(0, np.uint8)
        self._words = np.empty(0, np.uint8)

    def codes(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Bytes, until the next ones are asked for."""
        size = math.prod(shape)
        if len(self._codes) < size:
            self._codes = np.empty(size, np.uint8)
        return self._codes[:size].reshape(shape)

    def words(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Elements:
        """Words, until the next ones are asked for."""
        size = math.prod(shape) * dtype.itemsize
        if len(self._words) < size:
            self._words = np.empty(size, np.uint8)
        return self._words[:size].view(dtype).reshape(shape)


_room = _Room()

_STRIP = 64
"""Rows that are turned at a time: their lines stay in the first cache."""


def _copy(words: Elements, out: Elements) -> None:
    """As `out[...] = words`, where the columns of `out` may be what follows each other."""
    if not out.ndim:
        out[...] = words
    else:
        for first in range(0, len(out), _STRIP):
            out[first : first + _STRIP] = words[first : first + _STRIP]


@dataclass(frozen=True)
class Packed(View):
    """Codes of a few bits, several to an element.

    Attributes:
        fill: of codes.
        shape: of this, in the file.
        strides: from one element to the next along each axis, in codes.
        slots: codes of an element, from its lowest bits up, as distances from its first.
        bits: of a code; of an element the highest may be left over, which are 0.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    slots: tuple[int, ...]
    bits: int

    def check(self, dtype: Dtype) -> None:
        """Integers of as many bits as the codes take, or more."""
        least = _BYTE_BITS if self.bits * len(self.slots) <= _BYTE_BITS else _WORD_BITS
        if dtype.is_float or dtype.bits not in (least, _WORD_BITS):
            raise _other_dtype("U8" if least == _BYTE_BITS else "I32", dtype)

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Tile by tile in the order of the draws, put together and turned while it is in cache."""
        step, places = self._slots
        slots = _Slots(len(self.slots), step, places)
        for inner, there in boxes.through(box, out, *self._axes):
            rest = inner, there
            if (wide := self._in_words(inner, there)) is not None:
                words, rest = wide
                self._write_tiles(source, _Slots(4 * slots.count, step, None), *words)
            if rest[1].size:
                self._write_tiles(source, slots, *rest)

    def _in_words(self, box: Box, out: Elements) -> tuple[_Part, _Part] | None:
        """Four bytes of codes that lie apart as a word, and what is left over.

        `None` where they do not follow each other.
        """
        step, places = self._slots
        count = len(self.slots)
        if step == 1 or places or not out.ndim or (out.itemsize, out.strides[-1]) != (1, 1):
            return None
        if self.bits * count != 8 or box.strides[-1] != count * step or box.extents[-1] < 4:
            return None
        words = box.extents[-1] // 4
        ((four, part),) = boxes.part_of(box, out, out.ndim - 1, 0, 4 * words)
        extents, strides = (*four.extents[:-1], words), (*four.strides[:-1], 4 * count * step)
        wide = Box(four.start, extents, strides), part.view("<u4")
        behind = Box(
            box.start + 4 * words * box.strides[-1],
            (*box.extents[:-1], box.extents[-1] - 4 * words),
            box.strides,
        )
        return wide, (behind, out[..., 4 * words :])

    def _write_tiles(self, source: Source, slots: _Slots, box: Box, out: Elements) -> None:
        most = (_CODES if self._bytes is None else _BYTES) // slots.count
        for tile, part in _tiles(box, out, slots, most):
            axes = [axis for axis in range(part.ndim) if tile.extents[axis] > 1]
            axes.sort(key=lambda axis: -tile.strides[axis])
            extents = tuple(tile.extents[axis] for axis in axes)
            strides = tuple(tile.strides[axis] for axis in axes)
            left = [axis for axis in range(part.ndim) if tile.extents[axis] <= 1]
            ordered = part.transpose(*left, *axes).squeeze(tuple(range(len(left))))
            self._write_tile(source, slots, Box(tile.start, extents, strides), ordered)

    def _write_tile(self, source: Source, slots: _Slots, box: Box, out: Elements) -> None:
        """Elements in the order of the draws."""
        count, step = slots.count, slots.step
        if self._bytes is not None and step == 1:
            apart = Box(box.start, (*box.extents, count), (*box.strides, step))
            self._write_bytes(source, self._bytes, apart, out)
            return
        rows = slots.places or range(count)
        axis = sum(stride > step for stride in box.strides)
        before, behind = box.extents[:axis], box.extents[axis:]
        extents, strides = (
            (*before, count, *behind),
            (*box.strides[:axis], step, *box.strides[axis:]),
        )
        codes = _room.codes(extents)
        self.fill.write_box(source, Box(box.start, extents, strides), codes)
        columns = math.prod(behind)
        groups = codes.reshape(-1, count, columns)
        words = _room.words((len(groups), columns + _APART), np.dtype("<u4"))[:, :columns]
        source.engine.weave(groups, rows, self.bits, words)
        if out.itemsize < words.itemsize:
            words = words.astype(f"<u{out.itemsize}")
        _copy(words.view(out.dtype).reshape(out.shape), out)

    def _write_bytes(self, source: Source, codes: Fill, box: Box, out: Elements) -> None:
        """Elements of the codes of a box, straight into `out` if that is in one piece."""
        whole = out if out.flags.c_contiguous else _room.words(out.shape, out.dtype)
        codes.write_box(source, box, whole.reshape(*out.shape, 1).view(np.uint8))
        if whole is not out:
            _copy(whole, out)

    @cached_property
    def _bytes(self) -> Fill | None:
        """Codes that are the bytes of elements: of 8 bits in order, and of 4 in pairs."""
        codes = self.fill
        in_order = self._slots[1] is None
        if self.bits == 8:
            return codes if in_order else None
        turned = self.slots == (1, 0)
        if self.bits != 4 or not (in_order or turned) or not isinstance(codes, Quantised):
            return None
        if not codes.writes_pairs or not isinstance(codes.scaled, Scaled):
            return None
        return Quantised(codes.fill, Pairs(codes.scaled, turned))

    @cached_property
    def _axes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shape and strides, without axes of 1, merged where they follow each other."""
        merged: list[tuple[int, int]] = []
        for extent, stride in zip(self.shape, self.strides, strict=True):
            if merged and (extent == 1 or merged[-1][1] == extent * stride):
                merged[-1] = merged[-1][0] * extent, stride if extent > 1 else merged[-1][1]
            else:
                merged.append((extent, stride))
        return tuple(e for e, _ in merged), tuple(s for _, s in merged)

    @cached_property
    def _slots(self) -> tuple[int, list[int] | None]:
        """Distance of neighbours among the slots, and which of them each is, if out of order."""
        ordered = sorted(self.slots)
        step = ordered[1] - ordered[0] if len(ordered) > 1 else 1
        places = [slot // step for slot in self.slots]
        return step, None if places == sorted(places) else places


@dataclass(frozen=True)
class Straddling(View):
    """Codes of bits that do not divide 32: each 32 of them one after the other in as many words.

    Attributes:
        fill: of codes.
        across: words that lie between one word of 32 codes and the next one.
        strides: from 32 codes to the next, and from those of one word across to those of the next,
            in codes.
        bits: of a code.
    """

    across: int
    strides: tuple[int, int]
    bits: int

    def check(self, dtype: Dtype) -> None:
        """Words of 32 bits."""
        if dtype.is_float or dtype.bits != _WORD_BITS:
            raise _other_dtype("I32", dtype)

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Whole rows of words at a time, of which those that are wanted are kept."""
        if not box.extents:
            box, out = Box.run(box.start, 1), out.reshape(1)
        if not box.is_run:
            for number in range(box.extents[0]):
                self.write_box(source, *boxes.row_of(box, out, 0, number))
            return
        row = self.bits * self.across
        first, last = box.start // row, -(-(box.start + box.size) // row)
        step = max(_CODES // (_WORD_BITS * self.across), 1)
        for unit in range(first, last, step):
            words = self._words(source, unit, min(step, last - unit))
            begin = max(box.start, unit * row)
            end = min(box.start + box.size, unit * row + len(words))
            part = words[begin - unit * row : end - unit * row]
            out[begin - box.start : end - box.start] = part.view(out.dtype)

    def _words(self, source: Source, unit: int, count: int) -> NDArray[np.uint32]:
        along, side = self.strides
        apart = Box(unit * along, (count, self.across, _WORD_BITS), (along, side, 1))
        codes = np.empty(apart.extents, np.uint8)
        self.fill.write_box(source, apart, codes)
        words = packed_bytes(codes.reshape(-1), self.bits).view("<u4")
        turned = words.reshape(count, self.across, self.bits).transpose(0, 2, 1)
        return np.ascontiguousarray(turned).reshape(-1)
