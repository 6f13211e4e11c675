from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from seedbed.compare import gaussian
from seedbed.compare.activations import FUNCTIONS, erf, function_of
from tests.compare.oracles import erf_kernel, relu_kernel
from tests.stream.strategies import untimed

correlations = st.floats(-1.0, 1.0)


@pytest.mark.parametrize("name", [*FUNCTIONS, "leaky_relu"])
def test_slopes_are_derivatives(name: str) -> None:
    """An activation's slope is the limit of its differences, away from a kink."""
    function = function_of(name)
    x = np.linspace(-6.0, 6.0, 400)  # without 0
    step = 1e-5
    differences = (function.of(x + step) - function.of(x - step)) / (2 * step)
    np.testing.assert_allclose(function.slope(x), differences, atol=2e-7)


@pytest.mark.parametrize("name", [*FUNCTIONS, "leaky_relu"])
def test_homogeneous_ones_scale(name: str) -> None:
    """Exactly those said to be homogeneous give twice as much for twice as much."""
    function = function_of(name)
    x = np.linspace(-3.0, 3.0, 11)
    scales = np.allclose(function.of(2 * x), 2 * function.of(x), rtol=1e-12)
    assert scales == function.homogeneous


def test_erf_is_the_error_function() -> None:
    """The interpolated error function is within 1e-11 of scipy's, and ends at ±1."""
    x = np.linspace(-7.0, 7.0, 100_001)
    assert np.abs(erf(x) - special.erf(x)).max() < 1e-11


@untimed
@given(st.integers(0, 12), st.floats(1e-3, 50.0))
def test_powers_have_their_moments(power: int, variance: float) -> None:
    """E z²ᵏ is (2k − 1)!!·σ²ᵏ, odd moments vanish."""
    found = gaussian.mean(lambda z: z**power, variance)
    double_factorial = math.prod(range(power - 1, 0, -2)) if power % 2 == 0 else 0
    expected = double_factorial * variance ** (power / 2)
    assert math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9 * variance ** (power / 2))


@untimed
@given(correlations)
def test_relu_has_the_arc_cosine_kernel(c: float) -> None:
    """Products of rectified Gaussians have Cho and Saul's closed form, whatever the correlation."""
    found = gaussian.mean_of_product(FUNCTIONS["relu"].of, 1.0, c)
    assert math.isclose(found, relu_kernel(c), abs_tol=3e-9)


@untimed
@given(st.floats(1e-3, 100.0), correlations)
def test_erf_has_the_arc_sine_kernel(q: float, c: float) -> None:
    """Products of error functions of Gaussians have Williams' closed form, also where they bend."""
    found = gaussian.mean_of_product(FUNCTIONS["erf"].of, q, c)
    assert math.isclose(found, erf_kernel(q, c), abs_tol=1e-8 if q < 10 else 1e-5)
