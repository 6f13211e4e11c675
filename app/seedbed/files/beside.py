"""The files that a spec itself brings: a config.json, a card, a tokenizer, beside the weights.

No byte of the weights depends on them, so the canonical spec and its digest leave them out, as they
do the size of shards; a link, a stored spec and a commit of the Hub's façade have them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from seedbed.models import plain

CARD_NAME = "README.md"
CONFIG_NAME = "config.json"
GENERATION_NAME = "generation_config.json"
ADAPTER_CONFIG_NAME = "adapter_config.json"
ADAPTER_NAME = "adapter_model.safetensors"
"""The weights, where that config is beside them: names that PEFT gives them."""

MAX_FILES = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
_WEIGHTS = (".safetensors", ".index.json")


def _name(name: str) -> str:
    """A name that no system and no client takes for anything else."""
    if not _NAME.fullmatch(name) or name.endswith(".") or ".." in name:
        raise PydanticCustomError(
            "file_name", "a file's name has 1 to 96 of A-Z a-z 0-9 . _ - and begins with one of "
            "A-Z a-z 0-9; there are no folders",
        )  # fmt: skip
    if name.lower().endswith(_WEIGHTS):
        raise PydanticCustomError(
            "file_of_weights", "the weights and their index are written by Seedbed itself"
        )
    return name


def _content(value: object) -> object:
    if not value or not isinstance(value, str | dict):
        raise PydanticCustomError(
            "file_content", "a file is a text, or an object that is written as JSON; none is empty"
        )
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise PydanticCustomError(
            "lone_surrogate", "half of a surrogate pair is not a character"
        ) from None
    return value


def _distinct(files: dict[str, Any]) -> dict[str, Any]:
    if len(files) > MAX_FILES:
        raise PydanticCustomError("files_many", "at most {most} files", {"most": MAX_FILES})
    seen = {name.lower(): name for name in (CARD_NAME, CONFIG_NAME, GENERATION_NAME)}
    for name in files:
        if seen.setdefault(name.lower(), name) != name:
            raise PydanticCustomError(
                "files_alike", "{one} and {other} are one file where case is not told apart",
                {"one": seen[name.lower()], "other": name},
            )  # fmt: skip
    return dict(sorted(files.items()))


Files: TypeAlias = Annotated[
    dict[
        Annotated[str, AfterValidator(_name)],
        Annotated[str | dict[str, Any], BeforeValidator(_content), AfterValidator(plain)],
    ],
    Field(json_schema_extra={"maxProperties": MAX_FILES}),
    AfterValidator(_distinct),
]
"""By name, a text as it is, or an object that is written as the model's library writes JSON."""


def spelled(files: Mapping[str, Any]) -> str:
    """Files as canonical JSON; nothing if there are none."""
    if not files:
        return ""
    return json.dumps(files, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of_files(files: Mapping[str, Any]) -> str:
    """SHA-256 of their canonical JSON, 64 hexadecimal digits; nothing if there are none."""
    text = spelled(files)
    return hashlib.sha256(f"seedbed/files/1\n{text}".encode()).hexdigest() if text else ""


def written(content: str | Mapping[str, Any]) -> bytes:
    """A file's bytes; JSON as transformers writes its configurations."""
    if isinstance(content, str):
        return content.encode()
    return f"{json.dumps(content, indent=2, sort_keys=True)}\n".encode()
