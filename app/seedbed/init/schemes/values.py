"""Numbers that tensors of every dtype can hold: listed, counted, or random integers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from seedbed.errors import ParameterError, ShapeError
from seedbed.init.fill import Fill
from seedbed.init.fills import Counted, Listed
from seedbed.init.integers import Integers
from seedbed.init.schemes.base import Fans, Scheme, Shape, named, require_rank
from seedbed.init.schemes.constants import Number, as_number

_DEPTH = 64
"""No shape has more axes."""


def _flat(values: object, depth: int = 0) -> Iterator[object]:
    if not isinstance(values, list | tuple):
        yield values
    elif depth > _DEPTH:
        raise PydanticCustomError("values", "lists of values are not so deep")
    else:
        for part in values:
            yield from _flat(part, depth + 1)


def _values(value: object, info: ValidationInfo) -> object:
    """Numbers in one list, also from nested ones, or from text: [1,2] or 1,2."""
    if isinstance(value, str) and info.mode not in ("json", "python"):
        with suppress(ValueError, RecursionError):
            value = json.loads(value if value.lstrip()[:1] == "[" else f"[{value}]")
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("values", "must be a list of numbers")
    return tuple(as_number(number, info) for number in _flat(value))


Values = Annotated[
    tuple[int | float, ...],
    Field(strict=False),
    BeforeValidator(_values, json_schema_input_type=list[Number] | list[list[Number]]),
]


class LiteralScheme(Scheme):
    """The numbers themselves: a small table that nothing else says.

    In row-major order, flat or nested, exactly as many as the tensor has elements.
    """

    scheme: Literal["literal"] = "literal"
    formula = "values[i], i the row-major index"
    latex = r"v_i"
    model_config = ConfigDict(allow_inf_nan=True)
    example = {"values": [1, -0.5, 0.0, 2, *[0.25] * 20]}

    values: Values = Field(
        description="The numbers; true and false mean 1 and 0, and floats hold the texts "
        "Infinity, -Infinity and NaN too."
    )

    @field_validator("*")
    @classmethod
    def _one_zero(cls, value: Any) -> Any:
        """Not here: a listed −0.0 has its sign."""
        return value

    @property
    def listed(self) -> int:
        """All of them."""
        return len(self.values)

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        if len(self.values) != math.prod(shape):
            raise ParameterError(
                f"{len(self.values):,} values do not fill the {math.prod(shape):,} elements of "
                f"shape {list(shape)}",
                ("init", "values"),
            )
        return Listed(self.values)


class Arange(Scheme):
    """Evenly spaced numbers along an axis, as `torch.arange`: position ids, masks' ramps.

    In integer dtypes start and step must be whole, and every element is exact.
    """

    scheme: Literal["arange"] = "arange"
    formula = "start + step·⌊n / repeat⌋, n the index along axis"
    latex = r"\mathrm{start} + \mathrm{step}\cdot \lfloor n / \mathrm{repeat} \rfloor"

    start: Number = Field(0, description="The first number.")
    step: Number = Field(1, description="From one to the next.")
    axis: int = Field(-1, ge=-_DEPTH, lt=_DEPTH, description="Along which it counts; −1 the last.")

    repeat: int = Field(1, ge=1, le=2**53, description="Elements in a row that have each number.")

    @field_validator("start", "step")
    @classmethod
    def _finite(cls, value: float) -> int | float:
        if not math.isfinite(value):
            raise PydanticCustomError("number", "must be a finite number")
        return value or 0  # without a sign

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 1)
        if not -len(shape) <= self.axis < len(shape):
            raise ShapeError(f"shape {list(shape)} has no axis {self.axis}", ("init", "axis"))
        axis = self.axis % len(shape)
        stride = max(math.prod(shape[axis + 1 :]), 1)
        return Counted(self.start, self.step, shape[axis], stride, self.repeat)


class RandomIntegers(Scheme):
    """Integers of a range, each as likely: payloads of which nothing is known, tokens, coin flips.

    `high` is no longer one of them, as of NumPy's and PyTorch's `randint`: all of I64 is −2⁶³ to
    2⁶³, all of U64 0 to 2⁶⁴.
    """

    scheme: Literal["random_integers"] = "random_integers"
    aliases = named("randint")
    formula = "low + an integer below high − low, each as likely"
    latex = r"\mathcal{U}\{\mathrm{low}, \dots, \mathrm{high} - 1\}"
    example = {"low": 0, "high": 10}

    low: int = Field(ge=-(2**63), lt=2**64, description="The least integer.")
    high: int = Field(
        gt=-(2**63), le=2**64, description="The first integer past the greatest, so not drawn."
    )

    @field_validator("high")
    @classmethod
    def _some(cls, high: int, info: ValidationInfo) -> int:
        low = info.data.get("low", high - 1)
        if low >= high:
            raise PydanticCustomError(
                "range_empty",
                "there is no integer from {low} to below {high}: high is one past the greatest",
                {"low": low, "high": high},
            )
        if low < 0 and high > 2**63:
            raise PydanticCustomError(
                "range_wide", "no dtype holds integers below 0 and past 2**63 - 1"
            )
        return high

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return Integers(self.low, self.high)


SCHEMES = (LiteralScheme, Arange, RandomIntegers)
