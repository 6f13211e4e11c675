"""A safetensors file that exists only as arithmetic: spec → plan → layout → header → bytes."""

from seedbed.files.checkpoint import Checkpoint
from seedbed.files.identity import SpecIdentity
from seedbed.files.packed import Packed, chunks
from seedbed.files.price import is_short
from seedbed.files.reading import SPEC, Form, TextLimits, read
from seedbed.files.small import File, SmallFile
from seedbed.files.spec import CheckpointSpec, Seed, seed_to_json
from seedbed.files.token import json_of_token, spec_from_token, spec_of_token_json
from seedbed.files.virtual import CHUNK_BYTES, FILE_NAME, VirtualFile, split

__all__ = [
    "CHUNK_BYTES",
    "FILE_NAME",
    "SPEC",
    "Checkpoint",
    "CheckpointSpec",
    "File",
    "Form",
    "Packed",
    "Seed",
    "SmallFile",
    "SpecIdentity",
    "TextLimits",
    "VirtualFile",
    "chunks",
    "is_short",
    "json_of_token",
    "read",
    "seed_to_json",
    "spec_from_token",
    "spec_of_token_json",
    "split",
]
