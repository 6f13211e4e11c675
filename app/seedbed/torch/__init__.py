"""PyTorch modules and specs: what any `nn.Module` starts from, recorded, and written in place.

Needs the extra `seedbed[torch]`. Nothing but the command line imports this room, and nothing else
imports torch.
"""

from seedbed.recording import RecordingError, Report
from seedbed.torch.configs import Built, record_config
from seedbed.torch.initialise import Initialised, init_
from seedbed.torch.recording import RecordedTensor, Recording, Region, record

__all__ = [
    "Built",
    "Initialised",
    "RecordedTensor",
    "Recording",
    "RecordingError",
    "Region",
    "Report",
    "init_",
    "record",
    "record_config",
]
