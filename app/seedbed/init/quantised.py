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

from seedbed.init.fill import Elements
from seedbed.init.source import Source
from seedbed.init.views import View
from seedbed.stream import Box, Dtype, Scaled, boxes

_CODES = 1 << 17
"""Codes made at a time, which should stay in cache."""


@dataclass(frozen=True)
class Quantised(View):
    """A fill as codes, of a byte each.

    Attributes:
        fill: the unquantised weight's.
        scaled: scale and grid; the fill's reach lies within.
    """

    scaled: Scaled

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
        bits: of a code.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    slots: tuple[int, ...]
    bits: int

    def check(self, dtype: Dtype) -> None:
        """As many bits as the codes take."""
        if dtype.bits != self.bits * len(self.slots):
            raise ValueError(f"{len(self.slots)} codes of {self.bits} bits are no {dtype.code}")

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Codes of some elements at a time, then put together."""
        step, places = self._slots
        for piece, part in boxes.pieces(box, out, _CODES // len(self.slots)):
            for inner, there in boxes.through(piece, part, *self._axes):
                count = len(self.slots)
                apart = Box(inner.start, (*inner.extents, count), (*inner.strides, step))
                codes = np.empty(apart.extents, np.uint8)
                self.fill.write_box(source, apart, codes)
                if places is not None:
                    codes = codes[..., places]
                there[...] = source.engine.pack(codes, self.bits, out.dtype.str)

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
