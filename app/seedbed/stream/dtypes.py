"""The dtypes of the safetensors format that Seedbed can write.

A draw is a float32 by definition. `F64` is its widening and every narrower float the one nearest
to it, ties to even, with gradual underflow: one rounding, by integer arithmetic stated here.
Values past a dtype's range never reach this module: plans that could make one are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

FloatCode = Literal["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"]
DtypeCode = Literal[
    "F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2",
    "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dtype:
    """One dtype of the format.

    Attributes:
        code: its name in a safetensors header.
        rank: place in the order of safetensors' own writer, which sorts by it, highest first.
        storage: NumPy dtype that holds one element's bytes, little-endian.
        lowest, highest: the finite range, exact.
        mantissa_bits, exponent_bias: of a narrow float (IEEE 754 or OCP 8-bit floats); 0 elsewhere.
        about: one line for people.
    """

    code: DtypeCode
    rank: int
    storage: str
    lowest: int | float
    highest: int | float
    about: str
    mantissa_bits: int = 0
    exponent_bias: int = 0

    size_bytes: int = field(init=False)
    """Bytes of one element; a field, since it is asked for at every turn."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "size_bytes", np.dtype(self.storage).itemsize)

    @property
    def is_float(self) -> bool:
        """Whether it can hold draws; the others hold whole constants only."""
        return self.code in _FLOATS

    def encode(self, values: NDArray[np.float32]) -> NDArray[np.generic]:
        """The elements nearest to float32 `values`, ties to even, as this dtype's storage.

        The definition that `kernels` compiles. `values` are finite and within the dtype's range.
        """
        if self.code == "F32":
            return values.astype(self.storage, copy=False)
        if self.code == "F64":
            return values.astype(self.storage)
        bits = values.view(np.uint32)
        if self.code == "BF16":
            return round_bfloat16(bits).astype(self.storage)
        rounded = round_narrow(bits, self.mantissa_bits, self.exponent_bias)
        sign = (bits >> np.uint32(31)) << np.uint32(8 * self.size_bytes - 1)
        return (rounded | sign).astype(self.storage)


def round_bfloat16(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """bfloat16 bits of float32 bits: the upper half, after adding just under half of its unit."""
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return (bits + (np.uint32(0x7FFF) + odd)) >> np.uint32(16)


def round_narrow(
    bits: NDArray[np.uint32], mantissa_bits: int, exponent_bias: int
) -> NDArray[np.uint32]:
    """Bits, without the sign, of the narrow float nearest to float32 `bits`.

    Normal results drop the low mantissa bits, rounding to even, and change the exponent's bias.
    Subnormal ones come from one float32 addition: the unit in the last place of `magic` is the
    narrow format's smallest subnormal, so adding it rounds exactly there.
    """
    shift = np.uint32(23 - mantissa_bits)
    magnitude = bits & np.uint32(0x7FFFFFFF)
    odd = (magnitude >> shift) & np.uint32(1)
    half = np.uint32((1 << (22 - mantissa_bits)) - 1)
    rebias = np.uint32((127 - exponent_bias) << mantissa_bits)
    normal = ((magnitude + (half + odd)) >> shift) - rebias
    magic = np.uint32((127 + 23 + 1 - exponent_bias - mantissa_bits) << 23)
    shifted = magnitude.view(np.float32) + magic.view(np.float32)
    subnormal = shifted.view(np.uint32) - magic
    smallest_normal = np.uint32((128 - exponent_bias) << 23)
    return np.where(magnitude < smallest_normal, subnormal, normal)


_FLOATS = frozenset(get_args(FloatCode))

# Ranks are positions in the `Dtype` enum of safetensors 0.8 (safetensors/src/tensor.rs), by which
# its writer sorts; a test holds them equal to what that writer does for every pair.
DTYPES: dict[str, Dtype] = {
    dtype.code: dtype
    for dtype in (
        Dtype("F64", 19, "<f8", -1.7976931348623157e308, 1.7976931348623157e308,
              "IEEE 754 binary64; draws are float32 values, widened"),
        Dtype("F32", 17, "<f4", -3.4028234663852886e38, 3.4028234663852886e38,
              "IEEE 754 binary32"),
        Dtype("F16", 13, "<u2", -65504.0, 65504.0, "IEEE 754 binary16", 10, 15),
        Dtype("BF16", 14, "<u2", -3.3895313892515355e38, 3.3895313892515355e38,
              "bfloat16: the upper half of binary32", 7, 127),
        Dtype("F8_E4M3", 7, "u1", -448.0, 448.0,
              "OCP 8-bit float, 4 exponent and 3 mantissa bits, no infinities (e4m3fn)", 3, 7),
        Dtype("F8_E5M2", 6, "u1", -57344.0, 57344.0,
              "OCP 8-bit float, 5 exponent and 2 mantissa bits", 2, 15),
        Dtype("I64", 20, "<i8", -(2**63), 2**63 - 1, "signed 64-bit; constants only"),
        Dtype("I32", 15, "<i4", -(2**31), 2**31 - 1, "signed 32-bit; constants only"),
        Dtype("I16", 11, "<i2", -(2**15), 2**15 - 1, "signed 16-bit; constants only"),
        Dtype("I8", 5, "i1", -128, 127, "signed 8-bit; constants only"),
        Dtype("U64", 21, "<u8", 0, 2**64 - 1, "unsigned 64-bit; constants only"),
        Dtype("U32", 16, "<u4", 0, 2**32 - 1, "unsigned 32-bit; constants only"),
        Dtype("U16", 12, "<u2", 0, 2**16 - 1, "unsigned 16-bit; constants only"),
        Dtype("U8", 4, "u1", 0, 255, "unsigned 8-bit; constants only"),
        Dtype("BOOL", 0, "?", 0, 1, "one byte, 0 or 1; constants only"),
    )
}  # fmt: skip
