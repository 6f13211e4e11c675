"""Which tensors exist and what fills each one. Pure: no value is made until it is asked for."""

from seedbed.init.dense import Dense, MatrixCache
from seedbed.init.fills import Fill, Source
from seedbed.init.limits import Limits
from seedbed.init.model import Rule, TensorName, TensorPlan, TensorSpec, Text, plan
from seedbed.init.schemes import SCHEMES, Init, Scheme, canonical_name

__all__ = [
    "SCHEMES",
    "Dense",
    "Fill",
    "Init",
    "Limits",
    "MatrixCache",
    "Rule",
    "Scheme",
    "Source",
    "TensorName",
    "TensorPlan",
    "TensorSpec",
    "Text",
    "canonical_name",
    "plan",
]
