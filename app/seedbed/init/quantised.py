"""Fills of quantised weights: views of the draw that the unquantised weight is.

`Quantised` is that draw as codes of a scale, `Packed` puts codes into the words of a file. Like any
view they take the elements that are wanted from where they lie, so that a range of words costs the
draws that it holds. Which scale, grid and order of words a checkpoint has is the business of
`seedbed.quantization`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seedbed.init.fill import Elements, Fill
from seedbed.init.source import Source
from seedbed.init.views import View
from seedbed.stream import Box, Dtype, Pairs, Scaled, boxes, packed_bytes

_CODES = 1 << 17
"""Codes made at a time, which should stay in cache."""

_BYTES = 1 << 22
"""The same of those that need no room but the file's."""


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
        """Any dtype of a byte: what matters is the grid, which holds all of the fill's reach."""

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """The same draws, in another form."""
        self.fill.write_box(replace(source, dtype=self.scaled), box, out.view(self.scaled.storage))


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
        """As many bits as the codes take, or more."""
        if dtype.bits < self.bits * len(self.slots):
            raise ValueError(f"{len(self.slots)} codes of {self.bits} bits are no {dtype.code}")

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Codes of some elements at a time, put together, by the engine itself where it can."""
        step, places = self._slots
        count = len(self.slots)
        most = _CODES if self._bytes is None else _BYTES
        for piece, part in boxes.pieces(box, out, most // count):
            for inner, there in boxes.through(piece, part, *self._axes):
                apart = Box(inner.start, (*inner.extents, count), (*inner.strides, step))
                if self._bytes is not None:
                    self._write_bytes(source, self._bytes, apart, there)
                    continue
                codes = _room(apart)
                self.fill.write_box(source, apart, codes)
                words = np.zeros((), f"<u{out.itemsize}")
                for slot, place in enumerate(places or range(count)):
                    words = words | codes[..., place].astype(words.dtype) << (self.bits * slot)
                there[...] = words.view(out.dtype)

    def _write_bytes(self, source: Source, codes: Fill, box: Box, out: Elements) -> None:
        """Elements of the codes of a box, straight into `out` if that is in one piece."""
        whole = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        codes.write_box(source, box, whole.reshape(*out.shape, 1).view(np.uint8))
        if whole is not out:
            out[...] = whole

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
        if dtype.bits != _WORD_BITS:
            raise ValueError(f"{dtype.code} is no word of {_WORD_BITS} bits")

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


_WORD_BITS = 32


def _room(box: Box) -> NDArray[np.uint8]:
    """An array for the codes of a box, in which they lie as draws follow each other."""
    order = sorted(range(len(box.extents)), key=lambda axis: -box.strides[axis])
    room = np.empty([box.extents[axis] for axis in order], np.uint8)
    return room.transpose(np.argsort(order))
