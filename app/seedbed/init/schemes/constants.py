"""The same value everywhere."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from seedbed.init import fills
from seedbed.init.fill import Fill
from seedbed.init.schemes.base import Fans, Scheme, Shape, named, noted


class Zeros(Scheme):
    """Every element 0."""

    scheme: Literal["zeros"] = "zeros"
    aliases = named(
        "zeros_", "zero", "Zeros", "zeros_init", "norm_bias", "rezero", "skipinit", "lora_B"
    )
    formula = "0"
    latex = r"0"

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return fills.Constant(0)


class Ones(Scheme):
    """Every element 1."""

    scheme: Literal["ones"] = "ones"
    aliases = named("ones_", "one", "Ones", "ones_init", "norm_scale", "mamba_D")
    formula = "1"
    latex = r"1"

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return fills.Constant(1)


_NUMBER_CHARS = 400
"""More than any finite float64 takes in full."""


NOT_FINITE = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
"""JSON has no such numbers, so that they are spelled as text, as transformers 5 does."""


def as_number(value: object, info: ValidationInfo) -> object:
    """True and false as 1 and 0, and one spelling of each number.

    Whole numbers are integers as far as a dtype of integers reaches, and float64 beyond.
    From text (a query string, a command line) what JSON would read there.
    """
    mode: str = info.mode
    if isinstance(value, str) and value in NOT_FINITE:
        return NOT_FINITE[value]
    if mode == "string" and isinstance(value, str) and len(value) <= _NUMBER_CHARS:
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    try:
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise PydanticCustomError(
                "number", "must be a number, true or false, or the text Infinity, -Infinity or NaN"
            )
    except OverflowError as error:
        raise PydanticCustomError("number", "is past the range of float64") from error
    if not abs(value) < 2**64:
        return float(value)
    if value == 0 and math.copysign(1, value) < 0:
        return value
    return int(value) if value == int(value) else value


Number = Annotated[
    int | float,
    BeforeValidator(
        as_number,
        json_schema_input_type=bool | int | float | Literal["Infinity", "-Infinity", "NaN"],
    ),
]
"""A number as an element may have it."""


class Constant(Scheme):
    """Every element the same value, which integers and BOOL must hold exactly."""

    scheme: Literal["constant"] = "constant"
    aliases = named(
        "constant_",
        "Const",
        "full",
        Constant={"value": 0},
        layerscale={"value": 1e-6},
        prelu={"value": 0.25},
    )
    formula = "value"
    latex = r"\mathrm{value}"
    notes = noted(
        keras="Constant() without a value is 0.",
        layerscale="CaiT's ε: 0.1 to depth 18, 1e-5 to depth 24, 1e-6 beyond (attributed to "
        "Touvron et al. 2021); torchvision's ConvNeXt has 1e-6.",
        prelu="PyTorch and MLX start PReLU at 0.25, Flax at 0.01, Keras at 0.",
    )

    model_config = ConfigDict(allow_inf_nan=True)
    example = {"value": 0.5}

    value: Number = Field(
        description="The value; true and false mean 1 and 0, and floats hold the texts Infinity, "
        "-Infinity and NaN too."
    )

    @field_validator("*")
    @classmethod
    def _one_zero(cls, value: Any) -> Any:
        """Not here: a constant −0.0 has its sign."""
        return value

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return fills.Constant(self.value)


SCHEMES = (Zeros, Ones, Constant)
