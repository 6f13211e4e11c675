"""Intervals for means of a few numbers, by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


@cache
def _nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(200)


def t_cdf(t: float, degrees: float) -> float:
    """P(T ≤ t), by Gauss–Legendre over the angle whose tangent is t/√degrees."""
    angle = math.atan2(abs(t), math.sqrt(degrees))
    x, w = _nodes()
    theta = angle / 2 * (x + 1)
    log_norm = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - math.log(math.pi) / 2
    with np.errstate(under="ignore"):
        powers = np.exp(log_norm + (degrees - 1) * np.log(np.cos(theta)))
    half = float(angle / 2 * (w @ powers))
    return 0.5 + half if t >= 0 else 0.5 - half


@cache
def t_quantile(probability: float, degrees: float) -> float:
    """The number that Student's t stays below with this probability, from ½ on; by bisection."""
    low, high = 0.0, 1.0
    while t_cdf(high, degrees) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        if t_cdf(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def half_width(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> float:
    """Half of the interval for the mean of independent numbers; at least two."""
    count = len(values)
    deviation = float(values.std(ddof=1))
    return t_quantile((1 + confidence) / 2, count - 1) * deviation / math.sqrt(count)


def interval(
    values: Sequence[float] | NDArray[np.float64], *, geometric: bool = False
) -> tuple[float | None, float | None, float | None]:
    """Mean and the ends of its interval; None where a number is not finite, or there is but one.

    Args:
        values: one a seed.
        geometric: whether the mean of the logarithms is meant, if all are above 0.
    """
    array = np.asarray(values, np.float64)
    if not np.isfinite(array).all():
        return None, None, None
    logs = geometric and bool((array > 0).all())
    array = np.log(array) if logs else array
    mean = float(array.mean())
    half = half_width(array) if len(array) > 1 else None
    ends = (mean, None, None) if half is None else (mean, mean - half, mean + half)
    with np.errstate(over="ignore"):
        bounds = [
            None if end is None else float(np.exp(end)) if logs else float(end) for end in ends
        ]
    return bounds[0], bounds[1], bounds[2]
