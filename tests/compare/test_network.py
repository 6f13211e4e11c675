from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from seedbed.compare.network import Machine, from_patches, steps_of, to_patches, weights_of
from tests.compare.oracles import KINDS, NORMS, inputs, machine, network

ACTIVATIONS = ("tanh", "gelu")
"""Smooth, for differences."""


def _loss(given: Machine, x: np.ndarray, cotangents: np.ndarray) -> float:
    return float((given.forward(x)[0] * cotangents).sum())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_backward_is_the_limit_of_differences(kind: str, norm: str) -> None:
    """Gradients by the input and by every weight are those of finite differences."""
    made = machine(network(kind=kind, norm=norm, activation="tanh"))
    x = inputs(made.network, 3)
    out, _, kept = made.forward(x)
    rng = np.random.Generator(np.random.Philox(5))
    cotangents = rng.normal(size=out.shape)
    by_input, by_product, by_weight = made.backward(cotangents, kept)
    step = 1e-5
    direction = rng.normal(size=x.shape)
    ahead, behind = (_loss(made, x + s * direction, cotangents) for s in (step, -step))
    assert np.isclose((by_input * direction).sum(), (ahead - behind) / (2 * step), rtol=1e-5)
    for i, matrix in enumerate(made.matrices):
        assert by_product[i].shape[-1] == matrix.shape[0]
        towards = rng.normal(size=matrix.shape)
        losses = []
        for s in (step, -step):
            made.matrices[i] = matrix + s * towards
            losses.append(_loss(made, x, cotangents))
        made.matrices[i] = matrix
        difference = (losses[0] - losses[1]) / (2 * step)
        assert np.isclose((by_weight[i] * towards).sum(), difference, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("kind", KINDS)
def test_jacobian_is_the_limit_of_differences(kind: str, norm: str) -> None:
    """The Jacobian's product with a direction is the difference of outputs along it."""
    made = machine(network(kind=kind, norm=norm, activation="gelu"))
    x = inputs(made.network, 2)
    _, _, kept = made.forward(x)
    jacobian = made.jacobian(kept, example=1)
    direction = np.random.Generator(np.random.Philox(6)).normal(size=x.shape[1:])
    step = 1e-5
    ahead, behind = x.copy(), x.copy()
    ahead[1] += step * direction
    behind[1] -= step * direction
    difference = (made.forward(ahead)[0] - made.forward(behind)[0])[1] / (2 * step)
    np.testing.assert_allclose(jacobian @ direction.ravel(), difference.ravel(), atol=1e-7)


def test_patches_are_a_convolution_on_a_torus() -> None:
    """Weights on patches give scipy's correlation with edges that meet."""
    given = network(kind="cnn", depth=1)
    made = machine(given)
    x = inputs(given, 1)
    rng = np.random.Generator(np.random.Philox(0))
    kernel = rng.normal(0, 1.3 / 6, weights_of(given)[0].shape)  # as `machine` drew it
    expected = sum(
        ndimage.correlate(x[0, :, :, c], kernel[2, c], mode="wrap") for c in range(x.shape[3])
    )
    np.testing.assert_allclose(made.forward(x)[1].products[0][0, :, :, 2], expected, atol=1e-12)


def test_patches_and_their_transpose() -> None:
    """⟨to_patches(x), y⟩ = ⟨x, from_patches(y)⟩."""
    rng = np.random.Generator(np.random.Philox(7))
    x, y = rng.normal(size=(2, 5, 5, 3)), rng.normal(size=(2, 5, 5, 27))
    assert np.isclose((to_patches(x) * y).sum(), (x * from_patches(y)).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_acts_once(kind: str) -> None:
    """The steps use each weight once, in order; names are unique; the first reads the inputs."""
    given = network(kind=kind, depth=3)

    def used(steps: tuple) -> list[int]:
        inner = [used(s) if isinstance(s, tuple) else [s] for s in steps]
        return [s for part in inner for s in part if isinstance(s, int)]

    weights = weights_of(given)
    assert used(steps_of(given)) == list(range(len(weights)))
    assert len({w.name for w in weights}) == len(weights)
    assert [w.shape[1] for w in weights] == [4] + [5] * (len(weights) - 1)


@pytest.mark.parametrize("axis_norm", ["batch", "layer"])
def test_norms_normalise(axis_norm: str) -> None:
    """What the activation reads has mean 0 and mean square 1 over the norm's own axes."""
    made = machine(network(kind="cnn", norm=axis_norm, activation="linear", width=7))
    _, trace, _ = made.forward(inputs(made.network, 6))
    axes = (0, 1, 2) if axis_norm == "batch" else (1, 2, 3)
    np.testing.assert_allclose(trace.signals[0].mean(axes), 0, atol=1e-12)
    np.testing.assert_allclose((trace.signals[0] ** 2).mean(axes), 1, atol=1e-4)
