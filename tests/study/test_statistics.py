from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from study.statistics import corrected, effect_of, holm
from tests.stream.strategies import untimed

differences = st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=3, max_size=20).filter(
    lambda values: np.std(values) > 1e-2
)


@untimed
@given(differences)
def test_effect_is_scipys(values: list[float]) -> None:
    """Mean, interval and p-value are those of scipy's paired t-test."""
    found = effect_of(np.array(values))
    test = stats.ttest_1samp(values, 0.0)
    low, high = test.confidence_interval(0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert math.isclose(found.p, test.pvalue, abs_tol=1e-8)


@untimed
@given(differences)
def test_bound_is_two_one_sided_tests(values: list[float]) -> None:
    """At the bound the one-sided test against a larger effect has p = 0.05, to its nearer side."""
    found = effect_of(np.array(values))
    sides = [
        stats.ttest_1samp(values, found.bound, alternative="less").pvalue,
        stats.ttest_1samp(values, -found.bound, alternative="greater").pvalue,
    ]
    assert math.isclose(max(sides), 0.05, rel_tol=1e-6)


def test_ties_and_certainty() -> None:
    """No difference at all is p = 1; the same one every time is p = 0; ties are half a win."""
    assert effect_of(np.zeros(4)).p == 1.0
    assert effect_of(np.ones(4)).p == 0.0
    assert effect_of(np.array([1.0, 0.0, -1.0, 0.0])).wins == 0.5


def test_holm_is_the_papers() -> None:
    """Steps down from the smallest: 4·0.01, 3·0.013, … and never below the one before."""
    assert holm([0.01, 0.04, 0.013, 0.5]) == pytest.approx([0.04, 0.08, 0.04, 0.5])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.slow
def test_holm_keeps_false_alarms_rare() -> None:
    """Among 20 effects that are none, one is called real in at most about 5 % of the studies."""
    rng = np.random.Generator(np.random.Philox(11))
    alarms = 0
    for _ in range(300):
        draws = rng.normal(size=(20, 8))
        ps = corrected({str(i): effect_of(row) for i, row in enumerate(draws)})
        alarms += min(ps.values()) < 0.05
    assert stats.binomtest(alarms, 300, 0.05, alternative="greater").pvalue > 1e-3
