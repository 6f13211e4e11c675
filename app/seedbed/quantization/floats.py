"""Four-bit floats in blocks: E2M1 with the scales of MXFP4 and of NVFP4."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seedbed.init import Fill
from seedbed.quantization.scales import scale_up
from seedbed.quantization.weights import Weight
from seedbed.stream import DTYPES

F4 = DTYPES["F4"]
_BLOCK_SCALE = DTYPES["F8_E4M3"].highest
_EXPONENT_BIAS = 127


@dataclass(frozen=True, slots=True)
class Microscaled:
    """MXFP4.

    Attributes:
        codes: E2M1.
        exponent: of the scale, with its bias.
    """

    codes: Fill
    exponent: int


def microscaled(weight: Weight) -> Microscaled:
    """The least power of two at which 6, the end of E2M1, reaches the bound."""
    scale = scale_up(weight.bound / F4.highest, "F8_E8M0")
    exponent = int(math.log2(scale.value)) + _EXPONENT_BIAS
    return Microscaled(weight.codes(scale.value, F4), exponent)


@dataclass(frozen=True, slots=True)
class Nvidia:
    """NVFP4.

    Attributes:
        codes: E2M1.
        block_scale: in E4M3, the same everywhere: its greatest.
        factor: what that is multiplied by, as ModelOpt stores it.
        divisor: what it is divided by, as compressed-tensors stores it.
    """

    codes: Fill
    block_scale: float
    factor: float
    divisor: float


def nvidia(weight: Weight, *, multiplied: bool = False) -> Nvidia:
    """Block scales are 448, and the scale of those what makes 6 × 448 reach the bound."""
    largest = F4.highest * _BLOCK_SCALE
    bound = weight.bound or largest
    factor = scale_up(bound / largest, "F32").value
    divisor = np.float32(largest / bound)
    if float(divisor) > largest / bound:
        divisor = np.nextafter(divisor, np.float32(0))
    block = np.float32(_BLOCK_SCALE)
    scale = float(block * np.float32(factor)) if multiplied else float(block / divisor)
    while scale * F4.highest < bound:  # the product was rounded down
        scale = float(np.nextafter(np.float32(scale), np.float32(np.inf)))
    return Nvidia(weight.codes(scale, F4), _BLOCK_SCALE, factor, float(divisor))
