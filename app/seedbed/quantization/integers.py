"""Whole-number grids of so many bits, and the scale that a weight has on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seedbed.quantization.scales import Scale, scale_up
from seedbed.quantization.weights import Weight
from seedbed.stream import DtypeCode, Whole


@dataclass(frozen=True, slots=True)
class Affine:
    """weight ≈ (code − zero) · scale.

    Attributes:
        scale: of all codes.
        zero: code of 0, from 0 on.
        bits: of a code.
    """

    scale: Scale
    zero: int
    bits: int

    def grid(self, first: int = 0) -> Whole:
        """The grid, of codes that begin at `first`."""
        zero = self.zero + first
        return Whole(-self.zero, (1 << self.bits) - 1 - self.zero, zero % 256)


def affine(weight: Weight, bits: int, dtype: DtypeCode, *, symmetric: bool) -> Affine:
    """The finest scale at which no draw leaves the codes.

    Symmetric, 0 is in the middle of the codes, and the bound the last of them: bound ÷ (2^(bits−1)
    − 1). Else the reach, with 0 in it, takes 2^bits − 2 steps, so that whichever way both ends are
    rounded they are codes.
    """
    if symmetric:
        middle = 1 << (bits - 1)
        return Affine(scale_up(weight.bound / max(middle - 1, 1), dtype), middle, bits)
    low, high = (min(weight.plan.fill.reach[0], 0.0), max(weight.plan.fill.reach[1], 0.0))
    _ = weight.bound  # which must be finite
    scale = scale_up((high - low) / ((1 << bits) - 2), dtype)
    zero = -int(np.rint(np.float32(low) / np.float32(scale.value)))
    return Affine(scale, zero, bits)
