"""Activations and their derivatives, as NumPy functions of float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772
"""Klambauer et al. 2017, arXiv:1706.02515, as `torch.nn.SELU` has them."""

_ERF_END = 6.0  # erf(6) is 1 in float64, but for 2e-17
_ERF_STEPS = 3072
_ROOT_PI = math.sqrt(math.pi)


@dataclass(frozen=True)
class Function:
    """An activation.

    Attributes:
        of: its values.
        slope: its derivative; at a kink the one that PyTorch takes.
        homogeneous: whether φ(ax) = aφ(x) for a > 0.
    """

    of: Callable[[Doubles], Doubles]
    slope: Callable[[Doubles], Doubles]
    homogeneous: bool = False


@cache
def _erf_table() -> Doubles:
    """The error function at equidistant points from −6 to 6, by the C library."""
    points = np.linspace(-_ERF_END, _ERF_END, 2 * _ERF_STEPS + 1)
    return np.array([math.erf(x) for x in points])


def erf(x: Doubles) -> Doubles:
    """The error function, by cubic interpolation with its exact slopes: within 1e-11."""
    table = _erf_table()
    step = _ERF_END / _ERF_STEPS
    inside = np.clip(np.nan_to_num(x), -_ERF_END, _ERF_END)
    place = np.minimum(((inside + _ERF_END) / step).astype(np.int64), 2 * _ERF_STEPS - 1)
    left = place * step - _ERF_END
    t = (inside - left) / step
    slopes = [step * erf_slope(left), step * erf_slope(left + step)]
    low, high = table[place], table[place + 1]
    value: Doubles = (
        low
        + t * slopes[0]
        + t * t * (3 * (high - low) - 2 * slopes[0] - slopes[1])
        + t**3 * (2 * (low - high) + slopes[0] + slopes[1])
    )
    return value


def erf_slope(x: Doubles) -> Doubles:
    """2/√π·exp(−x²)."""
    return 2.0 / _ROOT_PI * np.exp(-np.minimum(x * x, 700.0))


def _sigmoid(x: Doubles) -> Doubles:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _sigmoid_slope(x: Doubles) -> Doubles:
    s = _sigmoid(x)
    return s * (1.0 - s)


def _normal_cdf(x: Doubles) -> Doubles:
    return 0.5 * (1.0 + erf(x / math.sqrt(2.0)))


def _elu(x: Doubles) -> Doubles:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))


def _elu_slope(x: Doubles) -> Doubles:
    return np.where(x > 0, 1.0, np.exp(np.minimum(x, 0.0)))


def _selu(x: Doubles) -> Doubles:
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0.0)))


def _selu_slope(x: Doubles) -> Doubles:
    return SELU_SCALE * np.where(x > 0, 1.0, SELU_ALPHA * np.exp(np.minimum(x, 0.0)))


def _gelu_slope(x: Doubles) -> Doubles:
    density = np.exp(-np.minimum(0.5 * x * x, 700.0)) / math.sqrt(2.0 * math.pi)
    return _normal_cdf(x) + x * density


FUNCTIONS: dict[str, Function] = {
    "relu": Function(
        lambda x: np.maximum(x, 0.0), lambda x: (x > 0).astype(np.float64), homogeneous=True
    ),
    "tanh": Function(np.tanh, lambda x: 1.0 - np.tanh(x) ** 2),
    "sigmoid": Function(_sigmoid, _sigmoid_slope),
    "erf": Function(erf, erf_slope),
    "gelu": Function(lambda x: x * _normal_cdf(x), _gelu_slope),
    "silu": Function(lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) + x * _sigmoid_slope(x)),
    "elu": Function(_elu, _elu_slope),
    "selu": Function(_selu, _selu_slope),
    "softplus": Function(lambda x: np.logaddexp(0.0, x), _sigmoid),
    "linear": Function(lambda x: x, np.ones_like, homogeneous=True),
}


def function_of(name: str, slope: float = 0.01) -> Function:
    """An activation by name; `slope` is leaky_relu's, for negative numbers."""
    if name != "leaky_relu":
        return FUNCTIONS[name]
    return Function(
        lambda x: np.where(x > 0, x, slope * x),
        lambda x: np.where(x > 0, 1.0, slope),
        homogeneous=True,
    )
