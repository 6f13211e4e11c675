from __future__ import annotations

import math

import pytest

from seedbed.compare.activations import function_of
from seedbed.compare.network import weights_of
from seedbed.compare.theory import Moments, Spread, fixed_correlation, numbers_of, predict
from tests.compare.oracles import KINDS, NORMS, network, relu_kernel

GAINS = {
    "linear": 1.0,
    "relu": math.sqrt(2.0),
    "leaky_relu": math.sqrt(2.0 / (1.0 + 1e-4)),
    "erf": 1.0 / math.sqrt(2.0 / math.pi * math.asin(2.0 / 3.0)),
    "selu": 1.0,
}
"""Closed forms: He et al. 2015, Williams 1997; SELU's fixed point, Klambauer et al. 2017."""

EDGES = {
    "linear": 1.0, "relu": math.sqrt(2.0), "tanh": 1.0, "erf": math.sqrt(math.pi) / 2.0,
    "elu": 1.0, "gelu": 2.0, "silu": 2.0,
}  # fmt: skip
"""1/φ′(0), and He's for the rectifier."""


@pytest.mark.parametrize("name", GAINS)
def test_gains(name: str) -> None:
    """Gains are the known ones."""
    assert math.isclose(numbers_of(name).gain or 0, GAINS[name], rel_tol=1e-9)


@pytest.mark.parametrize("name", EDGES)
def test_edge_of_chaos(name: str) -> None:
    """Without biases an activation that is 0 at 0 is critical where small signals keep size."""
    assert math.isclose(numbers_of(name).critical_sigma_w or 0, EDGES[name], rel_tol=1e-9)


def test_sigmoid_is_critical_at_a_fixed_point() -> None:
    """At the sigmoid's edge the mean square maps to itself and χ₁ is 1."""
    sigma = numbers_of("sigmoid").critical_sigma_w or 0
    moments = Moments(function_of("sigmoid"))
    q = 1.0
    for _ in range(5000):
        q = sigma**2 * moments.square(q)
    assert math.isclose(sigma**2 * moments.slope_square(q), 1.0, rel_tol=1e-3)


def test_batch_norm_grows_gradients() -> None:
    """Under batch norm a ReLU network's gradients grow π/(π − 1) times a layer (Yang et al.)."""
    growth = numbers_of("relu").batch_norm_gradient_growth or 0
    assert math.isclose(growth, math.pi / (math.pi - 1), rel_tol=1e-9)
    given = network(depth=30, width=50, norm="batch")
    found = predict(given, [Spread(7.0, 0.0)] * 30, 0.5)
    assert math.isclose(found.gradient[5] / found.gradient[6], growth, rel_tol=1e-9)
    assert math.isclose(found.chi, growth, rel_tol=1e-9)


@pytest.mark.parametrize("gain", [1.0, 2.0, 3.0])
def test_he_map_of_relu(gain: float) -> None:
    """Each layer multiplies the mean square by gain/2 forward and backward."""
    given = network(depth=6, width=40, inputs=40)
    found = predict(given, [Spread(gain / 40, 0.0)] * 6, 0.3)
    for i in range(6):
        assert math.isclose(found.signal[i], (gain / 2) ** (i + 1), rel_tol=1e-9)
        assert math.isclose(found.gradient[i], 0.5 * (gain / 2) ** (5 - i), rel_tol=1e-9)
    assert math.isclose(found.jacobian, (gain / 2) ** 6, rel_tol=1e-9)
    assert math.isclose(found.correlation[0], 2 * relu_kernel(0.3), rel_tol=1e-8)


def test_he_doubles_the_stream_of_residual_blocks() -> None:
    """A residual ReLU network with He's variance has twice the mean square after every block."""
    found = predict(network(kind="residual", depth=5), [Spread(0.4, 0.0)] * 11, 0.0)
    assert found.signal[0] == pytest.approx(4 * 0.4)
    assert found.signal[2::2] == pytest.approx([1.6 * 2**i for i in range(1, 6)])
    assert found.chi == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("name", "sigma", "expected"), [("relu", 1.0, 1.0), ("tanh", 0.8, 1.0), ("linear", 3.0, 1.0)]
)
def test_ordered_phase_makes_inputs_alike(name: str, sigma: float, expected: float) -> None:
    """In the ordered phase, and at the rectifier's edge, two inputs end with correlation 1."""
    moments = Moments(function_of(name))
    q = 0.3 if name != "tanh" else 1e-6
    assert sigma > 0
    assert fixed_correlation(moments, "none", q) == pytest.approx(expected)


def test_chaotic_phase_parts_inputs() -> None:
    """In tanh's chaotic phase without biases two inputs end without correlation."""
    given = network(depth=40, width=64, inputs=64, activation="tanh")
    found = predict(given, [Spread(2.0**2 / 64, 0.0)] * 40, 0.9)
    assert found.fixed_correlation == pytest.approx(0.0, abs=1e-9)
    assert found.correlation[-1] < 0.05
    assert found.chi > 1


@pytest.mark.parametrize("norm", NORMS[1:])
@pytest.mark.parametrize("kind", KINDS)
def test_norms_undo_the_scale(kind: str, norm: str) -> None:
    """Behind a norm in a plain network no prediction but the gradient's size knows the scale."""
    given = network(kind=kind, norm=norm)
    small, large = (
        predict(given, [Spread(v, 0.0)] * len(weights_of(given)), 0.5) for v in (0.01, 4.0)
    )
    if kind in ("mlp", "cnn"):
        assert small.signal == pytest.approx(large.signal)
        assert small.correlation == pytest.approx(large.correlation)
        assert small.gradient[0] == pytest.approx(400.0 * large.gradient[0])
