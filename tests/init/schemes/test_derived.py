from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from tests.init.schemes.tensors import scheme_of, tensor_of

mp = mpmath.MPContext()
mp.dps = 40

CASES: list[tuple[dict[str, Any], dict[str, Any], Callable[[Any], Any]]] = [
    (
        {"scheme": "mamba_dt_bias"},
        {"scheme": "log_uniform", "low": 0.001, "high": 0.1},
        lambda dt: dt + mp.log(-mp.expm1(-dt)),
    ),
    (
        {"scheme": "mamba_dt_bias", "dt_min": 0.01, "dt_max": 3.0, "floor": 0.5},
        {"scheme": "log_uniform", "low": 0.01, "high": 3.0},
        lambda dt: mp.log(mp.expm1(max(dt, mp.mpf(0.5)))),
    ),
    (
        {"scheme": "chrono_bias", "t_max": 100.0},
        {"scheme": "uniform", "low": 1.0, "high": 99.0},
        mp.log,
    ),
    (
        {"scheme": "chrono_bias", "t_max": 100.0, "gate": "input"},
        {"scheme": "uniform", "low": 1.0, "high": 99.0},
        lambda u: -mp.log(u),
    ),
    (
        {"scheme": "lru_nu_log", "r_min": 0.25, "r_max": 0.5},
        {"scheme": "uniform", "low": 0.0625, "high": 0.25},
        lambda s: mp.log(-mp.log(s) / 2),
    ),
    (
        {"scheme": "lru_theta_log", "max_phase": 0.5},
        {"scheme": "uniform", "low": 0.0, "high": 0.5},
        mp.log,
    ),
    (
        {"scheme": "rglru", "r_min": 0.5, "r_max": 0.75},
        {"scheme": "uniform", "low": 0.25, "high": 0.5625},
        lambda s: mp.log(1 / mp.sqrt(s) - 1),
    ),
]
"""A scheme, the draws that it starts from, and the function of the paper."""


@pytest.mark.parametrize(("init", "start", "function"), CASES, ids=[str(case[0]) for case in CASES])
def test_values_are_the_function_of_draws(
    init: Any, start: Any, function: Callable[[Any], Any]
) -> None:
    """Each element is the float32 nearest to the paper's function of the same word's draw."""
    values = tensor_of(init, (300,))
    plain = tensor_of(start, (300,))
    expected = [np.float32(float(function(mp.mpf(float(x))))) for x in plain]
    np.testing.assert_allclose(values, expected, rtol=6e-8)
    assert (values == expected).mean() > 0.99


def test_what_they_mean() -> None:
    """Put back through the model's own function, values have the distribution that was meant."""
    dt = np.log1p(np.exp(tensor_of("mamba_dt_bias", (20_000,)).astype(np.float64)))
    spread = stats.uniform(np.log(0.001), np.log(100.0))
    assert stats.kstest(np.log(dt), spread.cdf).pvalue > 1e-3
    nu = tensor_of({"scheme": "lru_nu_log", "r_min": 0.4, "r_max": 0.9}, (20_000,))
    modulus = np.exp(-np.exp(nu.astype(np.float64)))
    assert stats.kstest(modulus**2, stats.uniform(0.16, 0.65).cdf).pvalue > 1e-3
    a = 1 / (1 + np.exp(tensor_of("rglru", (20_000,)).astype(np.float64)))
    assert stats.kstest(a**2, stats.uniform(0.81, 0.999**2 - 0.81).cdf).pvalue > 1e-3


@pytest.mark.parametrize("scheme", ["lru_nu_log", "rglru"])
def test_radii_are_in_order(scheme: str) -> None:
    """An inner radius that is not below the outer one is refused."""
    with pytest.raises(ValidationError, match="r_min must be below r_max"):
        scheme_of({"scheme": scheme, "r_min": 0.95, "r_max": 0.9})
