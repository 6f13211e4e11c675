"""Known schemes in what was computed: tables by their numbers, transformed draws by quantiles."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedbed.recording.distributions import Distribution, LogUniform, Normal, Uniform
from seedbed.recording.saying import counted

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

    Args:
        base: what was drawn.
        y: what became of the `quantiles` of it.
    """
    if not np.isfinite(y).all():
        return None
    steps = np.diff(y)
    if not ((steps >= 0).all() or (steps <= 0).all()):
        return None
    if isinstance(base, Normal):
        normal = _line(y, _Z)
        line = _line(y, _U) if normal is None else None
        if normal is not None:
            middle = float(y[0] + y[-1]) / 2
            std = abs(float(y[-1] - y[0]) / float(2 * _Z[-1]))
            return {"scheme": "normal", "mean": middle, "std": std}
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
    floor = least if int(free.sum()) < len(y) - 1 else min(1e-4, low)
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


def table(numbers: NDArray[Any]) -> str | Init | None:
    """The init of known numbers, if a scheme gives them."""
    init = known_table(numbers.astype(np.float64)) if numbers.dtype.kind == "f" else None
    return init or counted(numbers)


def known_table(x: Doubles) -> Init | None:
    """The scheme that gives these numbers, to the rounding of float32 arithmetic."""
    if x.size < 2 or not np.isfinite(x).all():
        return None
    for known in (_sinusoid, _identity, _dirac, _along_axis, _slopes):
        init = known(x)
        if init is not None:
            return init
    return None


def _sinusoid(x: Doubles) -> Init | None:
    if x.ndim != 2 or x.shape[1] % 2 or x.shape[1] < 4:
        return None
    n, d = x.shape
    position, half = np.arange(n)[:, None], np.arange(d // 2)
    for layout, steps in (("interleaved", d / 2), ("concatenated", d / 2 - 1)):
        angle = position * np.exp(-math.log(10000.0) * half / steps)
        want = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
        if layout == "interleaved":
            want = want.reshape(n, 2, d // 2).transpose(0, 2, 1).reshape(n, d)
        # angles of float32 are off by half an ulp of the position
        if np.allclose(x, want, rtol=0, atol=1e-6 + 6e-8 * n):
            return {"scheme": "sinusoidal", "layout": layout}
    return None


def _identity(x: Doubles) -> Init | None:
    gain = x.flat[0]
    if x.ndim != 2 or not gain or not np.array_equal(x, gain * np.eye(*x.shape)):
        return None
    return {"scheme": "eye", "gain": float(gain)}


def _dirac(x: Doubles) -> Init | None:
    if x.ndim < 3 or np.count_nonzero(x) != np.count_nonzero(x == 1):
        return None
    centre = x[(slice(None), slice(None), *(n // 2 for n in x.shape[2:]))]
    if np.count_nonzero(centre) != np.count_nonzero(x):
        return None
    for groups in range(1, x.shape[0] + 1):
        if x.shape[0] % groups == 0:
            each = x.shape[0] // groups
            if np.array_equal(centre, np.tile(np.eye(each, x.shape[1]), (groups, 1))):
                return {"scheme": "dirac", "groups": groups}
    return None


def _along_axis(x: Doubles) -> Init | None:
    rows = x.reshape(-1, x.shape[-1])
    row, n = rows[0], x.shape[-1]
    if n < 2 or not np.array_equal(rows, np.broadcast_to(row, rows.shape)):
        return None
    following = np.arange(1, n + 1)
    if np.allclose(row, np.log(following), rtol=3e-7, atol=1e-7):
        return {"scheme": "mamba_A_log"}
    if np.array_equal(row, -following):
        return {"scheme": "s4d_real"}
    if row[0] == 1 and 0 < row[1] < 1 and n > 1:
        theta = float(f"{row[1] ** -n:.5g}")
        if theta >= 1 and np.allclose(row, theta ** (-np.arange(n) / n), rtol=2e-6):
            return {"scheme": "rope_inv_freq", "theta": theta}
    return None


def _slopes(x: Doubles) -> Init | None:
    if x.ndim != 1:
        return None
    power = 1 << int(math.log2(len(x)))
    h = np.arange(len(x))
    late = 2.0 ** (-8 * (2 * (h - power) + 1) / (2 * power))
    want = np.where(h < power, 2.0 ** (-8 * (h + 1) / power), late)
    return {"scheme": "alibi_slopes"} if np.allclose(x, want, rtol=1e-6) else None
