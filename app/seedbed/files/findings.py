"""What Pydantic found wrong with a body, as errors with places in the caller's own JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Tag, TypeAdapter, ValidationError
from pydantic_core import to_json
from typing_extensions import TypeAliasType

from seedbed.errors import Choices, Path, SpecError
from seedbed.files.spec import CheckpointSpec
from seedbed.init import LAYERS, SCHEMES, AnyLayer, Rule, TensorSpec
from seedbed.models import MODEL_KINDS, ListEntry, ManifestEntry
from seedbed.stream import DTYPES

MAX_FINDINGS = 20
"""Findings that are told of one body."""

_ENDING_EARLY: dict[Path, TypeAdapter[Any]] = {
    ("layers",): TypeAdapter(AnyLayer),
    ("tensors",): TypeAdapter(TensorSpec),
    ("rules",): TypeAdapter(Rule),
    ("model", "of_manifest", "manifest"): TypeAdapter(ManifestEntry),
    ("model", "of_list", "list"): TypeAdapter(ListEntry),
}
"""Fields whose check ends at the first wrong part, and what a part is."""


def errors_of(
    error: ValidationError, body: object, root: type[BaseModel] = CheckpointSpec
) -> Iterator[SpecError]:
    """Each thing that is wrong, but at most `MAX_FINDINGS`: where, what, and what is allowed.

    Args:
        error: from validating a body.
        body: that was validated, parsed; `None` if it is no JSON at all.
        root: what it was validated as.
    """
    listed = error.errors(include_url=False, include_input=False)[:MAX_FINDINGS]
    told = 0
    for i, raw in enumerate(listed):
        yield _finding(raw, body, root)
        told += 1
        last = raw["loc"][:1] != (listed[i + 1]["loc"][:1] if i + 1 < len(listed) else None)
        if root is CheckpointSpec and last:
            for more in _further(raw["loc"], body, MAX_FINDINGS - told - (len(listed) - i - 1)):
                yield _finding(more, body, root)
                told += 1


def _further(place: Path, body: object, most: int) -> Iterator[Mapping[str, Any]]:
    """What is wrong behind the part of a list where its check ended.

    The parts are checked one by one, so that the findings of millions never stand side by side.
    """
    field = next((field for field in _ENDING_EARLY if place[: len(field)] == field), None)
    if field is None or len(place) == len(field):
        return
    parts = _value_at(body, tuple(key for key in field if not str(key).startswith("of_")))
    index = place[len(field)]
    for key, part in _behind(parts, index):
        if most <= 0:
            return
        try:
            _ENDING_EARLY[field].validate_json(to_json(part))
        except ValidationError as error:
            for raw in error.errors(include_url=False, include_input=False)[:most]:
                most -= 1
                yield {**raw, "loc": (*field, key, *raw["loc"])}
        except ValueError:  # what cannot be written as JSON again is left to the next try
            continue


def _behind(parts: object, index: str | int) -> Iterator[tuple[str | int, Any]]:
    """The parts of a list or an object behind one of them."""
    if isinstance(parts, list) and isinstance(index, int):
        yield from enumerate(parts[index + 1 :], index + 1)
    elif isinstance(parts, dict):
        rest = iter(parts.items())
        if any(key == index for key, _ in rest):
            yield from rest


def _finding(raw: Mapping[str, Any], body: object, root: type[BaseModel]) -> SpecError:
    """One finding of Pydantic's."""
    path = _place_in(body, raw)
    word = _value_at(body, path)
    kind, message = raw["type"], raw["msg"]
    if kind == "extra_forbidden":
        name = str(path[-1])
        fields = _fields_at(root, raw["loc"][:-1])
        return SpecError(f"there is no field {name[:100]!r} here", path, Choices(fields, name))
    if kind.startswith("union_tag") and raw["loc"][:1] == ("layers",):
        path = (*path, "type")
        if "invalid" not in kind:
            return SpecError("a layer has a type", path, tuple(LAYERS))
        word = raw["ctx"]["tag"]
        return SpecError(f"there is no layer {word[:100]!r}", path, Choices(LAYERS, word))
    if kind == "missing":
        message = f"the field {raw['loc'][-1]!r} is missing" if raw["loc"] else message
    elif kind == "model_kind" and isinstance(word, str):
        said = json.dumps(word[:100])
        message = (
            f'a model is an object, {{"preset": {said}}}, or one with a config, a manifest '
            "or a list"
        )
        return SpecError(message, path, MODEL_KINDS)
    elif kind == "model_kind":
        fields = tuple(word) if isinstance(word, dict) else ()
        other = next((name for name in fields if name not in MODEL_KINDS), "")
        return SpecError(message, path, Choices(MODEL_KINDS, other))
    elif kind == "tuple_type" and path[-1:] == ("shape",):
        message = "a shape is a list of dimensions, as in [256, 784]"
    elif kind == "literal_error" and isinstance(word, str):
        message = f"{word[:100]!r} is none of the values that {path[-1]!r} can have"
    return SpecError(message, path, allowed_by(raw, word))


