"""A fill of random integers, for payloads of which nothing is known but their range."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seedbed.init.fill import Elements, Fill, require_holds, require_room
from seedbed.init.source import Source
from seedbed.stream import Box, Dtype, Summary, boxes, draw_integers

_BLOCK = 1 << 14
"""Elements made together; their words should stay in cache."""


@dataclass(frozen=True)
class Integers(Fill):
    """Independent integers of `[low, high)`, each as likely; exact where the dtype is no float.

    Attributes:
        low: the least.
        high: one more than the greatest.
    """

    low: int
    high: int

    @property
    def reach(self) -> tuple[float, float]:
        """The least and the greatest, exactly, where they are past float64."""
        return self.low, self.high - 1

    def check(self, dtype: Dtype) -> None:
        """Integers must be exact, floats within range."""
        if dtype.is_float:
            require_room(dtype, self.reach, "integers")
            return
        require_holds(dtype, self.low, ("init", "low"))
        require_holds(dtype, self.high - 1, ("init", "high"))

    def write_box(self, source: Source, box: Box, out: Elements) -> None:
        """Draw some at a time."""
        count, dtype = self.high - self.low, source.dtype
        for piece, part in boxes.pieces(*boxes.ordered(box, out), _BLOCK):
            numbers = draw_integers(source.seed, source.name, self.low, count, piece)
            if dtype.is_float:
                signed = numbers.view(np.int64) if self.low < 0 else numbers
                elements = dtype.encode(signed.astype(np.float32))
            else:
                elements = numbers.astype(dtype.storage)  # its lowest bits
            part[...] = elements.reshape(part.shape)

    def summary(self) -> Summary:
        """Of whole numbers with equal chances."""
        count = self.high - self.low
        kurtosis = -1.2 * (count**2 + 1) / (count**2 - 1) if count > 1 else None
        std = math.sqrt((count**2 - 1) / 12)
        return Summary(
            (self.low + self.high - 1) / 2, std, float(self.low), float(self.high - 1), kurtosis
        )
