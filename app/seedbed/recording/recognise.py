"""Known schemes in transformed draws, by their quantiles."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedbed.recording.distributions import Distribution, LogUniform, Normal, Uniform

Doubles = NDArray[np.float64]
Init = dict[str, Any]

_FAR = np.array([10.0**-n for n in range(9, 3, -1)])
_U: Doubles = np.concatenate([_FAR, np.linspace(0.0005, 0.9995, 1000), 1 - _FAR[::-1]])
"""Probabilities at which a transformed draw is compared with a scheme's, far ends too."""

_Z: Doubles = np.array([NormalDist().inv_cdf(u) for u in _U.tolist()])


def quantiles(base: Distribution) -> Doubles | None:
    """Values of a distribution at these 1,000 probabilities."""
    match base:
        case Uniform(low, high):
            return low + _U * (high - low)
        case Normal(mean, std):
            return mean + std * _Z
        case LogUniform(low, high):
            values: Doubles = np.exp(math.log(low) + _U * (math.log(high) - math.log(low)))
            return values
    return None


def _line(z: Doubles, u: Doubles) -> tuple[float, float] | None:
    """(value at 0, value at 1) if z is linear in u."""
    slope = (z[-1] - z[0]) / (u[-1] - u[0])
    start = z[0] - slope * u[0]
    size = max(float(np.abs(z).max()), 1e-300)
    if not np.allclose(z, start + slope * u, rtol=1e-6, atol=1e-7 * size):
        return None
    return float(start), float(start + slope)


def transformed(base: Distribution, y: Doubles) -> Init | None:
    """The scheme that a transformed draw is, if it is one; equal to 10⁻⁶ at 1,000 quantiles.

    Its numbers have twelve digits: the last ones of a logarithm differ between machines.

    Args:
        base: what was drawn.
        y: what became of the `quantiles` of it, by functions without steps or holes.
    """
    init = _transformed(base, y)
    if init is None:
        return None
    return {k: float(f"{v:.12g}") if isinstance(v, float) else v for k, v in init.items()}


def _transformed(base: Distribution, y: Doubles) -> Init | None:
    if not np.isfinite(y).all() or y[0] == y[-1]:
        return None
    steps = np.diff(y)
    if not ((steps >= 0).all() or (steps <= 0).all()):
        return None
    if isinstance(base, Normal):
        normal = _line(y, _Z)
        line = _line(y, _U) if normal is None else None
        if normal is not None:
            mean, std = normal[0], abs(normal[1] - normal[0])
            mean = 0.0 if abs(mean) < 1e-12 * std else mean
            return {"scheme": "normal", "mean": mean, "std": std}
        return None if line is None else _uniform(*sorted(line))
    rising = y if y[-1] >= y[0] else y[::-1]
    with np.errstate(all="ignore"):  # a guess that is wrong may have no logarithm
        for known in (_plain, _dt_bias, _logarithms, _ring, _gate):
            init = known(rising)
            if init is not None:
                return init
    return None


def _uniform(low: float, high: float) -> Init:
    return {"scheme": "uniform", "low": low, "high": high}


def _plain(y: Doubles) -> Init | None:
    line = _line(y, _U)
    if line is not None:
        return _uniform(*line)
    if float(y[0]) > 0 and (line := _line(np.log(y), _U)) is not None:
        return {"scheme": "log_uniform", "low": math.exp(line[0]), "high": math.exp(line[1])}
    return None


def _dt_bias(y: Doubles) -> Init | None:
    """Mamba's: softplus of it is log-uniform, perhaps with a floor."""
    rate = np.logaddexp(0.0, y)
    least = float(rate.min())
    free = rate > least * (1 + 1e-6)
    if int(free.sum()) < 10 or not least > 0:
        return None
    line = _line(np.log(rate[free]), _U[free])
    if line is None:
        return None
    low, high = math.exp(line[0]), math.exp(line[1])
    floor = least if least > low * (1 + 1e-6) else min(1e-4, low)
    return {"scheme": "mamba_dt_bias", "dt_min": low, "dt_max": high, "floor": floor}


def _logarithms(y: Doubles) -> Init | None:
    line = _line(np.exp(y), _U)
    if line is None:
        return None
    if abs(line[0] - 1) < 1e-6:
        return {"scheme": "chrono_bias", "t_max": line[1] + 1}
    return {"scheme": "lru_theta_log", "max_phase": line[1]} if abs(line[0]) < 1e-6 else None


def _ring(y: Doubles) -> Init | None:
    """An LRU's: the square of exp(−exp(it)) is uniform."""
    line = _line(np.exp(-2 * np.exp(y))[::-1], _U)
    if line is None or not -1e-9 <= line[0] < line[1] <= 1 + 1e-9:
        return None
    radii = {"r_min": max(line[0], 0.0) ** 0.5, "r_max": min(line[1], 1.0) ** 0.5}
    return {"scheme": "lru_nu_log", **radii}


def _gate(y: Doubles) -> Init | None:
    """RG-LRU's: the square of sigmoid(−it) is uniform."""
    line = _line(((1 / (1 + np.exp(y))) ** 2)[::-1], _U)
    if line is None or not 0 < line[0] < line[1] < 1:
        return None
    return {"scheme": "rglru", "r_min": math.sqrt(line[0]), "r_max": math.sqrt(line[1])}
