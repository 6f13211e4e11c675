"""What recorders of all frameworks share: distributions, their spelling in specs, the report.

And where the elements of a checkpoint come from, for those who fill models in place.
"""

from seedbed.recording.contents import Contents, Drawing, Origin, fetched_from, opened
from seedbed.recording.distributions import (
    Distribution,
    LogUniform,
    Normal,
    Truncated,
    Uniform,
    affine,
    clamped,
    erfinv,
    exp,
    log,
)
from seedbed.recording.expressions import Call, Draw, Expression, X, evaluated, steps_of
from seedbed.recording.filling import Ranges, cores, filled, in_threads
from seedbed.recording.recognise import quantiles, transformed
from seedbed.recording.recorded import Entry, Recorded, RecordingError, schemes_of
from seedbed.recording.report import Report
from seedbed.recording.saying import (
    CODES,
    PARTS,
    Init,
    Unsaid,
    chain,
    closed,
    constant,
    counted,
    listed,
    orthogonal,
    parts,
    side_by_side,
    whole,
)
from seedbed.recording.tables import Rounding, table

__all__ = [
    "CODES",
    "PARTS",
    "Call",
    "Contents",
    "Distribution",
    "Draw",
    "Drawing",
    "Entry",
    "Expression",
    "Init",
    "LogUniform",
    "Normal",
    "Origin",
    "Ranges",
    "Recorded",
    "RecordingError",
    "Report",
    "Rounding",
    "Truncated",
    "Uniform",
    "Unsaid",
    "X",
    "affine",
    "chain",
    "clamped",
    "closed",
    "constant",
    "cores",
    "counted",
    "erfinv",
    "evaluated",
    "exp",
    "fetched_from",
    "filled",
    "in_threads",
    "listed",
    "log",
    "opened",
    "orthogonal",
    "parts",
    "quantiles",
    "schemes_of",
    "side_by_side",
    "steps_of",
    "table",
    "transformed",
    "whole",
]  # fmt: skip
