"""A safetensors file that exists only as arithmetic: spec → plan → layout → header → bytes."""

from seedbed.files.checkpoint import Checkpoint
from seedbed.files.small import File, SmallFile
from seedbed.files.spec import CheckpointSpec, Seed, seed_to_json, spec_from_token
from seedbed.files.virtual import CHUNK_BYTES, FILE_NAME, VirtualFile, split

__all__ = [
    "CHUNK_BYTES",
    "FILE_NAME",
    "Checkpoint",
    "CheckpointSpec",
    "File",
    "Seed",
    "SmallFile",
    "VirtualFile",
    "seed_to_json",
    "spec_from_token",
    "split",
]
