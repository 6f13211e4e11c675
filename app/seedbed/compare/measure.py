"""One network with one seed, measured layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seedbed.compare.activations import Doubles
from seedbed.compare.network import Machine, output_shape
from seedbed.compare.request import Network
from seedbed.compare.result import MetricDescription

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)

DEAD_SLOPE = 1e-3
"""A unit whose activation has no slope above this at any input is dead: no gradient reaches it."""

METRICS = (
    MetricDescription(
        name="activation_mean_square",
        title="Activations, mean square",
        about="Of what goes on after the weight: through norm and activation, or, in residual "
        "networks, the stream that the block was added to. The inputs have 1.",
        scale="log",
    ),
    MetricDescription(
        name="pre_activation_mean_square",
        title="Pre-activations, mean square",
        about="Of what the weight gives, before any norm.",
        scale="log",
    ),
    MetricDescription(
        name="gradient_mean_square",
        title="Gradients, mean square",
        about="Of the gradient by what the weight gives, when the gradient by the network's output "
        "is standard Gaussian.",
        scale="log",
    ),
    MetricDescription(
        name="relative_gradient",
        title="Gradient of the weight over the weight",
        about="Root mean square of the one, averaged over the examples, over that of the other: "
        "how fast plain gradient descent turns the weight at learning rate 1.",
        scale="log",
    ),
    MetricDescription(
        name="correlation",
        title="Correlation of two inputs",
        about="Cosine between what two inputs of a pair have become after the weight. At the edge "
        "of chaos it neither hurries to 1 nor away from it.",
        scale="linear",
    ),
    MetricDescription(
        name="dead_units",
        title="Dead units, share",
        about="Units whose activation has a slope below 0.001 at every input of the batch.",
        scale="linear",
    ),
    MetricDescription(
        name="weight_kurtosis",
        title="Weights, excess kurtosis",
        about="0 for a normal, −0.63 cut at two deviations, −1.2 for a uniform.",
        scale="linear",
    ),
    MetricDescription(
        name="pre_activation_kurtosis",
        title="Pre-activations, excess kurtosis",
        about="Over units, for a fixed input: what is left of the weights' own after a sum over "
        "fan_in. Theory: that of the weights times E x⁴/(E x²)²/fan_in of what they read.",
        scale="linear",
    ),
    MetricDescription(
        name="singular_value_min",
        title="Smallest singular value of the weight",
        about="Of the matrix (out, fan_in). Theory: Marchenko and Pastur's edge; 0 if square.",
        scale="log",
    ),
    MetricDescription(
        name="singular_value_rms",
        title="Singular values of the weight, root mean square",
        about="Of the matrix (out, fan_in).",
        scale="log",
    ),
    MetricDescription(
        name="singular_value_max",
        title="Largest singular value of the weight",
        about="Of the matrix (out, fan_in). Theory: Marchenko and Pastur's edge.",
        scale="log",
    ),
)

GEOMETRIC = frozenset(metric.name for metric in METRICS if metric.scale == "log")
"""Metrics whose mean is that of the logarithms."""


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class Trial:
    """What was measured; arrays have an element a weight, NaN where there is nothing.

    Attributes:
        columns: by metric.
        jacobian: singular values of the Jacobian, descending; None if it was not wanted.
        jacobian_mean_square: ‖J‖²/inputs.
    """

    columns: dict[str, Doubles]
    jacobian: Doubles | None
    jacobian_mean_square: float


def measure(
    network: Network,
    weights: dict[str, Doubles],
    pairs: tuple[Doubles, Doubles],
    cotangents: Doubles,
    *,
    jacobian: bool,
    check: Callable[[], None] = lambda: None,
) -> Trial:
    """Measure a network.

    Args:
        network: what it is.
        weights: float64 by name.
        pairs: first and second inputs, (batch, *features).
        cotangents: gradients by the output for both, (2·batch, *features).
        jacobian: whether to decompose it.
        check: called now and then; raises what is to end the work.
    """
    machine = Machine(network, weights)
    batch = len(pairs[0])
    with np.errstate(all="ignore"):  # what overflows is told as such
        _, trace, kept = machine.forward(np.concatenate(pairs))
        check()
        _, by_product, by_weight = machine.backward(cotangents, kept)
        check()
        rows: dict[str, list[float]] = {metric.name: [] for metric in METRICS}
        for i, matrix in enumerate(machine.matrices):
            check()
            row = _row(
                matrix, trace.inputs[i], trace.products[i], trace.signals[i], by_product[i],
                by_weight[i] / (2 * batch), trace.slopes.get(i), batch,
            )  # fmt: skip
            for name, value in row.items():
                rows[name].append(value)
        columns = {name: np.array(values) for name, values in rows.items()}
        if not jacobian:
            return Trial(columns, None, np.nan)
        matrix = machine.jacobian(kept)
        check()
        values = _singular_values(matrix)
        return Trial(columns, values, float((matrix**2).sum() / matrix.shape[1]))


def _row(
    matrix: Doubles,
    inputs: Doubles,
    product: Doubles,
    signal: Doubles,
    gradient: Doubles,
    by_weight: Doubles,
    slopes: Doubles | None,
    batch: int,
) -> dict[str, float]:
    """All metrics of one weight."""
    singular = _singular_values(matrix)
    rms = float(np.sqrt((matrix**2).mean()))
    norms = np.sqrt((inputs**2).sum(-1, keepdims=True))
    scaled = product / np.where(norms > 0, norms, np.nan)
    return {
        "activation_mean_square": float((signal**2).mean()),
        "pre_activation_mean_square": float((product**2).mean()),
        "gradient_mean_square": float((gradient**2).mean()),
        "relative_gradient": float(np.sqrt((by_weight**2).mean()) / rms) if rms > 0 else np.nan,
        "correlation": _cosine(signal[:batch], signal[batch:]),
        "dead_units": np.nan if slopes is None else _dead(slopes),
        "weight_kurtosis": _excess(matrix - matrix.mean()),
        "pre_activation_kurtosis": _excess(scaled),
        "singular_value_min": float(singular[-1]),
        "singular_value_rms": float(np.sqrt((singular**2).mean())),
        "singular_value_max": float(singular[0]),
    }


def _cosine(first: Doubles, second: Doubles) -> float:
    """Mean over the pairs."""
    axes = tuple(range(1, first.ndim))
    dot = (first * second).sum(axes)
    lengths = np.sqrt((first**2).sum(axes) * (second**2).sum(axes))
    return float((dot / lengths).mean())


def _dead(slopes: Doubles) -> float:
    """Share of units, the last axis, that are dead."""
    largest = np.abs(slopes).max(axis=tuple(range(slopes.ndim - 1)))
    return float((largest < DEAD_SLOPE).mean())


def _excess(values: Doubles) -> float:
    """Excess kurtosis about 0."""
    squares = values * values
    square = float(np.nanmean(squares)) if np.isfinite(squares).any() else np.nan
    if not square > 0:
        return np.nan
    relative: Doubles = squares / square  # before they are squared, lest they overflow
    return float(np.nanmean(relative * relative)) - 3.0


def _singular_values(matrix: Doubles) -> Doubles:
    """Descending; NaN if the matrix is not finite."""
    if not np.isfinite(matrix).all():
        return np.full(min(matrix.shape), np.nan)
    return np.asarray(np.linalg.svd(matrix, compute_uv=False), np.float64)


def cotangent_shape(network: Network, batch: int) -> tuple[int, ...]:
    """Of the gradients by the output."""
    return (2 * batch, *output_shape(network))
