"""What a comparison costs, estimated before it begins."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seedbed.compare.network import input_shape, is_image, is_residual, output_shape, weights_of
from seedbed.compare.request import CompareRequest
from seedbed.init import Bounds

_SVD_FLOPS = 12
"""Operations for each a·b·min(a, b) of a singular value decomposition without vectors, about."""

_ELEMENT_FLOPS = 60
"""For each number between the weights: norm, activation, slopes, moments, there and back."""

_THEORY_FLOPS = 5_000_000
"""Of the Gaussian integrals of a layer and scheme."""


@dataclass(frozen=True, slots=True)
class Budget(Bounds):
    """Upper bounds on one comparison; values are settings.

    Attributes:
        max_compare_flops: floating-point operations.
        max_compare_bytes: memory.
        max_jacobian: inputs, and outputs, of a Jacobian; larger ones are left out of the answer.
    """

    max_compare_flops: int = 400_000_000_000
    max_compare_bytes: int = 2**29
    max_jacobian: int = 1024


def has_jacobian(request: CompareRequest, budget: Budget) -> bool:
    """Whether the Jacobian is measured."""
    network = request.network
    sides = (math.prod(input_shape(network)), math.prod(output_shape(network)))
    return max(sides) <= budget.max_jacobian


def flops_of(request: CompareRequest, budget: Budget) -> int:
    """Floating-point operations of a whole comparison, about."""
    network = request.network
    places = network.size**2 if is_image(network) else 1
    examples = 2 * request.batch
    tangents = math.prod(input_shape(network)) if has_jacobian(request, budget) else 0
    trial = 0
    for weight in weights_of(network):
        elements = math.prod(weight.shape)
        between = weight.shape[0] * places
        rows, columns = weight.shape[0], weight.fan_in
        trial += (3 * examples + tangents) * (2 * elements * places + _ELEMENT_FLOPS * between)
        trial += _SVD_FLOPS * rows * columns * min(rows, columns)
    if tangents:
        outputs = math.prod(output_shape(network))
        trial += _SVD_FLOPS * outputs * tangents * min(outputs, tangents)
    theory = _THEORY_FLOPS * len(weights_of(network))
    return len(request.schemes) * (request.seeds * trial + theory)


def bytes_of(request: CompareRequest, budget: Budget) -> int:
    """Memory of one comparison in bytes, about: weights, and what the forward pass keeps."""
    network = request.network
    places = network.size**2 if is_image(network) else 1
    kept = 9 if is_image(network) else 1  # patches
    weights = weights_of(network)
    examples = 2 * request.batch
    between = sum((w.shape[1] * kept + 5 * w.shape[0]) * places for w in weights)
    elements = sum(math.prod(w.shape) for w in weights)
    widest = max(w.fan_in for w in weights) * places
    tangents = math.prod(input_shape(network)) if has_jacobian(request, budget) else 0
    extra = 2 if is_residual(network) else 1
    values = (2 * examples + tangents * extra) * widest + examples * between + 3 * elements
    columns = 16 * len(request.schemes) * len(weights) * request.seeds
    return 8 * (values + columns)


def check(request: CompareRequest, budget: Budget) -> int:
    """The operations of a comparison that may be done.

    Raises:
        LimitError: it may not, with the numbers.
    """
    flops = flops_of(request, budget)
    budget.require("max_compare_flops", flops, "floating-point operations")
    budget.require("max_compare_bytes", bytes_of(request, budget), "bytes of memory")
    return flops
