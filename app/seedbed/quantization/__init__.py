"""Quantised checkpoints: the tensors that weights are stored as, by the method of a config.

A quantised weight is a view of the unquantised one: the same draw, divided by a scale that follows
from its distribution alone, rounded, packed. So one seed is one network in every format, and any
range of any tensor costs what it holds.
"""

from seedbed.quantization.base import Method
from seedbed.quantization.costs import MOST_OF_A_WEIGHT, Cost, cost, matching_work
from seedbed.quantization.methods import METHODS, SHORT, VERSION, method_of, quantise

__all__ = [
    "METHODS",
    "MOST_OF_A_WEIGHT",
    "SHORT",
    "VERSION",
    "Cost",
    "Method",
    "cost",
    "matching_work",
    "method_of",
    "quantise",
]
