"""Gaussian integrals of activations, by a quadrature whose nodes are always the same.

Panels meet at 0, where activations have their kinks, and crowd there, since the more a tanh is
stretched the sharper it turns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from seedbed.compare.activations import Doubles

END = 13.0
"""In standard deviations: a Gaussian has 1e-38 of its mass outside."""

_ENDS = (0.0, *(2.0**-k for k in range(10, -3, -1)), 6.0, 9.0, END)
_PANEL_NODES = 12

_PAIR_END = 9.0
_OUTER_ENDS = (0.0, 0.05, 0.2, 0.6, 1.3, 2.4, 4.0, 6.0, _PAIR_END)
_INNER_ENDS = (0.0, 0.1, 0.25, 0.45, 0.7, 1.0)
"""Of the panels on each side of the inner integral's kink, as parts of what is there."""


@cache
def _nodes(ends: tuple[float, ...] = _ENDS) -> tuple[Doubles, Doubles]:
    """Points and weights of the standard Gaussian measure."""
    positive, weights = _panels(ends)
    points = np.concatenate((-positive[::-1], positive))
    weights = np.concatenate((weights[::-1], weights))
    return points, weights * _density(points)


def _panels(ends: tuple[float, ...]) -> tuple[Doubles, Doubles]:
    """Gauss–Legendre on each interval between consecutive ends."""
    x, w = np.polynomial.legendre.leggauss(_PANEL_NODES)
    low, high = np.array(ends[:-1])[:, None], np.array(ends[1:])[:, None]
    half = (high - low) / 2
    return ((low + half) + half * x).ravel(), (half * w).ravel()


def _density(x: Doubles) -> Doubles:
    return np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def mean(f: Callable[[Doubles], Doubles], variance: float) -> float:
    """E f(z), z ~ N(0, variance)."""
    points, weights = _nodes()
    return float(weights @ f(math.sqrt(variance) * points))


def mean_of_product(f: Callable[[Doubles], Doubles], variance: float, correlation: float) -> float:
    """E f(u)f(v), where u and v ~ N(0, variance) have a correlation."""
    scale = math.sqrt(variance)
    if correlation >= 1.0:
        return mean(lambda z: f(z) ** 2, variance)
    if correlation <= -1.0:
        return mean(lambda z: f(z) * f(-z), variance)
    points, weights = _nodes(_OUTER_ENDS)
    rest = math.sqrt(1.0 - correlation * correlation)
    # v = correlation·u + rest·w passes its kink at 0 where w = kink(u).
    kink = np.clip(-correlation * points / rest, -_PAIR_END, _PAIR_END)[:, None]
    part, part_weights = _panels(_INNER_ENDS)
    below, above = kink + _PAIR_END, _PAIR_END - kink
    inner = np.concatenate((kink - below * part, kink + above * part), axis=1)
    inner_weights = np.concatenate((below * part_weights, above * part_weights), axis=1)
    values = f(scale * (correlation * points[:, None] + rest * inner))
    densities = (values * inner_weights * _density(inner)).sum(1)
    return float(weights @ (f(scale * points) * densities))
