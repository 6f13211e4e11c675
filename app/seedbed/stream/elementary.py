"""exp, log, sin and their kin in float64, to the bit the same on every machine.

Libraries differ in the last place; IEEE 754's + − × ÷ do not. Each function here is those four in a
stated order, integer operations on the bits, and comparisons; docs/stream.md, "Elementary
functions", says the same in words. **A line that looks improvable must not change.** Errors are
within 1 ulp for exp, log, sin and cos, and within 3 ulp for the others.

The constants and the reductions of exp, log, sin and cos are those of FDLIBM 5.3 (Sun Microsystems
1993): minimax polynomials, and ln 2 and π/2 in parts whose products with small integers are exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
LN2 = 6.93147180559945286227e-01
INVERSE_LN2 = 1.44269504088896338700e00
PI = 3.14159265358979311600e00
TWO_OVER_PI = 6.36619772367581382433e-01

HALF_PI = (
    1.57079632673412561417e00,
    6.07710050630396597660e-11,
    2.02226624871116645580e-21,
    8.47842766036889956997e-32,
)
"""π/2 in parts: three of 33 bits, so that their products with integers below 2²⁰ are exact."""

EXP = (
    4.13813679705723846039e-08, -1.65339022054652515390e-06, 6.61375632143793436117e-05,
    -2.77777777770155933842e-03, 1.66666666666666019037e-01,
)  # fmt: skip
LOG = (
    1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01,
    2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01,
    6.666666666666735130e-01,
)  # fmt: skip
SIN = (
    1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06,
    -1.98412698298579493134e-04, 8.33333333332248946124e-03,
)  # fmt: skip
SIN_CUBE = -1.66666666666666324348e-01
COS = (
    -1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07,
    2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02,
)  # fmt: skip
"""Polynomials in the square of the argument, highest power first."""

SQRT_HALF_BITS = 0x3FE6A09E00000000
"""Where the mantissa's interval of `log` is cut, just below √½."""

ANGLE_MAX = 2.0**20
"""`sin` and `cos` take angles up to this."""


def horner(x: Doubles, coefficients: tuple[float, ...]) -> Doubles:
    """The polynomial with these coefficients, highest power first."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def _exp_reduced(high: Doubles, low: Doubles) -> Doubles:
    """exp(high − low) for a difference within ±½ ln 2."""
    r = high - low
    square = r * r
    c = r - square * horner(square, EXP)
    return 1.0 - ((low - (r * c) / (2.0 - c)) - high)


def power_of_two(k: Integers) -> Doubles:
    """2^k for integers in −1022 … 1023, by its bits."""
    return ((k + 1023) << 52).view(np.float64)


def _scaled(value: Doubles, k: Doubles) -> Doubles:
    """value·2^k in two exact steps (the second rounds if the result is subnormal)."""
    whole = k.astype(np.int64)
    half = whole >> 1
    return (value * power_of_two(half)) * power_of_two(whole - half)


def exp(x: Doubles) -> Doubles:
    """e^x for −745 ≤ x ≤ 709; what lies beyond is taken for the nearer end."""
    x = np.where(x < -745.0, -745.0, np.where(x > 709.0, 709.0, x))
    k = np.rint(x * INVERSE_LN2)
    return _scaled(_exp_reduced(x - k * LN2_HIGH, k * LN2_LOW), k)


def exp2(x: Doubles) -> Doubles:
    """2^x for −1022 ≤ x ≤ 1022, exact for integers."""
    x = np.where(x < -1022.0, -1022.0, np.where(x > 1022.0, 1022.0, x))
    k = np.rint(x)
    r = x - k
    return _scaled(_exp_reduced(r * LN2, np.zeros_like(r)), k)


def log(x: Doubles) -> Doubles:
    """The natural logarithm, for normal positive x."""
    bits = np.ascontiguousarray(x).view(np.int64)
    shifted = bits - SQRT_HALF_BITS
    k = (shifted >> 52).astype(np.float64)
    m = ((shifted & 0xFFFFFFFFFFFFF) + SQRT_HALF_BITS).view(np.float64)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    tail = z * horner(z, LOG)
    half_square = (0.5 * f) * f
    return k * LN2_HIGH - ((half_square - (s * (half_square + tail) + k * LN2_LOW)) - f)


def expm1(x: Doubles) -> Doubles:
    """e^x − 1 without cancellation, for −700 ≤ x ≤ 700 (attributed to Kahan)."""
    u = exp(x)
    less = u - 1.0
    plain = (less == 0.0) | (u == 0.0) | (np.abs(x) > 40.0)
    quotient = less * x / log(np.where(plain, 2.0, u))
    return np.where(less == 0.0, x, np.where(plain, less, quotient))


def inverse_softplus(y: Doubles) -> Doubles:
    """The x with ln(1 + e^x) = y, for y ≥ 2⁻¹⁰⁰: y + ln(−expm1(−y))."""
    return y + log(-expm1(-y))


def _two_difference(a: Doubles, b: Doubles) -> tuple[Doubles, Doubles]:
    """The difference a − b rounded, and what that lost, exactly (Knuth)."""
    difference = a - b
    virtual = difference - a
    return difference, (a - (difference - virtual)) - (b + virtual)


def _quadrant(angle: Doubles) -> tuple[Integers, Doubles, Doubles]:
    """The nearest multiple of π/2, and the rest as a sum of two."""
    n = np.rint(angle * TWO_OVER_PI)
    first = angle - n * HALF_PI[0]
    second, lost = _two_difference(first, n * HALF_PI[1])
    third, lost_again = _two_difference(second, n * HALF_PI[2])
    low = (lost + lost_again) - n * HALF_PI[3]
    rest = third + low
    return n.astype(np.int64), rest, (third - rest) + low


def _sin_reduced(x: Doubles, low: Doubles) -> Doubles:
    square = x * x
    cube = square * x
    r = horner(square, SIN)
    return x - ((square * (0.5 * low - cube * r) - low) - cube * SIN_CUBE)


def _cos_reduced(x: Doubles, low: Doubles) -> Doubles:
    square = x * x
    r = square * horner(square, COS)
    half = 0.5 * square
    w = 1.0 - half
    return w + (((1.0 - w) - half) + (square * r - x * low))


def sin(angle: Doubles) -> Doubles:
    """Sine of an angle within ±2²⁰."""
    return _turned(angle, 0)


def cos(angle: Doubles) -> Doubles:
    """Cosine of an angle within ±2²⁰."""
    return _turned(angle, 1)


def _turned(angle: Doubles, quarters: int) -> Doubles:
    """Sine of angle + quarters·π/2."""
    n, rest, low = _quadrant(angle)
    turn = (n + quarters) & 3
    value = np.where(turn & 1 == 1, _cos_reduced(rest, low), _sin_reduced(rest, low))
    return np.where(turn >= 2, -value, value)
