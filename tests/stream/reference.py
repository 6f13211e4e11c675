"""Sections 1 to 4 of docs/stream.md in exact fractions: slow, and sharing nothing with `app`.

Written from the document, whose constants it reads. Every operation is carried out exactly and
then rounded by `nearest`, so neither NumPy nor the machine's float32 takes part. AES comes from
the ECB mode, Φ and log₂ from mpmath.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import mpmath
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Real = Fraction | float  # float only for the infinities

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "stream.md"
NARROW = {"F16": (10, 15, 2), "BF16": (7, 127, 2), "F8_E4M3": (3, 7, 1), "F8_E5M2": (2, 15, 1)}
"""Mantissa bits, exponent bias and bytes of the narrow floats, as their standards have them."""

_precise = mpmath.MPContext()
_precise.dps = 90


def nearest(value: Fraction, mantissa_bits: int = 23, lowest_exponent: int = -126) -> Fraction:
    """The float of this format nearest to a real number, ties to even; float32 unless told."""
    if not value:
        return value
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, lowest_exponent) - mantissa_bits)
    return round(value / unit) * unit


def f32(value: float | Fraction) -> Fraction:
    """The document's f32."""
    return nearest(Fraction(value))


def bits(value: Fraction) -> int:
    """The document's bits."""
    return struct.unpack("<I", struct.pack("<f", value))[0]


def float_of(pattern: int) -> Fraction:
    """The document's float."""
    return Fraction(struct.unpack("<f", struct.pack("<I", pattern & 0xFFFFFFFF))[0])


