"""A preset in one line: its name, and a few words of text.

The GET of a model's files and the command line both spell a preset this way. Options are the
fields of `OneModel`; all others are the preset's own arguments, as JSON where they are JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seedbed.errors import Choices, ParameterError, SpecError
from seedbed.files.findings import allowed_by
from seedbed.files.shards import MAX_SHARD_BYTES, ShardSize
from seedbed.files.spec import CheckpointSpec, Seed
from seedbed.init import FloatDtype
from seedbed.models import ModelOfPreset
from seedbed.quantization import SHORT


class OneModel(BaseModel):
    """The options of a preset beside its own arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Seed = Field(0, description="0 … 2**64 − 1.")
    dtype: FloatDtype = Field("F32", description="Of all floating-point tensors.")
    quantization: str | None = Field(
        None,
        description="How the weights of linear modules are stored, by a short name: fp8-block.",
        json_schema_extra={"enum": [*SHORT]},
    )
    max_shard_size: ShardSize = Field(
        MAX_SHARD_BYTES, description="Largest file, in bytes, or as text: 5GB."
    )


def spec_of_preset(preset: str, options: Mapping[str, str]) -> CheckpointSpec:
    """The checkpoint of a preset.

    Args:
        preset: its name.
        options: text by name: those of `OneModel`, and the preset's own arguments.

    Raises:
        SpecError: with the option as its path.
    """
    own = {key: value for key, value in options.items() if key in OneModel.model_fields}
    rest = {key: _value(key, text) for key, text in options.items() if key not in own}
    if "preset" in rest:
        raise ParameterError("the preset is named by the path", ("preset",))
    try:
        fields = OneModel.model_validate(own)
        model = ModelOfPreset.model_validate({"preset": preset, **rest})
        return CheckpointSpec.model_validate({**dict(fields), "model": model})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ParameterError(
            first["msg"], first["loc"][:1], allowed_by(first, first["input"])
        ) from error


def option_of_model(error: SpecError) -> SpecError:
    """An error of a preset's spec, seen from its options: `model/num_classes` is `num_classes`."""
    if error.path[:1] != ("model",):
        return error
    allowed = error.allowed
    if isinstance(allowed, Choices) and error.path[1:2] != ("preset",):
        own = [name for name in OneModel.model_fields if name not in allowed]
        allowed = Choices([*own, *allowed], allowed.word)
    moved = type(error)(error.message, error.path[1:2] or ("preset",), allowed)
    moved.others = tuple(map(option_of_model, error.others))
    return moved


class _TwiceError(Exception):
    """A key is twice in one object, of which one would be ignored."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise _TwiceError(name)
        members[name] = value
    return members


def _value(key: str, text: str) -> Any:
    """Text as the JSON that it is, or as text."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except _TwiceError as twice:
        raise ParameterError(f"{twice.args[0][:100]!r} is given twice", (key,)) from None
    except ValueError:
        return text
    except RecursionError:
        raise ParameterError("the value is nested too deep", (key,)) from None
