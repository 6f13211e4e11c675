from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seedbed.compare.student import interval, t_cdf, t_quantile
from tests.stream.strategies import untimed


@untimed
@given(st.floats(-30.0, 30.0), st.floats(1.0, 500.0))
def test_distribution(t: float, degrees: float) -> None:
    """The distribution function is mpmath's; scipy's own loses ten digits near 0."""
    density = mpmath.gamma((degrees + 1) / 2) / (
        mpmath.sqrt(mpmath.pi * degrees) * mpmath.gamma(degrees / 2)
    )
    series = mpmath.hyp2f1(0.5, (degrees + 1) / 2, 1.5, -(mpmath.mpf(t) ** 2) / degrees)
    assert math.isclose(t_cdf(t, degrees), 0.5 + t * density * series, abs_tol=1e-10)


def test_distribution_near_0() -> None:
    """Its slope at 0 is the density there: 1/π for one degree of freedom."""
    assert math.isclose(t_cdf(1e-8, 1.0) - 0.5, 1e-8 / math.pi, rel_tol=1e-6)


@pytest.mark.parametrize("degrees", [1, 2, 4, 11, 31, 99])
@pytest.mark.parametrize("probability", [0.9, 0.95, 0.975, 0.995])
def test_quantile(probability: float, degrees: int) -> None:
    """The quantiles are scipy's."""
    expected = stats.t.ppf(probability, degrees)
    assert math.isclose(t_quantile(probability, degrees), expected, rel_tol=1e-9)


def test_interval_is_the_textbooks() -> None:
    """Mean ± t·s/√n; of logarithms where the mean is geometric; nothing from one number."""
    values = [1.0, 2.0, 4.0, 8.0]
    mean, low, high = interval(values)
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (mean, low, high) == pytest.approx((3.75, *expected))
    logs = np.log(values)
    ends = np.exp(stats.t.interval(0.95, 3, logs.mean(), stats.sem(logs)))
    assert interval(values, geometric=True) == pytest.approx((math.sqrt(8.0), *ends))
    assert interval([5.0]) == (5.0, None, None)
    assert interval([0.0, 2.0], geometric=True)[0] == 1.0
    assert interval([math.inf, 1.0]) == (None, None, None)


@pytest.mark.slow
def test_interval_covers() -> None:
    """Of 4,000 intervals from five Gaussian numbers about 95 % hold the true mean."""
    draws = np.random.Generator(np.random.Philox(3)).normal(2.0, 1.0, (4000, 5))
    held = sum(low <= 2.0 <= high for _, low, high in map(interval, draws))  # type: ignore[operator]
    assert stats.binomtest(held, 4000, 0.95).pvalue > 1e-3
