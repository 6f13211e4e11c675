"""One draw put through elementary functions, one after the other: Gumbel, log-normal, dt biases.

In float64 by `stream.elementary`, which is the same on every machine, with one rounding at the end.
Interval arithmetic says before anything is drawn whether a step is defined for all that can reach
it, and what the last one can reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from seedbed.errors import ParameterError
from seedbed.init.fill import Fill
from seedbed.init.fills import Derived, Doubles, Drawn
from seedbed.init.schemes.base import Fans, Scheme, Shape, noted
from seedbed.init.schemes.parts import errors_in, of_text
from seedbed.stream import ParameterProblem, elementary

if TYPE_CHECKING:
    from seedbed.init.schemes import Init

_STEPS = 16

Step = tuple[str | float | None, ...]
"""The name of a function, and its numbers."""


class Function(NamedTuple):
    """An elementary function of draws.

    Attributes:
        of: of float64, to float64.
        low, high: where it is defined.
        is_monotone: whether it never turns; if not, 0 is where it may.
        loose: how far a value may be off, as parts of it and in itself; 0 if IEEE 754 rounds it.
    """

    of: Callable[[Doubles], Doubles]
    low: float = -math.inf
    high: float = math.inf
    is_monotone: bool = True
    loose: tuple[float, float] = (0.0, 0.0)


_LOOSE = 2.0**-48
"""Some units in the last place, by which values and bounds of what is not exact may differ."""

_RELATIVE, _ABSOLUTE = (_LOOSE, 0.0), (_LOOSE, _LOOSE)

FUNCTIONS: Mapping[str, Function] = {
    "neg": Function(np.negative),
    "abs": Function(np.abs, is_monotone=False),
    "square": Function(np.square, is_monotone=False),
    "sqrt": Function(np.sqrt, low=0.0),
    "reciprocal": Function(lambda x: 1.0 / x, is_monotone=False),
    "exp": Function(elementary.exp, -745.0, 709.0, loose=_RELATIVE),
    "expm1": Function(elementary.expm1, -700.0, 700.0, loose=_RELATIVE),
    "log": Function(elementary.log, 2.0**-1022, loose=_RELATIVE),
    "inverse_softplus": Function(elementary.inverse_softplus, 2.0**-100, 700.0, loose=_ABSOLUTE),
    "sin": Function(elementary.sin, -elementary.ANGLE_MAX, elementary.ANGLE_MAX),
    "cos": Function(elementary.cos, -elementary.ANGLE_MAX, elementary.ANGLE_MAX),
}
"""Functions without numbers of their own."""

_NUMBERS = {"mul": 1, "add": 1, "clamp": 2}


@dataclass(frozen=True)
class Steps:
    """Functions one after the other."""

    steps: tuple[Step, ...]

    def of(self, draws: Doubles) -> Doubles:
        """The values of draws."""
        for name, *numbers in self.steps:
            draws = _apply(str(name), numbers, draws)
        return draws

    def reach(self, low: float, high: float) -> tuple[float, float]:
        """Values that no draw between these two comes to, by interval arithmetic."""
        for place, (name, *numbers) in enumerate(self.steps):
            low, high = _between(str(name), numbers, low, high, place)
        return low, high


def _apply(name: str, numbers: list[Any], x: Doubles) -> Doubles:
    if name == "mul":
        return x * float(numbers[0])
    if name == "add":
        return x + float(numbers[0])
    if name == "clamp":
        low, high = numbers
        x = x if low is None else np.where(x < low, low, x)
        return x if high is None else np.where(x > high, high, x)
    return FUNCTIONS[name].of(x)


def _between(
    name: str, numbers: list[Any], low: float, high: float, place: int
) -> tuple[float, float]:
    """What a step makes of an interval."""
    function = FUNCTIONS.get(name, Function(lambda x: x))
    is_pole = name == "reciprocal" and low <= 0.0 <= high
    if not function.low <= low <= high <= function.high or is_pole:
        raise ParameterProblem(
            "steps",
            f"step {place}, {name}, is not defined for all of {low:.6g} … {high:.6g}, "
            "which can reach it; clamp it before",
        )
    if name in ("sin", "cos"):
        return -1.0 - _LOOSE, 1.0 + _LOOSE
    ends = [low, high]
    if not function.is_monotone and low < 0.0 < high:
        ends.append(0.0)
    with np.errstate(over="ignore"):
        values = [float(value) for value in _apply(name, numbers, np.array(ends))]
    low, high = min(values), max(values)
    relative, absolute = function.loose
    low, high = low - relative * abs(low) - absolute, high + relative * abs(high) + absolute
    if not math.isfinite(low) or not math.isfinite(high):
        raise ParameterProblem("steps", f"step {place}, {name}, goes past float64's range")
    return low, high


def _step(value: Any) -> Step:
    """A step in its one form: a list of a name and numbers."""
    name, *numbers = value if isinstance(value, list | tuple) and value else [None]
    if not isinstance(name, str) or name not in (*FUNCTIONS, *_NUMBERS):
        raise PydanticCustomError(
            "step_unknown",
            "a step is a list with a function's name and its numbers",
            {"allowed": [*FUNCTIONS, *_NUMBERS], "word": str(name)[:100]},
        )
    wanted = _NUMBERS.get(name, 0)
    if len(numbers) != wanted or not all(
        _is_number(n) or (n is None and wanted > 1) for n in numbers
    ):
        raise PydanticCustomError(
            "step_numbers",
            "{name} takes {wanted} beside its name",
            {"name": name, "wanted": ("nothing", "a number", "two numbers")[wanted]},
        )
    floats = [None if n is None else float(n) or 0.0 for n in numbers]
    if wanted > 1:
        low, high = floats
        if (low is None and high is None) or not (low is None or high is None or low < high):
            raise PydanticCustomError(
                "clamp",
                "clamp takes a lower and a higher bound, of which one may be null",
            )
    return (name, *floats)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**1023


def _steps(value: object, info: ValidationInfo) -> object:
    value = of_text(value, info)
    if not isinstance(value, list | tuple) or not 0 < len(value) <= _STEPS:
        raise PydanticCustomError("steps", "must be a list of 1 to {most} steps", {"most": _STEPS})
    return tuple(map(_step, value))


def _draw(value: object) -> object:
    """An init that is itself no composition; checked before what is in it, so that none is deep."""
    name = value.get("scheme") if isinstance(value, dict) else getattr(value, "scheme", value)
    if name in ("parts", "chain"):
        raise PydanticCustomError("chain_nested", "a chain is of one draw, such as uniform")
    return value


class Chain(Scheme):
    """A draw put through functions: Gumbel is a uniform's log, neg, log, neg.

    Each element has its own draw, and is rounded once, after the last step.
    """

    scheme: Literal["chain"] = "chain"
    formula = "f_n(…f_1(x)…), x drawn as `of` says"
    latex = r"f_n(\cdots f_1(x) \cdots)"
    notes = noted(
        jax="gumbel is uniform (0, 1) through log, neg, log, neg.",
        torch="log_normal_ is a normal through exp, exponential_ a uniform (0, 1) through log, "
        "mul −1/λ.",
    )
    example = {"of": "uniform", "steps": [["add", 2.0], ["log"]]}

    of: Annotated[Init, BeforeValidator(_draw), BeforeValidator(of_text)] = Field(
        description="Scheme of the draw: any that draws each element on its own."
    )
    steps: Annotated[
        tuple[Annotated[tuple[str | float | None, ...], Field(strict=False)], ...],
        Field(strict=False),
        BeforeValidator(
            _steps,
            json_schema_input_type=Annotated[
                list[Annotated[list[str | float | None], Field(min_length=1, max_length=3)]],
                Field(min_length=1, max_length=_STEPS),
            ],
        ),
    ] = Field(
        description="Functions in their order, each a list of its name and its numbers: "
        f'{", ".join(FUNCTIONS)}; ["mul", 2.0], ["add", 1.0], ["clamp", 0.0, null].'
    )

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        with errors_in("init", "of"):
            drawn = self.of.fill(shape, fans)
        if not isinstance(drawn, Drawn):
            raise ParameterError(
                f"{self.of.scheme} draws no numbers for a chain; uniform, normal, "
                "truncated_normal, log_uniform and what has fans do",
                ("init", "of"),
            )
        fill = Derived(drawn.distribution, Steps(self.steps))
        _ = fill.reach  # refuses steps that are not defined
        return fill

    def fans(self, shape: Shape, known: Fans | None = None) -> Fans | None:
        """Those of the draw."""
        return self.of.fans(shape, known)


SCHEMES: tuple[type[Scheme], ...] = (Chain,)
