"""What recorders of all frameworks share: distributions, their spelling in specs, the report."""

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
from seedbed.recording.drawing import Drawing, Origin, Ranges
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
    parts,
    side_by_side,
    whole,
)

__all__ = [
    "CODES", "PARTS", "Distribution", "Drawing", "Entry", "Init", "LogUniform", "Normal", "Origin",
    "Ranges", "Recorded", "RecordingError", "Report", "Truncated", "Uniform", "Unsaid", "affine",
    "chain", "clamped", "closed", "constant", "counted", "erfinv", "exp", "listed", "log", "parts",
    "schemes_of", "side_by_side", "whole",
]  # fmt: skip
