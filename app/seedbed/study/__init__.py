"""Real networks, trained from Seedbed's weights; and the advice that follows."""

from seedbed.study.again import agreement
from seedbed.study.data import FASHION
from seedbed.study.run import RESULTS, choose
from seedbed.study.run import run as run_study

__all__ = ["FASHION", "RESULTS", "agreement", "choose", "run_study"]
