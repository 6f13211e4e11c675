"""Which tensors go into which file, and what the index says of it: as transformers does.

Format: `model.safetensors.index.json` of the Hugging Face Hub; the split is that of
`huggingface_hub.split_torch_state_dict_into_shards`, tensor by tensor in the model's own order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from seedbed.init import TensorPlan

INDEX_NAME = "model.safetensors.index.json"

MAX_SHARD_BYTES = 49_000_000_000
"""With its header a file stays below 50 GB, beyond which Hub clients refuse to download it."""

_SIZE = re.compile(
    r"^\s*(?:([0-9]{1,19})|([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([KMGTkmgt][Ii]?)?[Bb])\s*$"
)
"""Digits alone, or with a unit; as JSON Schema reads it too."""

_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(value: object) -> object:
    """`5GB` as 5,000,000,000, `1GiB` as 1,073,741,824, digits as themselves; else as it is."""
    if not isinstance(value, str):
        return value
    if (match := _SIZE.fullmatch(value)) is None:
        raise PydanticCustomError("size", "a size is a number of bytes, or text as 5GB or 512MiB")
    digits, number, unit = match.groups()
    if digits:
        return int(digits)
    base = 1024 if unit and unit[1:] else 1000
    scale = base ** _POWERS[unit[0].upper()] if unit else 1
    whole, _, part = number.partition(".")
    return (int(whole + part) * scale) // 10 ** len(part)


ShardSize = Annotated[
    int,
    Field(ge=1, le=2**63 - 1),
    BeforeValidator(
        parse_size,
        json_schema_input_type=Annotated[int, Field(ge=1, le=2**63 - 1)]
        | Annotated[str, Field(pattern=_SIZE.pattern)],
    ),
]


def split_tensors(
    tensors: Sequence[TensorPlan], max_bytes: int
) -> tuple[tuple[TensorPlan, ...], ...]:
    """The tensors of each shard.

    Args:
        tensors: in the model's own order.
        max_bytes: of a shard; a tensor that is larger gets a shard of its own.
    """
    shards: list[list[TensorPlan]] = []
    current: list[TensorPlan] = []
    size = 0
    for tensor in tensors:
        if tensor.size_bytes > max_bytes:
            shards.append([tensor])
            continue
        if size + tensor.size_bytes > max_bytes:
            shards.append(current)
            current, size = [], 0
        current.append(tensor)
        size += tensor.size_bytes
    if current:
        shards.append(current)
    return tuple(map(tuple, shards))


def shard_names(count: int) -> tuple[str, ...]:
    """Names of so many files that are one checkpoint together; of one it is the usual name."""
    if count == 1:
        return ("model.safetensors",)
    return tuple(f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1))


def make_index(shards: Mapping[str, Sequence[TensorPlan]]) -> bytes:
    """The index of several shards by name, byte for byte as transformers writes it."""
    tensors = [tensor for shard in shards.values() for tensor in shard]
    index = {
        "metadata": {
            "total_parameters": sum(tensor.elements for tensor in tensors),
            "total_size": sum(tensor.size_bytes for tensor in tensors),
        },
        "weight_map": {tensor.name: name for name, shard in shards.items() for tensor in shard},
    }
    return f"{json.dumps(index, indent=2, sort_keys=True)}\n".encode()
