"""A spec in one line: scheme, shape and a few words of text.

The one-line GET and the command line both spell a single tensor this way. Its options are the
fields of `OneTensor` and the parameters of the schemes, read from the scheme models themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from seedbed.errors import Choices, ParameterError, Path, ShapeError, SpecError
from seedbed.files.findings import allowed_by
from seedbed.files.spec import CheckpointSpec, Seed
from seedbed.init import SCHEMES, AnyDtype, TensorName, meaning_of

SCALAR = "scalar"
_DIMENSION = re.compile(r"0|[1-9][0-9]{0,18}")
_TORCH_SIZE = re.compile(r"torch\.size\((.*)\)", re.IGNORECASE | re.DOTALL)
_BRACKETS = re.compile(r"\((.*)\)|\[(.*)\]", re.DOTALL)
_SEPARATORS = re.compile(r"[x×*]", re.IGNORECASE)
_SHAPE_CHARS = 2000


class OneTensor(BaseModel):
    """The options of a single tensor beside its scheme's parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seed: Seed = Field(0, description="0 … 2**64 − 1.")
    dtype: AnyDtype = Field("F32", description="Dtype of the tensor.")
    name: TensorName = Field(
        "weight", description="Name of the tensor, which takes part in the random stream."
    )


def scheme_parameters() -> dict[str, dict[str, FieldInfo]]:
    """Parameter → {scheme that takes it: its field}, over all schemes."""
    parameters: dict[str, dict[str, FieldInfo]] = {}
    for name, scheme in SCHEMES.items():
        for parameter in scheme.parameters():
            parameters.setdefault(parameter, {})[name] = scheme.model_fields[parameter]
    return parameters


def parse_shape(text: str) -> tuple[int, ...]:
    """A shape as people write it: `256x784`, `256,784`, `256×784`, `(256, 784)`, `[256, 784]`.

    `scalar`, `()` and `[]` have no dimensions.

    Raises:
        ShapeError: it is none of these.
    """
    inner = text[: _SHAPE_CHARS + 1].strip()
    if inner.lower() == SCALAR:
        return ()
    if size := _TORCH_SIZE.fullmatch(inner):
        inner = size[1].strip()
    if bracketed := _BRACKETS.fullmatch(inner):
        inner = (bracketed[1] if bracketed[2] is None else bracketed[2]).strip()
        if not inner:
            return ()
        inner = inner.removesuffix(",")  # of a tuple of one
    if "," in inner:
        parts = inner.split(",")
    else:
        parts = _SEPARATORS.split(inner) if _SEPARATORS.search(inner) else inner.split()
    parts = [part.strip() for part in parts]
    if len(text) > _SHAPE_CHARS or not parts or not all(map(_DIMENSION.fullmatch, parts)):
        raise ShapeError(
            f"{text[:100]!r} is not a shape",
            ("shape",),
            ("256x784", "64,3,7,7", "(256, 784)", "[256, 784]", "10", SCALAR),
        )
    return tuple(map(int, parts))


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape in its plain spelling: `256x784`, `scalar`."""
    return "x".join(map(str, shape)) or SCALAR


def spec_of_one(scheme: str, shape: str, options: Mapping[str, str]) -> CheckpointSpec:
    """The checkpoint of a single tensor.

    Args:
        scheme: name or alias.
        shape: as `parse_shape` takes it.
        options: text by name: those of `OneTensor` and the scheme's parameters; `null` is none.

    Raises:
        SpecError: with the option as its path.
    """
    dimensions = parse_shape(shape)
    try:
        name, implied = meaning_of(scheme)
    except PydanticCustomError as error:
        facts = error.context or {}
        near = Choices(facts["allowed"], facts["word"], facts["known"])
        raise SpecError(error.message(), ("scheme",), near) from error
    takes = SCHEMES[name].parameters()
    own = {key: value for key, value in options.items() if key in OneTensor.model_fields}
    parameters = {key: value for key, value in options.items() if key not in own}
    for key in parameters:
        if key not in takes:
            raise ParameterError(
                f"{name} takes no {key[:100]!r}",
                (key,),
                Choices((*OneTensor.model_fields, *takes), key[:100]),
            )
    try:
        fields = OneTensor.model_validate_strings(own)
        meant = {key: str(value) for key, value in implied.items()}
        parameters = SCHEMES[name].with_implied(meant, parameters)
        nulls = {key: None for key, value in parameters.items() if value == "null"}
        texts = {key: value for key, value in parameters.items() if key not in nulls}
        init = SCHEMES[name].model_validate_strings(texts)
        if nulls:  # text has no null of its own
            init = SCHEMES[name].model_validate({**init.model_dump(exclude_unset=True), **nulls})
        return CheckpointSpec.model_validate(
            {
                "seed": fields.seed,
                "tensors": [
                    {"name": fields.name, "shape": dimensions, "init": init, "dtype": fields.dtype}
                ],
            }
        )
    except ValidationError as error:
        raise first_problem(error) from error


def seed_of(options: Mapping[str, str]) -> int:
    """The seed among the options of `spec_of_one`.

    Raises:
        SpecError: it is none.
    """
    try:
        own = {key: value for key, value in options.items() if key == "seed"}
        return OneTensor.model_validate_strings(own).seed
    except ValidationError as error:
        raise first_problem(error) from error


def first_problem(error: ValidationError) -> SpecError:
    """The first of Pydantic's findings, with the option it is about."""
    first = error.errors(include_url=False)[0]
    option = option_of(first["loc"])
    word = "null" if first["input"] is None else first["input"]
    message = first["msg"]
    if first["type"] == "literal_error":
        message = f"{str(word)[:100]!r} is none of the values that {option[0]} can have"
    return ParameterError(message, option, allowed_by(first, word))


def option_of(path: Path) -> Path:
    """The option that a place in the spec of one tensor stands for.

    `("tensors", 0, "init", "std")` is `("std",)`, and the init itself is `("scheme",)`.
    """
    parts = [part for part in path if isinstance(part, str) and part != "tensors"]
    if path[:1] == ("tensors",) and parts[:1] == ["init"]:  # else it is a scheme's own parameter
        parts = parts[1:] or ["scheme"]
    return tuple(parts[:1])
