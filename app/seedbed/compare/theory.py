"""What theory says of a network in the limit of wide layers: mean-field equations, step by step.

The state at a place of the network is three numbers: the mean square q of a feature, its covariance
k between the two inputs of a pair, and b between inputs that have nothing to do with each other.
Weights multiply all three by fan_in·Var(w) (He et al. 2015; Poole et al. 2016, arXiv:1606.05340).
An activation maps them by Gaussian integrals. Batch norm takes away what inputs have in common and
divides by the rest: (1, (k − b)/(q − b), 0) (Yang et al. 2019, arXiv:1902.08129); layer norm
divides by q. Backward, a gradient's mean square is multiplied by fan_out·Var(w), by E φ′², and
divided by what the norm divided by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from seedbed.compare import gaussian
from seedbed.compare.activations import Function, function_of
from seedbed.compare.network import Step, Weight, is_residual, steps_of, weights_of
from seedbed.compare.request import Network

INPUT_FOURTH = 3.0
"""m₄/m₂² of the Gaussian inputs."""

_LARGEST = 1e150


@dataclass(frozen=True)
class Spread:
    """What theory needs of a weight's distribution.

    Attributes:
        variance: of an element; its mean is 0.
        excess_kurtosis: None where elements are not independent draws.
        independent: whether they are.
        orthogonal: whether the matrix is orthogonal, or has orthonormal rows or columns.
    """

    variance: float
    excess_kurtosis: float | None
    independent: bool = True
    orthogonal: bool = False


@dataclass(frozen=True)
class State:
    """q, k, b; and m₄/m₂² of a feature."""

    q: float
    k: float
    b: float
    fourth: float = 3.0


@dataclass(frozen=True)
class Prediction:
    """By weight, except where it says otherwise; NaN where a number has left float64.

    Attributes:
        signal: mean square of what goes on after the weight.
        product: mean square of what the weight gives.
        correlation: of a pair, of what goes on.
        kurtosis: excess, of what the weight gives for a fixed input.
        gradient: mean square of the gradient by what the weight gives, if it is 1 at the output.
        jacobian: mean square singular value of the whole, times outputs/inputs.
        chi: growth of the gradient's mean square over the last layer, or block.
        fixed_correlation: where the correlation goes with depth; NaN in residual networks.
    """

    signal: list[float]
    product: list[float]
    correlation: list[float]
    kurtosis: list[float | None]
    gradient: list[float]
    jacobian: float
    chi: float
    fixed_correlation: float


class Moments:
    """An activation's Gaussian integrals, remembered."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self.square = lru_cache(4096)(self._square)
        self.slope_square = lru_cache(4096)(self._slope_square)
        self._pair = lru_cache(4096)(self._pair_of_unit)

    def _square(self, q: float) -> float:
        """E φ²."""
        if self._function.homogeneous and q != 1.0:
            return q * self.square(1.0)
        return gaussian.mean(lambda z: self._function.of(z) ** 2, q)

    def _slope_square(self, q: float) -> float:
        """E φ′²."""
        if self._function.homogeneous and q != 1.0:
            return self.slope_square(1.0)
        return gaussian.mean(lambda z: self._function.slope(z) ** 2, q)

    def fourth(self, q: float) -> float:
        """E φ⁴/(E φ²)²."""
        unit = 1.0 if self._function.homogeneous else q
        square = self.square(unit)
        fourth = gaussian.mean(lambda z: self._function.of(z) ** 4, unit)
        return fourth / square**2 if square > 0 else math.nan

    def product(self, q: float, k: float) -> float:
        """E φ(u)φ(v) at mean square q and covariance k."""
        if q <= 0:
            return self._function.of(_ZERO).item() ** 2
        c = min(max(k / q, -1.0), 1.0)
        if self._function.homogeneous:
            return q * self._pair(1.0, c)
        return self._pair(q, c)

    def _pair_of_unit(self, q: float, c: float) -> float:
        return gaussian.mean_of_product(self._function.of, q, c)


_ZERO = np.zeros(1)


