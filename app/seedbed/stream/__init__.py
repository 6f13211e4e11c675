"""Numbers from (key, position): the keystream, the distributions on it, and their bytes.

Nothing here knows of shapes, schemes or files. `docs/stream.md` specifies what this room computes
so that it can be written again in another language.
"""

from seedbed.stream.distributions import (
    Distribution,
    LogUniform,
    Normal,
    ParameterProblem,
    Summary,
    TruncatedNormal,
    Uniform,
)
from seedbed.stream.dtypes import DTYPES, Dtype, DtypeCode, FloatCode
from seedbed.stream.engine import Engine, EngineName, get_engine, warm
from seedbed.stream.keys import SEED_MAX, STREAM_VERSION, derive_key

__all__ = [
    "DTYPES",
    "SEED_MAX",
    "STREAM_VERSION",
    "Distribution",
    "Dtype",
    "DtypeCode",
    "Engine",
    "EngineName",
    "FloatCode",
    "LogUniform",
    "Normal",
    "ParameterProblem",
    "Summary",
    "TruncatedNormal",
    "Uniform",
    "derive_key",
    "get_engine",
    "warm",
]
