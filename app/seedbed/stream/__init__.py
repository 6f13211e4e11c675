"""Numbers from (key, position): the keystream, the distributions on it, and their bytes.

Nothing here knows of shapes, schemes or files. `docs/stream.md` specifies what this room computes
so that it can be written again in another language.
"""

from seedbed.stream import boxes
from seedbed.stream.aesctr import keystream, scratch
from seedbed.stream.boxes import Box
from seedbed.stream.distributions import (
    Distribution,
    LogUniform,
    Normal,
    ParameterProblem,
    Summary,
    TruncatedNormal,
    Uniform,
)
from seedbed.stream.dtypes import (
    DTYPES,
    Dtype,
    DtypeCode,
    FloatCode,
    UnclearDtype,
    dtype_code,
)
from seedbed.stream.engine import AUTO, ENGINES, NUMPY, Engine, compile_and_keep, get_engine
from seedbed.stream.householder import working_bytes
from seedbed.stream.integers import draw_integers
from seedbed.stream.keys import SEED_MAX, derive_key
from seedbed.stream.levels import LEVELS, host_levels, machine_levels
from seedbed.stream.packing import packed_bytes
from seedbed.stream.scaled import Form, Grid, Levels, Pairs, Scaled, Whole
from seedbed.version import STREAM_VERSION

__all__ = [
    "AUTO",
    "DTYPES",
    "ENGINES",
    "LEVELS",
    "NUMPY",
    "SEED_MAX",
    "STREAM_VERSION",
    "Box",
    "Distribution",
    "Dtype",
    "DtypeCode",
    "Engine",
    "FloatCode",
    "Form",
    "Grid",
    "Levels",
    "LogUniform",
    "Normal",
    "Pairs",
    "ParameterProblem",
    "Scaled",
    "Summary",
    "TruncatedNormal",
    "UnclearDtype",
    "Uniform",
    "Whole",
    "boxes",
    "compile_and_keep",
    "derive_key",
    "draw_integers",
    "dtype_code",
    "get_engine",
    "host_levels",
    "keystream",
    "machine_levels",
    "packed_bytes",
    "scratch",
    "working_bytes",
]
