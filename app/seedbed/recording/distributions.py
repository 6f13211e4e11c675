"""Distributions that schemes have, and what becomes of them by shifts, scales and functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform between two bounds."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal."""

    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Truncated:
    """Normal with mean and std before the cut, between two values."""

    mean: float
    std: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class LogUniform:
    """exp of a uniform between the logarithms of two positive bounds."""

    low: float
    high: float


Distribution = Uniform | Normal | Truncated | LogUniform


def affine(d: Distribution, scale: float, shift: float) -> Distribution | float | None:
    """Scale · d + shift, a number if nothing random is left; None if it has no closed form."""
    if scale == 0:
        return shift
    match d:
        case Uniform(low, high):
            return Uniform(*sorted((scale * low + shift, scale * high + shift)))
        case Normal(mean, std):
            return Normal(scale * mean + shift, abs(scale) * std)
        case Truncated(mean, std, lower, upper):
            bounds = sorted((scale * lower + shift, scale * upper + shift))
            return Truncated(scale * mean + shift, abs(scale) * std, *bounds)
        case LogUniform(low, high) if shift == 0 and scale > 0:
            return LogUniform(scale * low, scale * high)
    return None


def _near(a: float, b: float) -> bool:
    """Whether two bounds are equal but for float32's rounding."""
    return abs(a - b) <= 2e-6 * max(abs(a), abs(b)) + 1e-12


_FAR = 5.0
"""Standard deviations beyond which a clamp is taken for a cut: 3·10⁻⁷ of the draws."""


def clamped(d: Distribution, low: float, high: float) -> Distribution | None:
    """D with what is outside of two bounds set to them, where none or hardly any is."""
    match d:
        case Uniform(a, b) | LogUniform(a, b) | Truncated(_, _, a, b):
            if not ((low <= a or _near(low, a)) and (high >= b or _near(high, b))):
                return None
            low, high = max(a, low), min(b, high)
            match d:
                case Uniform():
                    return Uniform(low, high)
                case LogUniform():
                    return LogUniform(low, high)
                case Truncated(mean, std):
                    return Truncated(mean, std, low, high)
        case Normal(mean, std) if min(mean - low, high - mean) >= _FAR * std:
            if math.isinf(low) and math.isinf(high):
                return d
            return Truncated(mean, std, low, high)
    return None


def erfinv(d: Distribution) -> Distribution | None:
    """Erfinv of a uniform in (−1, 1): a normal with variance ½, cut where the uniform ends."""
    if not isinstance(d, Uniform) or not -1 <= d.low < d.high <= 1:
        return None
    std = math.sqrt(0.5)
    normal = NormalDist(0.0, std)

    def bound(x: float) -> float:
        return math.copysign(math.inf, x) if abs(x) >= 1 else normal.inv_cdf((x + 1) / 2)

    low, high = bound(d.low), bound(d.high)
    if math.isinf(low) and math.isinf(high):
        return Normal(0.0, std)
    return Truncated(0.0, std, low, high)


def exp(d: Distribution) -> Distribution | None:
    """Exp of a uniform: a log-uniform."""
    return LogUniform(math.exp(d.low), math.exp(d.high)) if isinstance(d, Uniform) else None


def log(d: Distribution) -> Distribution | None:
    """Log of a log-uniform: a uniform."""
    return Uniform(math.log(d.low), math.log(d.high)) if isinstance(d, LogUniform) else None
