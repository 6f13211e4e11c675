"""What Pydantic found wrong with a spec, as errors with places in the caller's own JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from seedbed.errors import Path, SpecError
from seedbed.files.spec import CheckpointSpec
from seedbed.init import LAYERS, SCHEMES, Rule, TensorSpec
from seedbed.models.manifest import Entry
from seedbed.models.source import KINDS, ModelOfConfig, ModelOfManifest


def findings(error: ValidationError, body: object) -> Iterator[SpecError]:
    """Each thing that is wrong: where in the body, what, and what is allowed there.

    Args:
        error: from validating a `CheckpointSpec`.
        body: that was validated, parsed; `None` if it is no JSON at all.
    """
    for raw in error.errors(include_url=False, include_input=False):
        allowed = allowed_by(raw)
        if raw["type"] == "extra_forbidden":
            allowed = _fields_beside(raw["loc"])
        elif raw["type"].startswith("union_tag") and raw["loc"][0] == "layers":
            said = "there is no such layer" if "invalid" in raw["type"] else "a layer has a type"
            yield SpecError(said, (*raw["loc"], "type"), tuple(LAYERS))
            continue
        yield SpecError(raw["msg"], _place_in(body, raw["loc"]), allowed)


def allowed_by(raw: Mapping[str, Any]) -> Sequence[str]:
    """What one finding of Pydantic's says would be accepted, if it can be listed."""
    context = raw.get("ctx", {})
    if raw["type"] == "model_kind":
        return KINDS
    if raw["type"] == "literal_error":
        return tuple(re.findall(r"'([^']*)'", context["expected"]))
    return tuple(context.get("allowed", ()))


_NOT_IN_BODY = {"int", "float", "str", "[key]", *(f"of_{kind}" for kind in KINDS)}
"""Parts of Pydantic's locations that name members of unions, not fields."""


def _place_in(body: object, location: Path) -> Path:
    """The parts of a location that are in the body.

    A location names union members too (`init/he_normal/gain`, `layers/0/conv2d`), and the weight
    that a layer's bare init is for: parts that do not exist in the body are left out, except a
    field that is missing.
    """
    path: list[str | int] = []
    at: Any = body
    for part in location:
        if _has(at, part):
            at = at[part]
        elif part in SCHEMES or part in LAYERS or part in _NOT_IN_BODY:
            continue
        elif path[:1] == ["layers"] and path[2:] == ["init"] and part == "weight":
            continue  # a bare scheme
        path.append(part)
    return tuple(path)


def _has(value: object, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _fields_beside(location: Sequence[str | int]) -> Sequence[str]:
    """The fields that a model takes in which an unknown one was found."""
    *outer, _ = location
    if not outer:
        return tuple(CheckpointSpec.model_fields)
    if outer[0] == "model":
        kind = str(outer[1]).removeprefix("of_")
        return {
            "config": tuple(ModelOfConfig.model_fields),
            "manifest": tuple((Entry if len(outer) > 2 else ModelOfManifest).model_fields),
        }.get(kind, ())
    if outer[-1] in SCHEMES:
        return tuple(SCHEMES[str(outer[-1])].model_fields)
    if outer[-1] in LAYERS:
        return tuple(LAYERS[str(outer[-1])].model_fields)
    inner: dict[str | int, type[BaseModel]] = {"tensors": TensorSpec, "rules": Rule}
    return tuple(inner[outer[0]].model_fields) if outer[0] in inner else ()
