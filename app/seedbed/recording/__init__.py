"""What recorders of all frameworks share: distributions, their spelling in specs, the report."""

from seedbed.recording.recorded import Entry, Recorded, RecordingError
from seedbed.recording.report import Report

__all__ = ["Entry", "Recorded", "RecordingError", "Report"]
