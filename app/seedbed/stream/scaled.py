"""Draws as whole or narrow numbers of a scale: how quantised weights hold them.

A code is the number of its grid that is nearest to draw ÷ scale, one float32 division, ties to
even. The scale is known before anything is drawn and no draw passes the ends of the grid, so code ×
scale is within half a step of the draw. Like a dtype this is a form that draws take; every engine
writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seedbed.stream.dtypes import Dtype

Draws = NDArray[np.float32]
Codes = NDArray[np.uint8]
Words = NDArray[np.uint32]


def weave(codes: Codes, rows: Sequence[int], bits: int, out: Words) -> None:
    """Put codes that stand above each other together.

    Args:
        codes: (groups, rows, columns), each below 2^bits.
        rows: that a word has codes of, from its lowest bits up.
        bits: of a code; those of all rows have room in 32.
        out: words, as (groups, columns).
    """
    out[...] = 0
    for slot, row in enumerate(rows):
        out |= codes[:, row].astype(np.uint32) << np.uint32(bits * slot)


class Form(Protocol):
    """What draws can be written as: a dtype, or codes on a scale."""

    @property
    def code(self) -> str:
        """Name of it."""

    @property
    def storage(self) -> str:
        """NumPy dtype that holds one element's bytes, little-endian."""

    @property
    def is_float(self) -> bool:
        """Whether it can hold draws."""

    @property
    def is_complex(self) -> bool:
        """Whether an element is two draws."""

    @property
    def lowest(self) -> int | float:
        """The least number that it holds."""

    @property
    def highest(self) -> int | float:
        """The greatest."""

    def encode(self, values: Draws) -> NDArray[np.generic]:
        """The elements nearest to float32 values, which are within the range."""

    def encode_any(self, values: Draws) -> NDArray[np.generic]:
        """The same where some may be infinite or NaN."""


class Grid(Protocol):
    """The numbers that codes stand for; hashable."""

    @property
    def lowest(self) -> int | float:
        """The least."""

    @property
    def highest(self) -> int | float:
        """The greatest."""

    def encode(self, values: Draws) -> NDArray[Any]:
        """The codes of the numbers nearest to values within the range."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Whole numbers.

    Attributes:
        lowest, highest: the range.
        zero: code of 0; codes are counted from there, modulo 256.
    """

    lowest: int
    highest: int
    zero: int = 0

    def encode(self, values: Draws) -> Codes:
        """Codes of the nearest whole numbers, ties to even."""
        return (np.rint(values).astype(np.int32) + np.int32(self.zero)).astype(np.uint8)


@dataclass(frozen=True)
class Levels:
    """A few numbers in a table, as NF4 has them.

    Attributes:
        values: ascending, each a float32.
        codes: of each.
    """

    values: tuple[float, ...]
    codes: tuple[int, ...]

    @property
    def lowest(self) -> float:
        """The first."""
        return self.values[0]

    @property
    def highest(self) -> float:
        """The last."""
        return self.values[-1]

    @cached_property
    def tables(self) -> tuple[Draws, Codes]:
        """Middles between neighbours, and codes."""
        levels = np.array(self.values, np.float64)
        middles = ((levels[:-1] + levels[1:]) / 2).astype(np.float32)
        return middles, np.array(self.codes, np.uint8)

    def encode(self, values: Draws) -> Codes:
        """Codes of the nearest levels; of a middle, the lower one."""
        middles, codes = self.tables
        return codes[np.searchsorted(middles, values, side="left")]


@dataclass(frozen=True)
class Scaled:
    """Codes of draws, a byte each.

    Attributes:
        scale: what a draw is divided by, a positive float32.
        grid: what the quotient is rounded to: a dtype of at most 8 bits, whole numbers, or levels.
    """

    scale: float
    grid: Grid

    storage = "u1"
    is_float = True
    is_complex = False

    @property
    def code(self) -> str:
        """For messages."""
        grid = self.grid.code if isinstance(self.grid, Dtype) else type(self.grid).__name__.lower()
        return f"{grid} × {self.scale:g}"

    @property
    def lowest(self) -> float:
        """The least draw that is a number of the grid."""
        return float(self.grid.lowest) * self.scale

    @property
    def highest(self) -> float:
        """The greatest."""
        return float(self.grid.highest) * self.scale

    def encode(self, values: Draws) -> Codes:
        """Codes of float32 draws."""
        return self.grid.encode(values / np.float32(self.scale))

    def encode_any(self, values: Draws) -> Codes:
        """The same: nothing that is quantised is infinite."""
        return self.encode(values)


@dataclass(frozen=True)
class Pairs:
    """Codes of 4 bits, two in a byte.

    Of this form a box counts codes, of which it has an even number along its last axis, and what
    they are written to has half as many bytes there.

    Attributes:
        scaled: each below 16.
        turned: whether the first of two is in the upper half of their byte.
    """

    scaled: Scaled
    turned: bool = False

    storage = "u1"
    is_float = True
    is_complex = False

    @property
    def code(self) -> str:
        """For messages."""
        return f"pairs of {self.scaled.code}"

    @property
    def lowest(self) -> float:
        """As of the codes."""
        return self.scaled.lowest

    @property
    def highest(self) -> float:
        """Likewise."""
        return self.scaled.highest

    def encode(self, values: Draws) -> Codes:
        """Bytes of float32 draws, an even number along the last axis."""
        return self.together(self.scaled.encode(values))

    def together(self, codes: Codes) -> Codes:
        """Bytes of codes, an even number along the last axis."""
        first, second = codes[..., ::2], codes[..., 1::2]
        if self.turned:
            first, second = second, first
        return first | second << np.uint8(4)

    def encode_any(self, values: Draws) -> Codes:
        """The same: nothing that is quantised is infinite."""
        return self.encode(values)
