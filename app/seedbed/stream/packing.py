"""Numbers of a few bits each, put together: the first in the lowest bits.

That is how every format that Seedbed writes has them: safetensors' own F4, the words of
compressed-tensors, GPTQ and AWQ, the bytes of MXFP4 and NVFP4.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Units = NDArray[Any]


def pack(codes: Codes, bits: int, storage: str) -> Units:
    """Codes as units of `storage`, of as many codes each as it has room for.

    Args:
        codes: of shape (…, codes of a unit), each below 2^bits.
        bits: 1, 2, 4 or 8.
        storage: NumPy dtype of a unit, little-endian.

    Returns:
        Units, of shape (…).
    """
    flat = np.ascontiguousarray(codes).reshape(-1)
    spare = -len(flat) % _LANE_CODES
    if spare:
        flat = np.concatenate([flat, np.zeros(spare, np.uint8)])
    lanes = flat.view("<u8")
    # Neighbours at a time: of eight bytes with b bits each, four pairs of 2b, then two of 4b.
    step, width = 1, bits
    while step < _LANE_CODES and bits < _LANE_CODES:
        lanes = lanes >> np.uint64(8 * step - width) | lanes
        lanes &= np.uint64(_mask(2 * width, 16 * step))
        step, width = 2 * step, 2 * width
    units = lanes.astype(f"<u{bits}").view(storage)
    return units[: math.prod(codes.shape[:-1])].reshape(codes.shape[:-1])


_LANE_CODES = 8
"""Codes of 64 bits before, and of as many bytes as a code has bits after."""


def _mask(ones: int, period: int) -> int:
    """So many ones at the foot of each period of 64 bits."""
    return sum(((1 << ones) - 1) << start for start in range(0, 64, period))


def packed_bytes(codes: Codes, bits: int) -> Codes:
    """Codes as the fewest bytes that hold them, which they fill.

    Args:
        codes: flat, each below 2^bits, of whole bytes together.
        bits: of each, up to 8.
    """
    per_unit = 8 // math.gcd(8, bits)
    if bits * per_unit == 8:
        return pack(codes.reshape(-1, per_unit), bits, "u1")
    groups = codes.reshape(-1, per_unit).astype(np.uint64)
    shifts = np.arange(per_unit, dtype=np.uint64) * np.uint64(bits)
    together = np.bitwise_or.reduce(groups << shifts, axis=1).astype("<u8")
    packed: Codes = together.view("u1").reshape(-1, 8)[:, : bits * per_unit // 8].reshape(-1)
    return packed
