"""JSON as it was sent → a model: the one way in, for bodies, links, stored specs and files.

First what the text says is surveyed, so that nothing ambiguous or enormous is parsed; then Pydantic
reads it; and what it finds wrong becomes errors with places in the sender's own JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from seedbed.errors import InvalidError, SpecError
from seedbed.files.findings import errors_of
from seedbed.files.spec import CheckpointSpec
from seedbed.files.survey import survey
from seedbed.init import Limits

Read = TypeVar("Read", bound=BaseModel)

_LISTABLE = 16_000
"""Pydantic lists all of its findings or none, at up to 2 KB each; of more the number is said.

Lists and manifests end at the first wrong part, so that few texts have as many.
"""

_PLACED_BYTES = 1 << 20
"""Texts up to this size are parsed again when they are wrong, to say exactly where."""


@dataclass(frozen=True, slots=True)
class Form(Generic[Read]):
    """What a text should be.

    Attributes:
        model: that reads it.
        what: it is called.
    """

    model: type[Read]
    what: str


SPEC = Form(CheckpointSpec, "spec")


@dataclass(frozen=True, slots=True)
class TextLimits:
    """How much there may be in a text.

    Attributes:
        limits: of tensors and rules.
        max_values: numbers, strings, objects and arrays.
        max_members: of one object.
    """

    limits: Limits
    max_values: int = 2**21
    max_members: int = 2**16


def read(form: Form[Read], text: bytes, bounds: TextLimits) -> Read:
    """What a text says.

    Raises:
        SpecError: a key is given twice.
        LimitError: there is too much in it to be parsed.
        InvalidError: it is no JSON, or not of this form.
    """
    survey(text, bounds.limits, bounds.max_values, bounds.max_members)
    try:
        return form.model.model_validate_json(text)
    except ValidationError as error:
        raise _invalid(form, error, text) from error


def _invalid(form: Form[Any], error: ValidationError, text: bytes) -> InvalidError:
    count = error.error_count()
    if count > _LISTABLE:
        return InvalidError((), count, form.what)
    if count == 1:
        (only,) = error.errors(include_url=False, include_input=False)
        if only["type"] == "json_invalid":
            return InvalidError([SpecError(only["msg"])], 1, form.what, is_json=False)
    body = from_json(text) if len(text) <= _PLACED_BYTES else None
    return InvalidError(list(errors_of(error, body, form.model)), count, form.what)
