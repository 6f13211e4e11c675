"""What quantising a checkpoint costs, counted before any of it is planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seedbed.errors import SpecError
from seedbed.init import TensorPlan
from seedbed.quantization.base import Method
from seedbed.quantization.modules import is_conv1d
from seedbed.quantization.steps import work

MOST_OF_A_WEIGHT = 9
"""Tensors that any method stores in place of one, with those beside it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a quantised checkpoint has.

    Attributes:
        tensors: in all.
        name_bytes: of their names, in UTF-8.
    """

    tensors: int
    name_bytes: int


def cost(method: Method, plans: Sequence[TensorPlan], model_type: object = None) -> Cost:
    """As `quantise` would make them; a weight that it would refuse counts as one.

    Args:
        method: how weights are stored.
        plans: with names, shapes, dtypes and layers; their fills may be anything.
        model_type: of the model, if it has one.
    """
    tensors = name_bytes = 0
    kinds: dict[object, tuple[int, int]] = {}
    for plan, weight in method.weights(plans):
        own = [plan.name]
        if weight is not None and not is_conv1d(model_type, weight.module):
            prefix = len(weight.prefix.encode())
            kind = method.kind_of(weight.module)
            if kind not in kinds:
                try:
                    own = [part.name for part in method.stored(weight)]
                except SpecError:
                    own = [plan.name]
                behind = sum(len(name.encode()) for name in own) - len(own) * prefix
                kinds[kind] = len(own), behind
            count, behind = kinds[kind]
            own = []
            tensors += count
            name_bytes += count * prefix + behind
        own += [part.name for part in method.beside(plan)]
        tensors += len(own)
        name_bytes += sum(len(name.encode()) for name in own)
    return Cost(tensors, name_bytes)


def matching_work(method: Method, length: int) -> int:
    """Units of 5 ns, at most, in which all expressions are held to a name of so many characters."""
    return sum(work(expression, length) for expression in method.expressions())
