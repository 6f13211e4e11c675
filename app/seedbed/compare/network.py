"""The networks: their weights, and a forward, a backward and a tangent pass in NumPy.

A network is a list of steps. Arrays are float64, (examples, features) in dense networks and
(examples, height, width, channels) in convolutional ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from seedbed.compare.activations import Doubles, Function, function_of
from seedbed.compare.request import Network

EPSILON = 1e-5
KERNEL = 3

Step = Literal["norm", "activation"] | int | tuple["Step", ...]
"""A norm, the activation, a weight by its index, or a branch that is added to what it read."""


@dataclass(frozen=True)
class Weight:
    """A tensor of the network.

    Attributes:
        name: in a spec.
        shape: (out, in) or (out, in, 3, 3).
    """

    name: str
    shape: tuple[int, ...]

    @property
    def fan_in(self) -> int:
        """Inputs that an output sums over."""
        return self.shape[1] * int(np.prod(self.shape[2:], dtype=int))

    @property
    def fan_out(self) -> int:
        """Outputs that an input feeds."""
        return self.shape[0] * int(np.prod(self.shape[2:], dtype=int))


def is_image(network: Network) -> bool:
    """Whether it is convolutional."""
    return network.kind in ("cnn", "residual_cnn")


def is_residual(network: Network) -> bool:
    """Whether it has blocks that are added to what they read."""
    return network.kind in ("residual", "residual_cnn")


def input_shape(network: Network) -> tuple[int, ...]:
    """Of one example."""
    features = network.inputs or network.width
    return (network.size, network.size, features) if is_image(network) else (features,)


def output_shape(network: Network) -> tuple[int, ...]:
    """Of the last hidden layer's output for one example."""
    return (*input_shape(network)[:-1], network.width)


def weights_of(network: Network) -> list[Weight]:
    """Its tensors, in the order in which they act."""
    kernel = (KERNEL, KERNEL) if is_image(network) else ()
    width, features = network.width, network.inputs or network.width
    first, inner = (width, features, *kernel), (width, width, *kernel)
    if not is_residual(network):
        return [Weight(f"layers.{i}.weight", inner if i else first) for i in range(network.depth)]
    return [
        Weight("stem.weight", first),
        *(
            Weight(f"blocks.{block}.{i}.weight", inner)
            for block in range(network.depth)
            for i in range(2)
        ),
    ]


def steps_of(network: Network) -> tuple[Step, ...]:
    """What it does, in order."""
    norm: tuple[Step, ...] = ("norm",) if network.norm != "none" else ()
    if not is_residual(network):
        layers: list[tuple[Step, ...]] = [(i, *norm, "activation") for i in range(network.depth)]
        return tuple(step for layer in layers for step in layer)
    blocks = (
        (*norm, "activation", 2 * block + 1, *norm, "activation", 2 * block + 2)
        for block in range(network.depth)
    )
    return (0, *blocks)


@dataclass
class Trace:
    """What a forward pass leaves for the others, step by step, and by weight for the reader."""

    inputs: list[Doubles] = field(default_factory=list)
    """What a weight read: patches in convolutional networks."""
    products: list[Doubles] = field(default_factory=list)
    """What a weight gave."""
    signals: list[Doubles] = field(default_factory=list)
    """What went on after it: through norm and activation, or added to the stream."""
    slopes: dict[int, Doubles] = field(default_factory=dict)
    """φ′ at the activation that follows a weight directly or after a norm."""


