"""Which scale a quantised weight has: known from how it is drawn, without looking at it.

No draw passes the reach of its fill, so a scale that puts the reach at the end of the grid clips
nothing. It is rounded up to the dtype that it is stored in, so that it still does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seedbed.errors import SpecError
from seedbed.init import Fill
from seedbed.stream import DTYPES, Dtype, DtypeCode

FLOAT32 = DTYPES["F32"]


def bound_of(fill: Fill, name: str) -> float:
    """The greatest magnitude of a fill.

    Raises:
        SpecError: there is no bound.
    """
    bound = max(map(abs, fill.reach))
    if not math.isfinite(bound):
        raise SpecError(f"{name!r} has no bound from which its scale would follow", ("rules",))
    return bound


def value_of(dtype: Dtype, pattern: int) -> float:
    """The number that a positive pattern of a float stands for."""
    if dtype.code in ("F32", "F64"):
        return float(np.array(pattern, f"<u{dtype.size_bytes}").view(dtype.storage))
    mantissa = 7 if dtype.code == "BF16" else dtype.mantissa_bits
    if not dtype.zeros:
        return math.ldexp(1.0, pattern - dtype.exponent_bias)
    exponent, fraction = divmod(pattern, 1 << mantissa)
    if exponent == 0:
        return math.ldexp(fraction, 1 - dtype.exponent_bias - mantissa)
    return math.ldexp((1 << mantissa) + fraction, exponent - dtype.exponent_bias - mantissa)


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale as a file stores it.

    Attributes:
        value: exactly.
        dtype: that holds it.
    """

    value: float
    dtype: Dtype


def scale_up(wanted: float, code: DtypeCode) -> Scale:
    """The least positive number of a dtype that is not below `wanted`; 1 where that is 0.

    Raises:
        SpecError: the dtype ends before.
    """
    dtype = DTYPES[code]
    if wanted <= 0:
        return Scale(1.0, dtype)
    if wanted > dtype.highest:
        raise SpecError(f"a scale of {wanted:g} is past the end of {code}", ("quantization",))
    nearest = dtype.encode(np.array([wanted], np.float32))
    pattern = int(nearest.view(f"<u{dtype.size_bytes}")[0])
    while value_of(dtype, pattern) < wanted:  # it was rounded down
        pattern += 1
    return Scale(value_of(dtype, pattern), dtype)


def float32(value: float) -> float:
    """The nearest float32."""
    return float(np.float32(value))
