"""Networks at their start, measured layer by layer beside theory. Knows nothing of HTTP."""

from seedbed.compare.budget import Budget
from seedbed.compare.compare import Comparison
from seedbed.compare.measure import Cancelled
from seedbed.compare.request import COMPARISON, Activation, CompareRequest, Norm
from seedbed.compare.result import CompareResult, Finished, Progress
from seedbed.compare.theory import numbers_of

__all__ = [
    "COMPARISON",
    "Activation",
    "Budget",
    "Cancelled",
    "CompareRequest",
    "CompareResult",
    "Comparison",
    "Finished",
    "Norm",
    "Progress",
    "numbers_of",
]
