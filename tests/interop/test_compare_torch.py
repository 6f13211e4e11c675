"""The networks of a comparison against PyTorch's modules and autograd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from seedbed.compare.network import Machine, input_shape, weights_of
from seedbed.compare.request import Network

pytestmark = pytest.mark.interop


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """These networks are too small to share out."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


NAMES = {
    "relu": "relu", "leaky_relu": "leaky_relu", "tanh": "tanh", "sigmoid": "sigmoid", "erf": "erf",
    "gelu": "gelu", "silu": "silu", "elu": "elu", "selu": "selu", "softplus": "softplus",
}  # fmt: skip


class Reference:
    """The same network with torch's functions, channels first."""

    def __init__(self, network: Network, weights: dict[str, Any]) -> None:
        self.network = network
        self.weights = list(weights.values())
        self.image = network.kind.endswith("cnn")

    def phi(self, x: Any) -> Any:
        """The activation."""
        import torch

        name = NAMES[self.network.activation]
        return torch.erf(x) if name == "erf" else getattr(torch.nn.functional, name)(x)

    def linear(self, i: int, x: Any) -> Any:
        """A weight."""
        from torch.nn import functional as f

        if not self.image:
            return f.linear(x, self.weights[i])
        return f.conv2d(f.pad(x, (1, 1, 1, 1), mode="circular"), self.weights[i])

    def norm(self, x: Any) -> Any:
        """The norm, if there is one."""
        from torch.nn import functional as f

        if self.network.norm == "batch":
            return f.batch_norm(x, None, None, training=True, eps=1e-5)
        return f.layer_norm(x, x.shape[1:], eps=1e-5) if self.network.norm == "layer" else x

    def __call__(self, x: Any) -> Any:
        """The last hidden layer."""
        if "residual" not in self.network.kind:
            for i in range(len(self.weights)):
                x = self.phi(self.norm(self.linear(i, x)))
            return x
        x = self.linear(0, x)
        for i in range(1, len(self.weights), 2):
            h = self.linear(i, self.phi(self.norm(x)))
            x = x + self.linear(i + 1, self.phi(self.norm(h)))
        return x


@pytest.mark.parametrize("activation", NAMES)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("kind", ["mlp", "cnn", "residual", "residual_cnn"])
def test_outputs_and_gradients(kind: str, norm: str, activation: str) -> None:
    """Outputs, gradients by input and weights, and Jacobians are autograd's."""
    import torch

    network = Network(
        kind=kind, norm=norm, activation=activation, depth=2, width=6, inputs=4, size=4
    )
    rng = np.random.Generator(np.random.Philox(0))
    arrays = {w.name: rng.normal(0, w.fan_in**-0.5, w.shape) for w in weights_of(network)}
    x = rng.normal(size=(5, *input_shape(network)))
    machine = Machine(network, arrays)
    out, _, kept = machine.forward(x)
    cotangents = rng.normal(size=out.shape)
    by_input, _, by_weight = machine.backward(cotangents, kept)

    def first(a: Any) -> Any:  # channels first
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(a, -1, 1)))

    weights = {name: torch.from_numpy(a).requires_grad_() for name, a in arrays.items()}
    reference = Reference(network, weights)
    given = first(x).requires_grad_()
    result = reference(given)
    np.testing.assert_allclose(first(out), result.detach(), atol=1e-9)
    (result * first(cotangents)).sum().backward()
    np.testing.assert_allclose(first(by_input), given.grad, atol=1e-9)
    for found, tensor in zip(by_weight, weights.values(), strict=True):
        grad = tensor.grad.numpy()
        expected = grad if grad.ndim == 2 else np.moveaxis(grad, 1, -1).reshape(len(grad), -1)
        np.testing.assert_allclose(found, expected, atol=1e-9)
    if norm == "batch":  # statistics are held fixed, which autograd would not do
        return
    exact = torch.autograd.functional.jacobian(lambda z: reference(z[None])[0], first(x)[0])
    moved = exact.numpy()
    if moved.ndim > 2:  # (c, h, w, c, h, w) → channels last
        moved = np.moveaxis(np.moveaxis(moved, 0, 2), 3, 5)
    jacobian = machine.jacobian(kept)
    np.testing.assert_allclose(jacobian, moved.reshape(jacobian.shape), atol=1e-9)
