"""Which tensors exist and what fills each one. Pure: no value is made until it is asked for."""

from seedbed.init.decisions import Decisions
from seedbed.init.dense import Dense
from seedbed.init.fill import Fill
from seedbed.init.fills import Constant, Counted, Doubles, Indices, Listed, Pattern, moments
from seedbed.init.hints import hints_of
from seedbed.init.layers import LAYERS, AnyLayer, Framework, Layer, Parameter
from seedbed.init.layers.base import (
    Block,
    Size,
    kernel,
    one,
    over_root,
    scheme,
    symmetric,
    zero,
)
from seedbed.init.limits import Bounds, Limits
from seedbed.init.matrices import Lease, MatrixCache
from seedbed.init.names import (
    DIMENSION_MAX,
    FLOAT_CODES,
    AnyDtype,
    Dimension,
    FloatDtype,
    TensorName,
    Text,
)
from seedbed.init.planning import Origin, TensorPlan, plan
from seedbed.init.quantised import Packed, Quantised, Straddling
from seedbed.init.rules import Rule
from seedbed.init.schemes import (
    SCHEMES,
    TRUNCATED_STD,
    Init,
    Scheme,
    canonical_name,
    is_scheme,
    meaning_of,
)
from seedbed.init.schemes.base import Fans, Shape
from seedbed.init.schemes.patterns import sampled
from seedbed.init.source import Source
from seedbed.init.tensors import TensorSpec
from seedbed.init.views import Named

__all__ = [
    "DIMENSION_MAX",
    "FLOAT_CODES",
    "LAYERS",
    "SCHEMES",
    "TRUNCATED_STD",
    "AnyDtype",
    "AnyLayer",
    "Block",
    "Bounds",
    "Constant",
    "Counted",
    "Decisions",
    "Dense",
    "Dimension",
    "Doubles",
    "Fans",
    "Fill",
    "FloatDtype",
    "Framework",
    "Indices",
    "Init",
    "Layer",
    "Lease",
    "Limits",
    "Listed",
    "MatrixCache",
    "Named",
    "Origin",
    "Packed",
    "Parameter",
    "Pattern",
    "Quantised",
    "Rule",
    "Scheme",
    "Shape",
    "Size",
    "Source",
    "Straddling",
    "TensorName",
    "TensorPlan",
    "TensorSpec",
    "Text",
    "canonical_name",
    "hints_of",
    "is_scheme",
    "kernel",
    "meaning_of",
    "moments",
    "one",
    "over_root",
    "plan",
    "sampled",
    "scheme",
    "symmetric",
    "zero",
]
