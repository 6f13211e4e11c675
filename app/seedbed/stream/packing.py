"""Numbers of a few bits each, put together: the first in the lowest bits.

That is how safetensors has its own F4, F6 and the like. Words of quantised weights, whose codes
come from anywhere, are the business of `seedbed.init.quantised`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]


def packed_bytes(codes: Codes, bits: int) -> Codes:
    """Codes as the fewest bytes that hold them, which they fill.

    Args:
        codes: flat, each below 2^bits, of whole bytes together.
        bits: of each, up to 8.
    """
    each = 8 // math.gcd(8, bits)
    width = bits * each // 8
    together = np.zeros(len(codes) // each, np.uint8 if width == 1 else "<u8")
    for place in range(each):
        together |= codes[place::each].astype(together.dtype) << np.uint8(bits * place)
    packed: Codes = together.view(np.uint8).reshape(len(together), -1)[:, :width].reshape(-1)
    return packed
