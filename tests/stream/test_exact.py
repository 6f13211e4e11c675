from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seedbed.stream import exact
from tests.stream.strategies import INFINITY, untimed

precise = mpmath.MPContext()
precise.dps = 120


def relative_error(value: Fraction, expected: mpmath.mpf) -> float:
    """|value / expected − 1|, to many digits."""
    ratio = precise.mpf(value.numerator) / precise.mpf(value.denominator) / expected
    return float(abs(ratio - 1))


def expected_tail(z: float) -> mpmath.mpf:
    """2(1 − Φ(z)) by mpmath's erfc."""
    return precise.erfc(precise.mpf(z) / precise.sqrt(2))


TAILS = [
    5e-324, 1e-300, 1e-17, 1e-9, 0.1, 0.5, 1.0, 2.0, 3.7, 5.0, math.nextafter(6.0, 0.0), 6.0,
    math.nextafter(6.0, 7.0), 6.5, 8.0, 12.0, 20.0, 37.5, 39.0, math.nextafter(40.0, 0.0),
]  # fmt: skip


@pytest.mark.parametrize("z", TAILS)
def test_tail_equals_mpmath(z: float) -> None:
    """The two-sided tail has 60 right digits, on both sides of the change of method at 6."""
    assert relative_error(exact.two_sided_tail(z), expected_tail(z)) < 1e-60


@untimed
@given(st.floats(0.0, 40.0, exclude_max=True))
def test_tail_has_60_digits_everywhere(z: float) -> None:
    """The two-sided tail has 60 right digits for any z up to 40."""
    assert relative_error(exact.two_sided_tail(z), expected_tail(z)) < 1e-60


def test_tail_of_nothing_is_all() -> None:
    """The whole probability lies beyond 0, exactly."""
    assert exact.two_sided_tail(0.0) == 1
    assert exact.two_sided_tail(-0.0) == 1


@pytest.mark.parametrize("z", [40.0, 100.0, 1e300, INFINITY])
def test_tail_is_empty_far_out(z: float) -> None:
    """From 40 standard deviations on, where it is below 10⁻³⁴⁹, the tail counts as 0."""
    assert exact.two_sided_tail(z) == 0
    assert expected_tail(40.0) < precise.mpf("1e-349")


@pytest.mark.parametrize(
    "value",
    [5e-324, 2.0**-126, 1e-6, 0.1, math.nextafter(1.0, 0.0), math.nextafter(1.0, 2.0), 3.0,
     1000.0, 3.4028234663852886e38, 1.7e308],
)  # fmt: skip
def test_log2_equals_mpmath(value: float) -> None:
    """log₂ has 60 right digits, even where it nearly vanishes."""
    expected = precise.log(precise.mpf(value)) / precise.log(2)
    assert relative_error(exact.log2(value), expected) < 1e-60


@untimed
@given(st.floats(5e-324, 1.7e308))
def test_log2_has_60_digits_everywhere(value: float) -> None:
    """log₂ has 60 right digits for any positive float."""
    assume(value != 1.0)
    expected = precise.log(precise.mpf(value)) / precise.log(2)
    assert relative_error(exact.log2(value), expected) < 1e-60


@pytest.mark.parametrize("power", [-126, -1, 0, 1, 10, 127])
def test_log2_of_a_power_of_two(power: int) -> None:
    """log₂ of a power of two rounds to the whole number, and that of 1 is 0 exactly."""
    assert abs(exact.log2(2.0**power) - power) < Fraction(1, 10**70)
    assert exact.log2(1.0) == 0


finite_float32 = st.floats(-(2.0**127), 2.0**127, width=32)


def neighbours(value: float) -> tuple[Fraction, Fraction]:
    """A float32 and the next one up, as fractions."""
    above = np.nextafter(np.float32(value), np.float32(np.inf))
    return Fraction(float(np.float32(value))), Fraction(float(above))


@untimed
@given(finite_float32)
def test_a_float32_stays_itself(value: float) -> None:
    """A fraction that is a float32 is rounded to itself."""
    assert exact.to_float32(Fraction(value)) == np.float32(value)


@untimed
@given(finite_float32, st.fractions(Fraction(1, 10**6), Fraction(1, 2) - Fraction(1, 10**30)))
def test_the_nearer_float32_is_taken(value: float, part: Fraction) -> None:
    """A fraction between two float32 goes to the nearer, however close to the middle it lies."""
    low, high = neighbours(value)
    assert Fraction(float(exact.to_float32(low + part * (high - low)))) == low
    assert Fraction(float(exact.to_float32(high - part * (high - low)))) == high


@untimed
@given(finite_float32)
def test_ties_go_to_even(value: float) -> None:
    """The middle of two float32 goes to the one whose last bit is 0."""
    low, high = neighbours(value)
    rounded = exact.to_float32((low + high) / 2)
    assert Fraction(float(rounded)) in (low, high)
    assert int(rounded.view(np.uint32)) & 1 == 0


@untimed
@given(finite_float32, st.integers(60, 200), st.sampled_from((-1, 1)))
def test_no_double_rounding(value: float, exponent: int, side: int) -> None:
    """A fraction too close to the middle for float64 to see still goes to the nearer float32."""
    low, high = neighbours(value)
    middle = (low + high) / 2
    nudge = side * (high - low) / 2**exponent
    assert Fraction(float(exact.to_float32(middle + nudge))) == (high if side > 0 else low)


def test_float32_type() -> None:
    """The result is a NumPy float32, whose sum with another stays one."""
    assert type(exact.to_float32(Fraction(1, 3))) is np.float32
