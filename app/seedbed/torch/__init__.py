"""PyTorch modules and specs: what any `nn.Module` starts from, recorded without building it.

Needs the extra `seedbed[torch]`. Nothing but the command line imports this room, and nothing else
imports torch.
"""

from seedbed.recording import RecordingError, Report
from seedbed.torch.recording import RecordedTensor, Recording, Region, record

__all__ = ["RecordedTensor", "Recording", "RecordingError", "Region", "Report", "record"]
