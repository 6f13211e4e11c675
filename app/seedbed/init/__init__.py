"""Which tensors exist and what fills each one. Pure: no value is made until it is asked for."""

from seedbed.init.dense import Dense
from seedbed.init.fill import Fill
from seedbed.init.layers import LAYERS, AnyLayer, Framework, Layer, Parameter
from seedbed.init.layers.base import Block
from seedbed.init.limits import Limits
from seedbed.init.matrices import MatrixCache
from seedbed.init.model import Origin, TensorPlan, TensorSpec, plan
from seedbed.init.names import TensorName, Text
from seedbed.init.rules import Rule
from seedbed.init.schemes import SCHEMES, Init, Scheme, canonical_name, meaning_of
from seedbed.init.source import Source

__all__ = [
    "LAYERS",
    "SCHEMES",
    "AnyLayer",
    "Block",
    "Dense",
    "Fill",
    "Framework",
    "Init",
    "Layer",
    "Limits",
    "MatrixCache",
    "Origin",
    "Parameter",
    "Rule",
    "Scheme",
    "Source",
    "TensorName",
    "TensorPlan",
    "TensorSpec",
    "Text",
    "canonical_name",
    "meaning_of",
    "plan",
]
