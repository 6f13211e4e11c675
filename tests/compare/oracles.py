"""Other ways to the same numbers: Monte Carlo, finite differences, closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedbed.compare.network import Machine, input_shape, weights_of
from seedbed.compare.request import Network

Doubles = NDArray[np.float64]

KINDS = ("mlp", "cnn", "residual", "residual_cnn")
NORMS = ("none", "batch", "layer")


def network(**fields: Any) -> Network:
    """A small network."""
    return Network.model_validate({"depth": 2, "width": 5, "inputs": 4, "size": 4, **fields})


def machine(given: Network, seed: int = 0) -> Machine:
    """It, with Gaussian weights of a spread that keeps signals."""
    rng = np.random.Generator(np.random.Philox(seed))
    weights = {w.name: rng.normal(0, 1.3 / math.sqrt(w.fan_in), w.shape) for w in weights_of(given)}
    return Machine(given, weights)


def inputs(given: Network, count: int, seed: int = 1) -> Doubles:
    """Gaussian inputs."""
    return np.random.Generator(np.random.Philox(seed)).normal(size=(count, *input_shape(given)))


def relu_kernel(c: float) -> float:
    """E relu(u)relu(v) of standard Gaussians: Cho and Saul 2009, arc-cosine kernel of degree 1."""
    return (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / (2 * math.pi)


def erf_kernel(q: float, c: float) -> float:
    """E erf(u)erf(v) at mean square q: Williams 1997."""
    return 2 / math.pi * math.asin(2 * q * c / (1 + 2 * q))
