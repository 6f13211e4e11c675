"""Real numbers that parameters need, correctly rounded on every machine.

Truncation needs Φ and log-uniform needs log₂. Library versions of both differ in the last place
between machines, and a parameter that differs changes a whole tensor. Here they are evaluated in
decimal arithmetic with digits to spare (Python's `decimal` rounds every operation correctly to the
context's precision, by specification) and handed on as fractions, whose arithmetic is exact, so
that the one rounding that counts, to float32 or to an integer, is the rounding of the real number.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import lru_cache

import numpy as np

_CONTEXT = Context(prec=80, rounding=ROUND_HALF_EVEN)
_FAR = 40.0
"""Past 40 σ a normal tail is below 10⁻³⁵⁰, and 0 in every use made of it here."""


def _pi() -> Decimal:
    """π by Machin's formula, 16 atan(1/5) − 4 atan(1/239)."""
    context = _CONTEXT

    def atan_inverse(n: int) -> Decimal:
        term = total = context.divide(Decimal(1), Decimal(n))
        square, k = Decimal(n * n), 1
        while abs(term) > Decimal("1e-90"):
            term = context.divide(term.copy_negate(), square)
            k += 2
            total = context.add(total, context.divide(term, Decimal(k)))
        return total

    return context.subtract(
        context.multiply(Decimal(16), atan_inverse(5)),
        context.multiply(Decimal(4), atan_inverse(239)),
    )


_SQRT_2_OVER_PI = _CONTEXT.sqrt(_CONTEXT.divide(Decimal(2), _pi()))


@lru_cache(maxsize=4096)
def two_sided_tail(z: float) -> Fraction:
    """P(|Z| > z) = 2(1 − Φ(z)) of a standard normal Z, for z ≥ 0, to at least 60 digits.

    Up to z = 6 by the series of Φ about 0 (Marsaglia 2004), Φ(z) − ½ = φ(z) Σ z^(2k+1)/(2k+1)!!,
    all of whose terms are positive; beyond by Laplace's continued fraction.
    """
    context = _CONTEXT
    if z >= _FAR:
        return Fraction(0)
    x = Decimal(z)
    square = context.multiply(x, x)
    density = context.multiply(_SQRT_2_OVER_PI, context.exp(context.divide(square, Decimal(-2))))
    if z <= 6.0:
        term = total = x
        k = 1
        while term > Decimal("1e-75"):
            k += 2
            term = context.divide(context.multiply(term, square), Decimal(k))
            total = context.add(total, term)
        return Fraction(context.subtract(Decimal(1), context.multiply(density, total)))
    fraction = x
    for k in range(2000, 0, -1):
        fraction = context.add(x, context.divide(Decimal(k), fraction))
    return Fraction(context.divide(density, fraction))


@lru_cache(maxsize=4096)
def truncated_moments(lower: float, upper: float) -> tuple[float, float, float]:
    """Mean, standard deviation and excess kurtosis of a standard normal cut to (lower, upper).

    Raw moments by Johnson, Kotz & Balakrishnan 1994, §10.1, as fractions: the digits that cancel
    in a narrow interval are there to spare.
    """
    if upper <= 0:
        mean, std, kurtosis = truncated_moments(-upper, -lower)
        return -mean, std, kurtosis
    if lower >= 0:
        mass = (two_sided_tail(lower) - two_sided_tail(upper)) / 2
    else:
        mass = 1 - (two_sided_tail(-lower) + two_sided_tail(upper)) / 2

    def edge(power: int) -> Fraction:
        """(aⁿφ(a) − bⁿφ(b)) / mass, where far ends contribute nothing."""
        ends = (Fraction(z) ** power * _density(z) if abs(z) < _FAR else 0 for z in (lower, upper))
        at_lower, at_upper = ends
        return (at_lower - at_upper) / mass

    m1 = edge(0)
    m2 = 1 + edge(1)
    m3 = 2 * m1 + edge(2)
    m4 = 3 * m2 + edge(3)
    variance = m2 - m1**2
    central4 = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    return float(m1), math.sqrt(variance), float(central4 / variance**2 - 3)


def _density(z: float) -> Fraction:
    """φ(z) of the standard normal."""
    context = _CONTEXT
    half_square = context.divide(context.multiply(Decimal(z), Decimal(z)), Decimal(-2))
    return Fraction(context.multiply(_SQRT_2_OVER_PI, context.exp(half_square))) / 2


@lru_cache(maxsize=4096)
def log2(value: float) -> Fraction:
    """log₂ of a positive float, to at least 70 digits."""
    return Fraction(_CONTEXT.divide(_CONTEXT.ln(Decimal(value)), _CONTEXT.ln(Decimal(2))))


def to_float32(value: Fraction) -> np.float32:
    """The float32 nearest to a fraction, ties to even. Not by way of float64: that rounds twice."""
    near = np.float32(float(value))
    infinity = np.float32(np.inf)
    candidates = (np.nextafter(near, -infinity), near, np.nextafter(near, infinity))

    def distance(candidate: np.float32) -> tuple[Fraction, int]:
        return abs(Fraction(float(candidate)) - value), int(candidate.view(np.uint32)) & 1

    return min(candidates, key=distance)
