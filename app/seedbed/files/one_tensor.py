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

from seedbed.errors import ParameterError, Path, ShapeError, SpecError
from seedbed.files.findings import allowed_by
from seedbed.files.spec import CheckpointSpec, Seed
from seedbed.init import SCHEMES, TensorName, meaning_of
from seedbed.stream import DtypeCode

SCALAR = "scalar"
_SHAPE = re.compile(r"(0|[1-9][0-9]{0,18})(x(0|[1-9][0-9]{0,18}))*")


class OneTensor(BaseModel):
    """The options of a single tensor beside its scheme's parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seed: Seed = Field(0, description="0 … 2**64 − 1.")
    dtype: DtypeCode = Field("F32", description="Dtype of the tensor.")
    name: TensorName = Field(
        "weight", description="Name of the tensor, which takes part in the random stream."
    )


def scheme_parameters() -> dict[str, dict[str, FieldInfo]]:
    """Parameter → {scheme that takes it: its field}, over all schemes."""
    parameters: dict[str, dict[str, FieldInfo]] = {}
    for name, scheme in SCHEMES.items():
        for parameter, field in scheme.model_fields.items():
            if parameter != "scheme":
                parameters.setdefault(parameter, {})[name] = field
    return parameters


def parse_shape(text: str) -> tuple[int, ...]:
    """`256x784` as (256, 784); `scalar` as ().

    Raises:
        ShapeError: it is neither.
    """
    if text == SCALAR:
        return ()
    if not _SHAPE.fullmatch(text):
        raise ShapeError(
            f"{text[:100]!r} is not a shape", ("shape",), ("256x784", "64x3x7x7", "10", SCALAR)
        )
    return tuple(map(int, text.split("x")))


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
        raise SpecError(error.message(), ("scheme",), sorted(SCHEMES)) from error
    takes = [field for field in SCHEMES[name].model_fields if field != "scheme"]
    own = {key: value for key, value in options.items() if key in OneTensor.model_fields}
    parameters = {key: value for key, value in options.items() if key not in own}
    for key in parameters:
        if key not in takes:
            raise ParameterError(
                f"{name} takes no {key[:100]!r}", (key,), (*OneTensor.model_fields, *takes)
            )
    try:
        one = OneTensor.model_validate_strings(own)
        meant = {key: str(value) for key, value in implied.items()}
        parameters = SCHEMES[name].with_implied(meant, parameters)
        nulls = {key: None for key, value in parameters.items() if value == "null"}
        texts = {key: value for key, value in parameters.items() if key not in nulls}
        init = SCHEMES[name].model_validate_strings(texts)
        if nulls:  # text has no null of its own
            init = SCHEMES[name].model_validate({**init.model_dump(exclude_unset=True), **nulls})
        return CheckpointSpec.model_validate(
            {
                "seed": one.seed,
                "tensors": [
                    {"name": one.name, "shape": dimensions, "init": init, "dtype": one.dtype}
                ],
            }
        )
    except ValidationError as error:
        raise first_problem(error) from error


def first_problem(error: ValidationError) -> SpecError:
    """The first of Pydantic's findings, with the option it is about."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ParameterError(first["msg"], option_of(first["loc"]), allowed_by(first))


def option_of(path: Path) -> Path:
    """The option that a place in the spec of one tensor stands for.

    `("tensors", 0, "init", "std")` is `("std",)`, and the init itself is `("scheme",)`.
    """
    parts = [part for part in path if isinstance(part, str) and part != "tensors"]
    if parts[:1] == ["init"]:
        parts = parts[1:] or ["scheme"]
    return tuple(parts[:1])
