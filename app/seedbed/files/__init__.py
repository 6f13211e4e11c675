"""A safetensors file that exists only as arithmetic: spec → plan → layout → header → bytes."""

from seedbed.files.checkpoint import Checkpoint
from seedbed.files.findings import MAX_FINDINGS, allowed_by, errors_of
from seedbed.files.identity import SpecIdentity
from seedbed.files.one_model import OneModel, option_of_model, spec_of_preset
from seedbed.files.one_tensor import (
    OneTensor,
    option_of,
    scheme_parameters,
    seed_of,
    shape_text,
    spec_of_one,
)
from seedbed.files.packed import Packed, chunks
from seedbed.files.price import is_short
from seedbed.files.reading import SPEC, Form, TextLimits, read
from seedbed.files.small import File, SmallFile
from seedbed.files.spec import CheckpointSpec, Seed, seed_to_json
from seedbed.files.token import json_of_token, spec_from_token, spec_of_token_json
from seedbed.files.virtual import CHUNK_BYTES, FILE_NAME, VirtualFile, plan_of, split
from seedbed.files.words import Suggestion, nearest, suggestions

__all__ = [
    "CHUNK_BYTES",
    "FILE_NAME",
    "MAX_FINDINGS",
    "SPEC",
    "Checkpoint",
    "CheckpointSpec",
    "File",
    "Form",
    "OneModel",
    "OneTensor",
    "Packed",
    "Seed",
    "SmallFile",
    "SpecIdentity",
    "Suggestion",
    "TextLimits",
    "VirtualFile",
    "allowed_by",
    "chunks",
    "errors_of",
    "is_short",
    "json_of_token",
    "nearest",
    "option_of",
    "option_of_model",
    "plan_of",
    "read",
    "scheme_parameters",
    "seed_of",
    "seed_to_json",
    "shape_text",
    "spec_from_token",
    "spec_of_one",
    "spec_of_preset",
    "spec_of_token_json",
    "split",
    "suggestions",
]
