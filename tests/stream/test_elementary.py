from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.stream import elementary
from tests.strategies import untimed

mp = mpmath.MPContext()
mp.dps = 60

DOMAINS: dict[str, tuple[float, float]] = {
    "exp": (-700.0, 709.0),
    "exp2": (-1000.0, 1000.0),
    "log": (1e-300, 1e300),
    "expm1": (-700.0, 700.0),
    "sin": (-(2.0**20), 2.0**20),
    "cos": (-(2.0**20), 2.0**20),
    "inverse_softplus": (1e-9, 600.0),
}

ULPS = {"exp": 1, "log": 1, "sin": 1, "cos": 1, "exp2": 2, "expm1": 3}
"""Errors that the module promises, in units of the last place of the result."""

TRUTH: dict[str, Callable[[Any], Any]] = {
    "exp": mp.exp,
    "exp2": lambda x: mp.power(2, x),
    "log": mp.log,
    "expm1": mp.expm1,
    "sin": mp.sin,
    "cos": mp.cos,
    "inverse_softplus": lambda y: mp.log(mp.expm1(y)),
}


def samples(name: str) -> list[float]:
    """Arguments of all sizes in a function's domain, and those near where it is hard."""
    low, high = DOMAINS[name]
    random = np.random.default_rng(7)
    every = [*random.uniform(max(low, -50.0), min(high, 50.0), 1500)]
    every += [*random.uniform(low, high, 500)]
    every += [*(2.0 ** random.uniform(-40, 20, 1500)), *(1.0 + random.uniform(-1e-3, 1e-3, 500))]
    every += [*(-(2.0 ** random.uniform(-40, 20, 1000)))]
    every += [float(k * math.pi / 2) for k in (1, 2, 3, 4, 355, 667543, -1, -2)]
    return [float(x) for x in every if low <= x <= high]


@pytest.mark.parametrize("name", ULPS)
def test_errors_in_the_last_place(name: str) -> None:
    """Against mpmath's sixty digits, a function is wrong by no more ulps than it says."""
    arguments = samples(name)
    actual = getattr(elementary, name)(np.array(arguments))
    worst = 0.0
    for x, y in zip(arguments, actual, strict=True):
        exact = TRUTH[name](mp.mpf(x))
        worst = max(worst, float(abs(mp.mpf(float(y)) - exact) / math.ulp(float(exact))))
    assert worst <= ULPS[name]


def test_inverse_softplus() -> None:
    """ln(eʸ − 1) is right to 5 ulps of the larger of it and y: the sum crosses zero at y = ln 2."""
    arguments = samples("inverse_softplus")
    actual = elementary.inverse_softplus(np.array(arguments))
    for y, x in zip(arguments, actual, strict=True):
        exact = TRUTH["inverse_softplus"](mp.mpf(y))
        assert abs(mp.mpf(float(x)) - exact) <= 5 * math.ulp(max(abs(float(exact)), y))


@untimed
@given(st.sampled_from(sorted(ULPS)), st.data())
def test_any_argument(name: str, data: st.DataObject) -> None:
    """The promise holds for whatever argument of the domain."""
    x = data.draw(st.floats(*DOMAINS[name]))
    (y,) = getattr(elementary, name)(np.array([x]))
    exact = TRUTH[name](mp.mpf(x))
    assert abs(mp.mpf(float(y)) - exact) <= ULPS[name] * mp.mpf(math.ulp(float(exact)))


def test_exact_values() -> None:
    """Powers of two, and the functions at 0 and 1, are exact."""
    k = np.arange(-1022.0, 1023.0)
    assert [*elementary.exp2(k)] == [2.0 ** int(i) for i in k]
    zero, one = np.zeros(1), np.ones(1)
    assert elementary.exp(zero) == elementary.cos(zero) == 1
    assert elementary.sin(zero) == elementary.log(one) == elementary.expm1(zero) == 0


def test_results_do_not_depend_on_company() -> None:
    """An argument gives the same bits alone, in an array of any length, and in any place."""
    arguments = np.array(samples("sin"))
    for name in ("sin", "cos"):
        function = getattr(elementary, name)
        whole = function(arguments)
        for start, stop in ((0, 1), (1, 8), (5, 1000), (777, 779)):
            assert function(arguments[start:stop]).tobytes() == whole[start:stop].tobytes()
