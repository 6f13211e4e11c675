"""PyTorch modules and specs: what any `nn.Module` starts from, recorded without building it.

Needs the extra `seedbed[torch]`. Nothing outside of this room imports it, or torch.
"""

from seedbed.torch.recording import RecordedTensor, Recording, RecordingError, Region, record
from seedbed.torch.report import Report

__all__ = ["RecordedTensor", "Recording", "RecordingError", "Region", "Report", "record"]
