"""The dtypes of the safetensors format, and what frameworks call them.

A draw is a float32 by definition. `F64` is its widening and every narrower float the one nearest
to it, ties to even, with gradual underflow: one rounding, by integer arithmetic stated here.
Values past a dtype's range never reach this module: plans that could make one are refused.

Elements of less than a byte have a byte each wherever they are computed (`storage`); they are put
together, the first in the lowest bits, when a file's bytes are written (`packing`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatCode = Literal["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"]
"""Those of whole checkpoints; the other floats are of single tensors."""

DtypeCode = Literal[
    "F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
    "F8_E8M0", "F6_E2M3", "F6_E3M2", "F4", "C64",
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
        bits: of one element, where that is less than its storage.
        zeros: 2 where a zero has a sign, 1 where it has none, 0 where there is no zero.
        spellings: what frameworks call it, in lower case, without the framework's name.
    """

    code: DtypeCode
    rank: int
    storage: str
    lowest: int | float
    highest: int | float
    about: str
    mantissa_bits: int = 0
    exponent_bias: int = 0
    bits: int = field(default=0, kw_only=True)
    zeros: int = field(default=2, kw_only=True)
    spellings: tuple[str, ...] = field(default=(), kw_only=True)

    size_bytes: int = field(init=False)
    """Bytes of a unit, which is one element or the fewest that fill whole bytes."""

    per_unit: int = field(init=False)
    """Elements of a unit; fields both, since they are asked for at every turn."""

    def __post_init__(self) -> None:
        bits = self.bits or 8 * np.dtype(self.storage).itemsize
        per_unit = 8 // math.gcd(8, bits)
        object.__setattr__(self, "bits", bits)
        object.__setattr__(self, "per_unit", per_unit)
        object.__setattr__(self, "size_bytes", bits * per_unit // 8)

    def __reduce__(self) -> tuple[object, ...]:
        return _of_code, (self.code,)  # one object for each dtype, in every process

    @property
    def is_float(self) -> bool:
        """Whether it can hold draws; the others hold whole numbers only."""
        return self.code[0] in "FBC" and self.code != "BOOL"

    @property
    def is_complex(self) -> bool:
        """Whether an element is two draws."""
        return self.code == "C64"

    def bytes_of(self, elements: int) -> int:
        """Bytes of so many elements, which fill whole bytes."""
        return elements * self.bits // 8

    def encode(self, values: NDArray[np.float32]) -> NDArray[np.generic]:
        """The elements nearest to float32 `values`, ties to even, as this dtype's storage.

        The definition that `kernels` compiles. `values` are finite and within the dtype's range.
        """
        if self.code == "F32":
            return values.astype(self.storage, copy=False)
        if self.code in ("F64", "C64"):
            return values.astype(self.storage)
        bits = values.view(np.uint32)
        if self.code == "BF16":
            return round_bfloat16(bits).astype(self.storage)
        if not self.zeros:
            return round_exponent(bits).astype(self.storage)
        rounded = round_narrow(bits, self.mantissa_bits, self.exponent_bias)
        sign = (bits >> np.uint32(31)) << np.uint32(self.bits - 1)
        if self.zeros == 1:
            sign[rounded == 0] = 0
        return (rounded | sign).astype(self.storage)

    def encode_any(self, values: NDArray[np.float32]) -> NDArray[np.generic]:
        """The same where some values are infinite or NaN, which is the quiet one without a sign."""
        finite = np.isfinite(values)
        if finite.all():
            return self.encode(values)
        out = self.encode(np.where(finite, values, np.float32(0)))
        for value, where in ((np.inf, values == np.inf), (-np.inf, values == -np.inf)):
            out[where] = self._bits(value)
        out[np.isnan(values)] = self._bits(np.nan)
        return out

    @property
    def has_infinity(self) -> bool:
        """Whether it has infinities; those floats have NaN, too."""
        return self.code in _WITH_INFINITY

    @property
    def has_nan(self) -> bool:
        """Whether it has a NaN."""
        return self.is_float and self.bits >= 8

    def _bits(self, value: float) -> float | int:
        """An infinity or NaN as `storage` has it."""
        if self.storage[1:2] == "f":
            return value
        width = self.bits - 1
        top = (1 << width) - (1 << self._fraction_bits)
        if np.isnan(value):
            if self.zeros == 1:
                return 1 << width  # in the place of −0
            if not self.zeros:
                return (1 << self.bits) - 1
            return (1 << width) - 1 if not self.has_infinity else top | 1 << self._fraction_bits - 1
        return top | (value < 0) << width

    @property
    def _fraction_bits(self) -> int:
        return 7 if self.code == "BF16" else self.mantissa_bits


def _of_code(code: str) -> Dtype:
    """The dtype of a code."""
    return DTYPES[code]


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


def round_exponent(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The biased exponent of the power of two nearest to a positive float32, ties to even.

    Nearest as its own writers have it, ml_dtypes and torch: by one more bit, of the fraction. A
    fraction of more than a half goes up, and of just a half if the exponent is odd.
    """
    exponent = bits >> np.uint32(23)
    fraction = bits & np.uint32(0x7FFFFF)
    half = np.uint32(0x400000)
    odd = (exponent & np.uint32(1)) == 1
    up = (fraction > half) | ((fraction == half) & odd)
    rounded: NDArray[np.uint32] = exponent + up.astype(np.uint32)
    return rounded


_WITH_INFINITY = frozenset({"F64", "F32", "F16", "BF16", "F8_E5M2"})

# Ranks are positions in the `Dtype` enum of safetensors 0.8 (safetensors/src/tensor.rs), by which
# its writer sorts; a test holds them equal to what that writer does for every pair.
DTYPES: dict[str, Dtype] = {
    dtype.code: dtype
    for dtype in (
        Dtype("F64", 19, "<f8", -1.7976931348623157e308, 1.7976931348623157e308,
              "IEEE 754 binary64; draws are float32 values, widened",
              spellings=("float64", "fp64", "double")),
        Dtype("F32", 17, "<f4", -3.4028234663852886e38, 3.4028234663852886e38,
              "IEEE 754 binary32",
              spellings=("float32", "fp32", "float", "single")),
        Dtype("F16", 13, "<u2", -65504.0, 65504.0, "IEEE 754 binary16", 10, 15,
              spellings=("float16", "fp16", "half")),
        Dtype("BF16", 14, "<u2", -3.3895313892515355e38, 3.3895313892515355e38,
              "bfloat16: the upper half of binary32", 7, 127,
              spellings=("bfloat16",)),
        Dtype("F8_E4M3", 7, "u1", -448.0, 448.0,
              "OCP 8-bit float, 4 exponent and 3 mantissa bits, no infinities (e4m3fn)", 3, 7,
              spellings=("float8_e4m3fn", "fp8_e4m3fn", "f8_e4m3fn", "f8e4m3fn", "e4m3fn",
                         "fp8_e4m3", "f8e4m3", "e4m3")),
        Dtype("F8_E5M2", 6, "u1", -57344.0, 57344.0,
              "OCP 8-bit float, 5 exponent and 2 mantissa bits", 2, 15,
              spellings=("float8_e5m2", "fp8_e5m2", "f8e5m2", "e5m2")),
        Dtype("F8_E4M3FNUZ", 9, "u1", -240.0, 240.0,
              "8-bit float of 4 exponent and 3 mantissa bits, no infinities, one zero", 3, 8,
              zeros=1,
              spellings=("float8_e4m3fnuz", "fp8_e4m3fnuz", "f8e4m3fnuz", "e4m3fnuz")),
        Dtype("F8_E5M2FNUZ", 10, "u1", -57344.0, 57344.0,
              "8-bit float of 5 exponent and 2 mantissa bits, no infinities, one zero", 2, 16,
              zeros=1,
              spellings=("float8_e5m2fnuz", "fp8_e5m2fnuz", "f8e5m2fnuz", "e5m2fnuz")),
        Dtype("F8_E8M0", 8, "u1", 2.0**-127, 2.0**127,
              "OCP scale: powers of two, neither zero nor sign", 0, 127,
              zeros=0,
              spellings=("float8_e8m0fnu", "fp8_e8m0", "f8e8m0", "e8m0", "ue8m0", "float8_e8m0")),
        Dtype("F6_E2M3", 2, "u1", -7.5, 7.5,
              "OCP 6-bit float, 2 exponent and 3 mantissa bits; four in three bytes", 3, 1,
              bits=6, spellings=("float6_e2m3fn", "fp6_e2m3", "e2m3")),
        Dtype("F6_E3M2", 3, "u1", -28.0, 28.0,
              "OCP 6-bit float, 3 exponent and 2 mantissa bits; four in three bytes", 2, 3,
              bits=6, spellings=("float6_e3m2fn", "fp6_e3m2", "e3m2")),
        Dtype("F4", 1, "u1", -6.0, 6.0,
              "OCP 4-bit float, 2 exponent bits and 1 mantissa bit; two in a byte", 1, 1,
              bits=4, spellings=("float4_e2m1fn", "float4_e2m1fn_x2", "fp4_e2m1", "e2m1", "fp4")),
        Dtype("C64", 18, "<c8", -3.4028234663852886e38, 3.4028234663852886e38,
              "two binary32, the real and the imaginary part",
              spellings=("complex64", "torch.cfloat")),
        Dtype("I64", 20, "<i8", -(2**63), 2**63 - 1, "signed 64-bit; whole numbers only",
              spellings=("int64", "long")),
        Dtype("I32", 15, "<i4", -(2**31), 2**31 - 1, "signed 32-bit; whole numbers only",
              spellings=("int32", "torch.int")),
        Dtype("I16", 11, "<i2", -(2**15), 2**15 - 1, "signed 16-bit; whole numbers only",
              spellings=("int16", "short")),
        Dtype("I8", 5, "i1", -128, 127, "signed 8-bit; whole numbers only",
              spellings=("int8",)),
        Dtype("U64", 21, "<u8", 0, 2**64 - 1, "unsigned 64-bit; whole numbers only",
              spellings=("uint64",)),
        Dtype("U32", 16, "<u4", 0, 2**32 - 1, "unsigned 32-bit; whole numbers only",
              spellings=("uint32",)),
        Dtype("U16", 12, "<u2", 0, 2**16 - 1, "unsigned 16-bit; whole numbers only",
              spellings=("uint16",)),
        Dtype("U8", 4, "u1", 0, 255, "unsigned 8-bit; whole numbers only",
              spellings=("uint8",)),
        Dtype("BOOL", 0, "?", 0, 1, "one byte, 0 or 1; whole numbers only",
              spellings=("boolean", "bool_")),
    )
}  # fmt: skip
"""By code. A new dtype is a row here, with its code in the types above."""

_UNCLEAR: dict[str, str] = {
    name: advice
    for names, advice in (
        (
            ("float8", "fp8", "f8"),
            "there are two: F8_E4M3 is float8_e4m3fn, F8_E5M2 is float8_e5m2",
        ),
        (
            ("float8_e4m3",),
            "frameworks mean different formats; F8_E4M3 is float8_e4m3fn, which has no infinities",
        ),
        (("int", "int_"), "frameworks mean different widths; say I32 or I64"),
        (("uint",), "frameworks mean different widths; say U8, U16, U32 or U64"),
        (("byte",), "it has a sign in some frameworks; say I8 or U8"),
        (("np.float", "float_"), "in NumPy it is F64, elsewhere F32; say which"),
        (
            ["f2", "f4", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"],
            "NumPy counts bytes, others bits; say F32, I64, U8 and the like",
        ),
        (("np.long",), "its width depends on the machine; say I32 or I64"),
        (("tf32",), "it is a way to multiply, not to store: such tensors are F32"),
    )
    for name in names
}
"""Names that mean different dtypes to different people, and what to say instead."""

_SPELLINGS: dict[str, DtypeCode] = {
    spelling: dtype.code
    for dtype in DTYPES.values()
    for spelling in (dtype.code.lower(), *dtype.spellings)
    if spelling not in _UNCLEAR
}

_REPR = re.compile(r"<(?:class|dtype:) '([^']*)'>|dtype\('?([^')]*)'?\)")
"""How NumPy, JAX and TensorFlow print a dtype."""

_PREFIX = re.compile(
    r"^(?:torch|np|jax\.np|jnp|tensorflow|tf|ml_dtypes|mlx\.core|mx|keras|paddle)\."
)
_SPELLED_CHARS = 64


class UnclearDtype(ValueError):
    """A name that means different dtypes to different people, with what to say instead."""


def dtype_code(text: str) -> DtypeCode | None:
    """The code of a dtype by any of its names: `bf16`, `torch.bfloat16`, `float32`, `half`.

    Args:
        text: a code or a framework's spelling, in any case, perhaps as the framework prints it.

    Returns:
        The code; `None` if nothing is called so.

    Raises:
        UnclearDtype: frameworks mean different dtypes by it.
    """
    if len(text) > _SPELLED_CHARS:
        return None
    if (code := text.strip()) in DTYPES:
        return DTYPES[code].code
    word = text.strip().lower()
    if printed := _REPR.fullmatch(word):
        word = printed[1] or printed[2] or ""
        word = {"float": "np.float"}.get(word, word)  # Python's own has 64 bits, torch's has 32
    word = word.replace("numpy.", "np.").removeprefix("|").removeprefix("<").removeprefix("=")
    for name in (word, _PREFIX.sub("", word, count=1)):
        if name in _SPELLINGS:
            return _SPELLINGS[name]
        if name in _UNCLEAR:
            raise UnclearDtype(_UNCLEAR[name])
    return None