@dataclass
class _Walk:
    """What a walk through the steps notes down, in the order of the weights."""

    weights: Sequence[Weight]
    spreads: Sequence[Spread]
    moments: Moments
    norm: str
    residual: bool
    signal: list[State] = field(default_factory=list)
    product: list[State] = field(default_factory=list)
    kurtosis: list[float | None] = field(default_factory=list)

    def forward(self, steps: tuple[Step, ...], state: State, factors: list[_Factor]) -> State:
        """The state after the steps; `factors` gets what each does to a gradient."""
        for step in steps:
            if isinstance(step, tuple):
                inner: list[_Factor] = []
                branch = self.forward(step, state, inner)
                state = State(state.q + branch.q, state.k + branch.k, state.b + branch.b)
                factors.append(_Factor(branch=inner))
                self.signal[-1] = state
            elif isinstance(step, int):
                state = self._through_weight(step, state, factors)
            elif step == "norm":
                removed = state.b if self.norm == "batch" else 0.0
                left = state.q - removed
                factors.append(_Factor(both=1.0 / left if left > 0 else math.nan))
                if left <= 0:
                    state = State(math.nan, math.nan, math.nan)
                else:
                    state = State(1.0, (state.k - removed) / left, (state.b - removed) / left)
            else:
                state = self._through_activation(state, factors)
                if not self.residual or len(self.product) % 2 == 0:
                    self.signal[-1] = state
        return state

    def _through_weight(self, index: int, state: State, factors: list[_Factor]) -> State:
        weight, spread = self.weights[index], self.spreads[index]
        gain = weight.fan_in * spread.variance
        excess = spread.excess_kurtosis
        # E Σx⁴/(Σx²)² of n Gaussian inputs is exactly 3/(n + 2); else to the first order in 1/n.
        terms = weight.fan_in + 2 if index == 0 else weight.fan_in
        self.kurtosis.append(None if excess is None else excess * state.fourth / terms)
        state = State(gain * state.q, gain * state.k, gain * state.b)
        factors.append(_Factor(backward=weight.fan_out * spread.variance, forward=gain, at=index))
        self.product.append(state)
        self.signal.append(state)
        return state

    def _through_activation(self, state: State, factors: list[_Factor]) -> State:
        q = state.q
        if not 0 <= q < _LARGEST:
            factors.append(_Factor(both=math.nan))
            return State(math.nan, math.nan, math.nan)
        factors.append(_Factor(both=self.moments.slope_square(q)))
        return State(
            self.moments.square(q),
            self.moments.product(q, state.k),
            self.moments.product(q, state.b),
            self.moments.fourth(q),
        )


@dataclass(frozen=True)
class _Factor:
    """What a step multiplies a gradient's, or a tangent's, mean square by."""

    both: float = 1.0
    backward: float = 1.0
    forward: float = 1.0
    at: int | None = None
    branch: list[_Factor] | None = None


def _backward(factors: Sequence[_Factor], gradient: float, by_weight: dict[int, float]) -> float:
    for factor in reversed(factors):
        if factor.branch is not None:
            gradient += _backward(factor.branch, gradient, by_weight)
            continue
        if factor.at is not None:
            by_weight[factor.at] = gradient
        gradient *= factor.both * factor.backward
    return gradient


def _forward(factors: Sequence[_Factor], tangent: float) -> float:
    for factor in factors:
        if factor.branch is not None:
            tangent += _forward(factor.branch, tangent)
        else:
            tangent *= factor.both * factor.forward
    return tangent