def constants(label: str) -> tuple[Fraction, ...]:
    """A row of coefficients in the document's tables."""
    row = re.search(rf"^\| {label} \| ([^|]*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert row, label
    numbers = re.findall(r"-?\d[\d.e-]*", row[1].replace("−", "-"))
    return tuple(f32(Fraction(number)) for number in numbers)


A, B, C, E = (constants(label) for label in "ABCE")
KAPPA = float(re.search(r"\| κ \| ([\d.]+) \(float64\)", DOCUMENT.read_text())[1])


def poly(x: Fraction, coefficients: Sequence[Fraction]) -> Fraction:
    """Horner's rule, highest power first."""
    value = coefficients[0]
    for coefficient in coefficients[1:]:
        value = f32(f32(value * x) + coefficient)
    return value


def interval(low: float, high: float, *, strict: bool) -> tuple[Real, Real]:
    """First and last float32 between two bounds."""

    def inwards(bound: float, sign: int) -> Real:
        """The float32 closest to a bound on the side of `sign`."""
        if math.isinf(bound):
            return bound
        value = f32(bound)
        if sign * value < sign * Fraction(bound) or (strict and value == Fraction(bound)):
            pattern = bits(value) if value > 0 else -bits(-value)
            pattern += sign
            value = float_of(pattern) if pattern > 0 else -float_of(-pattern)
        return value

    return inwards(low, 1), inwards(high, -1)


def clamp(value: Fraction, first: Real, last: Real) -> Fraction:
    """The document's clamp."""
    return min(max(value, first), last)


def key(seed: int, name: str, lane: str) -> bytes:
    """Section 1."""
    parts = [b"seedbed/stream", b"\x01\x00", seed.to_bytes(8, "little")]
    for text in (lane, name):
        parts += [len(text.encode()).to_bytes(8, "little"), text.encode()]
    return hashlib.sha256(b"".join(parts)).digest()[:16]


def word(stream_key: bytes, index: int) -> int:
    """Section 2, from the encryption of one counter block by itself."""
    ecb = Cipher(algorithms.AES128(stream_key), modes.ECB()).encryptor()
    block = ecb.update((index // 4).to_bytes(16, "big"))
    return int.from_bytes(block[index % 4 * 4 :][:4], "little")


def t(w: int) -> Fraction:
    """Section 3.1."""
    return Fraction(2 * (w >> 8) - 16777215, 2**24)


def uniform_parameters(low: float, high: float) -> tuple[Real, ...]:
    """Centre, half, first, last of section 3.2."""
    return f32(low / 2 + high / 2), f32(high / 2 - low / 2), *interval(low, high, strict=True)


def uniform(w: int, parameters: Sequence[Real]) -> Fraction:
    """Section 3.2."""
    centre, half, first, last = parameters
    return clamp(f32(f32(half * t(w)) + centre), first, last)


def half_normal(x: Fraction) -> Fraction:
    """G of section 3.3."""
    n = bits(x) - 0x3F3504F3
    u = f32(float_of((n & 0x7FFFFF) + 0x3F3504F3) - 1)
    level = f32(31 - (n >> 23) + f32(u * poly(u, C)))
    return f32(f32(level * poly(level, (Fraction(1), *A))) / poly(level, (Fraction(1), *B)))


def tail(z: float) -> Fraction:
    """Q of section 3.5 to some 80 digits."""
    if math.isinf(z):
        return Fraction(0)
    return Fraction(_precise.nstr(_precise.erfc(_precise.mpf(z) / _precise.sqrt(2)), 80))


def normal_parameters(mean: float, std: float) -> tuple[Real, ...]:
    """Section 3.4, as the count of upper words, the two sides, centre, spread and bounds."""
    whole = (Fraction(1), Fraction(0))
    return 2**31, *whole, *whole, f32(mean), f32(KAPPA * std), -math.inf, math.inf


def truncated_parameters(mean: float, std: float, lower: float, upper: float) -> tuple[Real, ...]:
    """The same of section 3.5."""
    first, last = interval(mean + lower * std, mean + upper * std, strict=False)
    spread = f32(KAPPA * std)
    if upper <= 0:
        lower, upper, spread = -upper, -lower, -spread
    far_up, far_down = tail(upper), tail(max(-lower, 0.0))
    mass_up, mass_down = tail(max(lower, 0.0)) - far_up, 1 - far_down
    count_up = max(1, round(2**32 * mass_up / (mass_up + mass_down)))
    count_down = max(1, 2**32 - count_up)
    return (
        count_up,
        f32(2**31 * mass_up / count_up),
        f32(2**31 * far_up),
        f32(2**31 * mass_down / count_down),
        f32(2**31 * far_down),
        f32(mean),
        spread,
        first,
        last,
    )


def normal(w: int, parameters: Sequence[Real]) -> Fraction:
    """Sections 3.4 and 3.5."""
    count_up, scale_up, offset_up, scale_down, offset_down, centre, spread, first, last = parameters
    up = w < count_up
    h = w if up else w - count_up
    scale, offset = (scale_up, offset_up) if up else (scale_down, offset_down)
    x = min(f32(f32(f32(f32(h) + Fraction(1, 2)) * scale) + offset), Fraction(2**31))
    z = half_normal(x) if up else -half_normal(x)
    return clamp(f32(f32(spread * z) + centre), first, last)


def log_uniform_parameters(low: float, high: float) -> tuple[Real, ...]:
    """Centre, half, first, last of section 3.6."""
    octaves = (_precise.log(high) - _precise.log(low)) / _precise.log(2)
    half = f32(Fraction(_precise.nstr(octaves / 2, 80)))
    return f32(math.sqrt(low) * math.sqrt(high)), half, *interval(low, high, strict=True)


def log_uniform(w: int, parameters: Sequence[Real]) -> Fraction:
    """Section 3.6."""
    centre, half, first, last = parameters
    y = f32(half * t(w))
    n = round(y)
    r = f32(y - n)
    power = f32(f32(r * poly(r, E)) + 1)
    return clamp(f32(centre * float_of(bits(power) + n * 2**23)), first, last)


SECTIONS = {
    "uniform": (uniform_parameters, uniform),
    "normal": (normal_parameters, normal),
    "truncated_normal": (truncated_parameters, normal),
    "log_uniform": (log_uniform_parameters, log_uniform),
}
"""By a distribution's name, parameters from its arguments, and the draw of one word."""


def encode(value: Fraction, dtype: str) -> bytes:
    """Section 4, for values other than −0."""
    if dtype in ("F32", "F64"):
        return struct.pack("<f" if dtype == "F32" else "<d", value)
    mantissa_bits, bias, size = NARROW[dtype]
    rounded = abs(nearest(value, mantissa_bits, 1 - bias))
    unit = Fraction(2) ** (1 - bias - mantissa_bits)
    pattern, exponent = int(rounded / unit), 0
    while pattern >= 2 ** (mantissa_bits + 1):
        pattern, exponent = pattern // 2, exponent + 1
    pattern += exponent << mantissa_bits
    return (pattern | (value < 0) << (8 * size - 1)).to_bytes(size, "little")
