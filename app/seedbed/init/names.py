"""Names, dimensions and dtypes as requests have them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, get_args

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from seedbed.errors import ShapeError
from seedbed.stream import DTYPES, DtypeCode, FloatCode, UnclearDtype, dtype_code

DIMENSION_MAX = 2**63 - 1

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def sound_text(text: str) -> str:
    """Text that every JSON writer and file format can carry.

    Raises:
        PydanticCustomError: it has control characters or halves of surrogate pairs.
    """
    if control := _CONTROL.search(text):
        raise PydanticCustomError(
            "control_character",
            "control character U+{code} at position {position} is not allowed",
            {"code": f"{ord(control[0]):04X}", "position": control.start()},
        )
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise PydanticCustomError(
                "lone_surrogate",
                "half of a surrogate pair at position {position} is not a character",
                {"position": error.start},
            ) from error
    return text


def _tensor_name(name: str) -> str:
    if name == "__metadata__":
        raise PydanticCustomError(
            "reserved_name", "__metadata__ is the format's own key and cannot name a tensor"
        )
    return sound_text(name)


TensorName = Annotated[str, Field(min_length=1), AfterValidator(_tensor_name)]
Text = Annotated[str, AfterValidator(sound_text)]


def _code(value: object) -> object:
    """A dtype's code, whichever of its names it came by."""
    if not isinstance(value, str) or value in DTYPES:
        return value
    try:
        code = dtype_code(value)
    except UnclearDtype as error:
        raise PydanticCustomError(
            "dtype_unclear",
            "dtype {word} could mean several: {advice}",
            {"word": repr(value), "advice": str(error), "allowed": ALL_CODES},
        ) from error
    return value if code is None else code


def _float_code(value: object) -> object:
    """Likewise, where only a floating-point dtype will do."""
    code = _code(value)
    if isinstance(code, str) and code in DTYPES and code not in FLOAT_CODES:
        raise PydanticCustomError(
            "dtype_integer",
            "{code} can only be the dtype of a single tensor",
            {"code": code, "allowed": FLOAT_CODES},
        )
    return code


ALL_CODES = [*DTYPES]
FLOAT_CODES = [*get_args(FloatCode)]

if TYPE_CHECKING:
    AnyDtype = DtypeCode
    FloatDtype = FloatCode
else:
    AnyDtype = Annotated[DtypeCode, BeforeValidator(_code)]
    """The dtype of a tensor in a request, by its code or as a framework spells it."""
    FloatDtype = Annotated[FloatCode, BeforeValidator(_float_code)]
    """A dtype that can hold draws."""
Dimension = Annotated[int, Field(ge=0, le=DIMENSION_MAX)]


@lru_cache(maxsize=4096)
def count_elements(shape: tuple[int, ...]) -> int:
    """Product of the dimensions.

    Raises:
        ShapeError: it overflows 63 bits, also where a later 0 would make it 0: readers multiply
            from the left and refuse such a file.
    """
    count, bound = 1, 1
    for dimension in shape:
        count *= dimension
        bound *= max(dimension, 1)
    if bound > DIMENSION_MAX:
        raise ShapeError(f"shape {list(shape)} has more elements than 63 bits count", ("shape",))
    return count