def predict(network: Network, spreads: Sequence[Spread], correlation: float) -> Prediction:
    """The theory of a network.

    Args:
        network: what it is.
        spreads: of its weights, in order.
        correlation: between the inputs of a pair, whose mean square is 1.
    """
    weights = weights_of(network)
    moments = _moments_of(network.activation, network.slope)
    walk = _Walk(weights, spreads, moments, network.norm, is_residual(network))
    factors: list[_Factor] = []
    steps = steps_of(network)
    start = State(1.0, correlation, 0.0, INPUT_FOURTH)
    end = walk.forward(steps, start, factors)
    by_weight: dict[int, float] = {}
    _backward(factors, 1.0, by_weight)
    last = 1 if is_residual(network) else len(steps) // network.depth
    return Prediction(
        signal=[state.q for state in walk.signal],
        product=[state.q for state in walk.product],
        correlation=[_correlation(state) for state in walk.signal],
        kurtosis=walk.kurtosis,
        gradient=[by_weight[i] for i in range(len(weights))],
        jacobian=_forward(factors, 1.0),
        chi=_chi(walk, network, end, last),
        fixed_correlation=_fixed(moments, network, walk.product[-1].q),
    )


def _correlation(state: State) -> float:
    return state.k / state.q if state.q > 0 else math.nan


def _chi(walk: _Walk, network: Network, end: State, last: int) -> float:
    """Growth of the gradient over the last layer, done once more."""
    again = replace(walk, signal=[*walk.signal], product=[*walk.product], kurtosis=[])
    factors: list[_Factor] = []
    again.forward(steps_of(network)[-last:], end, factors)
    return _backward(factors, 1.0, {})


def _fixed(moments: Moments, network: Network, q: float) -> float:
    """The fixed correlation of a plain network whose last pre-activations have mean square q."""
    if is_residual(network) or not 0 <= q < _LARGEST:
        return math.nan
    return fixed_correlation(moments, network.norm, 1.0 if network.norm != "none" else q)


def fixed_correlation(moments: Moments, norm: str, q: float) -> float:
    """Where c → E φ(u)φ(v)/E φ² leads, from most correlations, at mean square q.

    The map is convex and leads from 1 to 1: so 1 is where it leads, unless its slope q·E φ′²/E φ²
    there is above 1. Batch norm subtracts what is left at c = 0, and so leads to 0.
    """
    if norm == "batch":
        return 0.0
    square = moments.square(q)
    if not square > 0 or not math.isfinite(square):
        return math.nan
    if q * moments.slope_square(q) <= square * (1.0 + 1e-9):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if moments.product(q, middle * q) > middle * square:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@lru_cache(64)
def _moments_of(activation: str, slope: float) -> Moments:
    return Moments(function_of(activation, slope))


@dataclass(frozen=True)
class ActivationNumbers:
    """What Gaussian integrals say of an activation alone: see `ActivationTheory`."""

    gain: float | None
    critical_sigma_w: float | None
    batch_norm_gradient_growth: float | None
    layer_norm_gradient_growth: float | None


@lru_cache(64)
def numbers_of(activation: str, slope: float = 0.01) -> ActivationNumbers:
    """Gain, edge of chaos and growths of an activation."""
    moments = _moments_of(activation, slope)
    square, slope_square = moments.square(1.0), moments.slope_square(1.0)
    varying = square - moments.product(1.0, 0.0)
    return ActivationNumbers(
        gain=1.0 / math.sqrt(square),
        critical_sigma_w=_critical(moments),
        batch_norm_gradient_growth=slope_square / varying if varying > 0 else None,
        layer_norm_gradient_growth=slope_square / square,
    )


def _critical(moments: Moments) -> float | None:
    """σ_w at the edge of chaos, without biases.

    Where φ(0) = 0, every small signal keeps its size at σ_w = 1/√E φ′², z → 0, and χ₁ = 1 there.
    Else it is where the mean square q has a fixed point with χ₁ = q·E φ′²/E φ² = 1; by bisection.
    """
    if moments.product(0.0, 0.0) == 0.0:
        return 1.0 / math.sqrt(moments.slope_square(_SMALL**2))
    low, high = math.log(_SMALL), math.log(1.0 / _SMALL)
    for _ in range(60):
        q = math.exp((low + high) / 2)
        if q * moments.slope_square(q) < moments.square(q):
            low = math.log(q)
        else:
            high = math.log(q)
    if high == math.log(1.0 / _SMALL):
        return None
    return math.sqrt(q / moments.square(q))


_SMALL = 1e-12
