"""JAX and specs: what an init function starts from, and arrays filled where their shards are.

Needs the extra `seedbed[jax]`. Nothing imports this room, and nothing else imports JAX.
"""

from seedbed.jax.filling import fill
from seedbed.jax.recording import RecordedArray, Recording, record
from seedbed.recording import RecordingError, Report

__all__ = ["RecordedArray", "Recording", "RecordingError", "Report", "fill", "record"]
