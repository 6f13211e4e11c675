"""Real networks, trained from Seedbed's weights: what docs/normal-vs-uniform.md was made from.

It needs PyTorch and scikit-learn, and serves nobody at run time; `make study` runs it.
"""

from study.again import agreement
from study.data import FASHION
from study.run import RESULTS, choose
from study.run import run as run_study

__all__ = ["FASHION", "RESULTS", "agreement", "choose", "run_study"]