class Machine:
    """A network with its weights.

    Args:
        network: what it is.
        weights: float64 by name, in PyTorch's layout.
    """

    def __init__(self, network: Network, weights: Mapping[str, Doubles]) -> None:
        self.network = network
        self.steps = steps_of(network)
        self.function: Function = function_of(network.activation, network.slope)
        self.matrices = [as_matrix(weights[w.name]) for w in weights_of(network)]
        self._image = is_image(network)

    def forward(self, x: Doubles) -> tuple[Doubles, Trace, list[_Kept]]:
        """The last hidden layer's output, and what the pass leaves."""
        trace = Trace()
        kept: list[_Kept] = []
        out = self._forward(self.steps, x, trace, kept)
        return out, trace, kept

    def _forward(
        self, steps: tuple[Step, ...], x: Doubles, trace: Trace, kept: list[_Kept]
    ) -> Doubles:
        for step in steps:
            if isinstance(step, tuple):
                inner: list[_Kept] = []
                x = x + self._forward(step, x, trace, inner)
                kept.append(_Kept(branch=inner))
                trace.signals[-1] = x
            elif isinstance(step, int):
                patches = to_patches(x) if self._image else x
                x = patches @ self.matrices[step].T
                kept.append(_Kept(value=patches))
                trace.inputs.append(patches)
                trace.products.append(x)
                trace.signals.append(x)
            elif step == "norm":
                axes = self._axes(x)
                centred = x - x.mean(axes, keepdims=True)
                scale = 1.0 / np.sqrt((centred**2).mean(axes, keepdims=True) + EPSILON)
                x = centred * scale
                kept.append(_Kept(value=x, scale=scale))
            else:
                slope = self.function.slope(x)
                x = self.function.of(x)
                kept.append(_Kept(value=slope))
                trace.slopes[len(trace.products) - 1] = slope
                if not is_residual(self.network) or len(trace.products) % 2 == 0:
                    trace.signals[-1] = x
        return x

    def _axes(self, x: Doubles) -> tuple[int, ...]:
        """Those that a norm averages over."""
        batch = self.network.norm == "batch"
        return tuple(range(x.ndim - 1)) if batch else tuple(range(1, x.ndim))

    def backward(
        self, gradient: Doubles, kept: list[_Kept]
    ) -> tuple[Doubles, list[Doubles], list[Doubles]]:
        """Gradients by the input, by what each weight gave, and by the weights, as matrices."""
        count = len(self.matrices)
        by_product: list[Doubles] = [np.empty(0)] * count
        by_weight: list[Doubles] = [np.empty(0)] * count
        by_input = self._backward(self.steps, gradient, kept, by_product, by_weight)
        return by_input, by_product, by_weight

    def _backward(
        self,
        steps: tuple[Step, ...],
        gradient: Doubles,
        kept: list[_Kept],
        by_product: list[Doubles],
        by_weight: list[Doubles],
    ) -> Doubles:
        for step, left in zip(reversed(steps), reversed(kept), strict=True):
            if isinstance(step, tuple):
                gradient = gradient + self._backward(
                    step, gradient, left.branch, by_product, by_weight
                )
            elif isinstance(step, int):
                matrix = self.matrices[step]
                by_product[step] = gradient
                flat = gradient.reshape(-1, matrix.shape[0])
                by_weight[step] = flat.T @ left.value.reshape(-1, matrix.shape[1])
                gradient = gradient @ matrix
                gradient = from_patches(gradient) if self._image else gradient
            elif step == "norm":
                axes = self._axes(gradient)
                gradient = _through_norm(gradient, left.value, left.scale, axes)
            else:
                gradient = gradient * left.value
        return gradient

    def jacobian(self, kept: list[_Kept], example: int = 0) -> Doubles:
        """Derivatives of the output by one example's input, (outputs, inputs).

        Batch norm's statistics are held fixed, as they are when a trained network is used.
        """
        shape = input_shape(self.network)
        count = int(np.prod(shape))
        tangents = np.eye(count).reshape(count, *shape)
        outputs = self._tangents(self.steps, tangents, kept, example)
        return outputs.reshape(count, -1).T

    def _tangents(
        self, steps: tuple[Step, ...], x: Doubles, kept: list[_Kept], example: int
    ) -> Doubles:
        for step, left in zip(steps, kept, strict=True):
            if isinstance(step, tuple):
                x = x + self._tangents(step, x, left.branch, example)
            elif isinstance(step, int):
                x = (to_patches(x) if self._image else x) @ self.matrices[step].T
            elif step == "norm" and self.network.norm == "batch":
                x = x * left.scale
            elif step == "norm":
                at = slice(example, example + 1)
                x = _through_norm(x, left.value[at], left.scale[at], self._axes(x))
            else:
                x = x * left.value[example]
        return x


@dataclass
class _Kept:
    """What one step of a forward pass leaves for the others."""

    value: Doubles = field(default_factory=lambda: np.empty(0))
    scale: Doubles = field(default_factory=lambda: np.empty(0))
    branch: list[_Kept] = field(default_factory=list)


def _through_norm(
    gradient: Doubles, normed: Doubles, scale: Doubles, axes: tuple[int, ...]
) -> Doubles:
    """A gradient, or a tangent, through (x − mean)/deviation."""
    mean = gradient.mean(axes, keepdims=True)
    along = (gradient * normed).mean(axes, keepdims=True)
    through: Doubles = (gradient - mean - normed * along) * scale
    return through


def as_matrix(weight: Doubles) -> Doubles:
    """A weight as (out, fan_in), the kernel's places before the channels."""
    if weight.ndim == 2:
        return weight
    last = np.moveaxis(weight, 1, -1)
    matrix: Doubles = last.reshape(weight.shape[0], -1)
    return matrix


def to_patches(x: Doubles) -> Doubles:
    """(n, h, w, c) → (n, h, w, 9c): the neighbours of every place, on a torus."""
    return np.concatenate([np.roll(x, offset, (1, 2)) for offset in _offsets()], axis=-1)


def from_patches(x: Doubles) -> Doubles:
    """The transpose of `to_patches`."""
    parts = np.split(x, KERNEL * KERNEL, axis=-1)
    back = [np.roll(p, (-i, -j), (1, 2)) for p, (i, j) in zip(parts, _offsets(), strict=True)]
    total: Doubles = np.sum(back, axis=0)
    return total


def _offsets() -> list[tuple[int, int]]:
    """Where the neighbours come from, row by row, as `np.roll` counts."""
    return [(1 - i, 1 - j) for i in range(KERNEL) for j in range(KERNEL)]
