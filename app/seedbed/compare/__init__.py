"""Networks at their start, measured layer by layer beside theory. Knows nothing of HTTP."""

from seedbed.compare.budget import Budget
from seedbed.compare.compare import Comparison
from seedbed.compare.measure import Cancelled
from seedbed.compare.request import COMPARISON, CompareRequest
from seedbed.compare.result import CompareResult, Finished, Progress

__all__ = [
    "COMPARISON",
    "Budget",
    "Cancelled",
    "CompareRequest",
    "CompareResult",
    "Comparison",
    "Finished",
    "Progress",
]