def allowed_by(raw: Mapping[str, Any], word: object = None) -> Sequence[str]:
    """What one finding of Pydantic's says would be accepted, if it can be listed.

    Args:
        raw: the finding.
        word: what was given.
    """
    context = raw.get("ctx", {})
    if raw["type"] == "literal_error":
        members = re.findall(r"'([^']*)'", context["expected"])
        known = [*members]
        for code in members:  # of dtypes, all their names
            known += DTYPES[code].spellings if code in DTYPES else ()
        return Choices(members, word, known)
    members = context.get("allowed", ())
    return Choices(members, context.get("word", ""), context.get("known"))


_NOT_IN_BODY = {"int", "float", "str", "[key]"}
"""Parts of Pydantic's locations that name members of unions, or a key itself."""


def _place_in(body: object, raw: Mapping[str, Any]) -> Path:
    """The parts of a location that are in the body.

    A location names union members too (`init/he_normal/gain`, `layers/0/conv2d`), and the fields
    that a short form stands for (a bare scheme is the `init` of the `weight`): parts that do not
    exist in the body are left out, except a field that is missing.
    """
    path: list[str | int] = []
    at: Any = body
    tagged: object = None  # whose tag is behind: `parts` is a scheme, and a parameter of it
    *outer, last = raw["loc"] or (None,)
    for part in outer:
        if isinstance(at, dict) and at.get("scheme") == part and at is not tagged:
            tagged = at
        elif _has(at, part):
            at = at[part]
            path.append(part)
        elif body is None and not _is_tag(part):
            path.append(part)
    if last is None:
        return ()
    short = isinstance(at, dict) and "scheme" in at and raw["type"] != "missing"
    if _has(at, last) or (not _is_tag(last) and not short and (at is None or isinstance(at, dict))):
        path.append(last)
    return tuple(path)


def _is_tag(part: str | int) -> bool:
    """Whether a part of a location names a member of a union."""
    return part in SCHEMES or part in LAYERS or part in _NOT_IN_BODY or str(part)[:3] == "of_"


def _has(value: object, part: str | int | None) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)


def _value_at(body: object, path: Path) -> object:
    """What stands at a place of the body; `None` where nothing does."""
    at: Any = body
    for part in path:
        if not _has(at, part):
            return None
        at = at[part]
    return at


def _fields_at(root: type[BaseModel], location: Path) -> tuple[str, ...]:
    """The fields that the model at a location takes; none where several might be meant."""
    here = [("", root)]
    for part in location:
        if chosen := [pair for pair in here if part in _tags(*pair)]:
            here = chosen
        elif fields := [m.model_fields[part] for _, m in here if part in m.model_fields]:
            here = [pair for field in fields for pair in _models_of(field.annotation)]
    return tuple(here[0][1].model_fields) if len(here) == 1 else ()


def _tags(tag: str, model: type[BaseModel]) -> set[object]:
    """What a location may call a model as the member of a union."""
    named = (
        model.model_fields[name].default
        for name in ("type", "scheme")
        if name in model.model_fields
    )
    return {tag, *named} - {""}


def _models_of(annotation: Any, tag: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """The models in a type, each with its tag in the union that it is a member of."""
    if isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield tag, annotation
        return
    inner: Iterable[Any] = get_args(annotation)
    if get_origin(annotation) is Annotated:
        first, *marks = inner
        inner = (first,)
        tag = next((mark.tag for mark in marks if isinstance(mark, Tag)), tag)
    for part in inner:
        yield from _models_of(part, tag)
