"""What became of a draw, element by element, and what of that a chain of steps can say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Draw:
    """`X` in an expression: the number that was drawn for this element."""


X = Draw()


@dataclass(frozen=True, slots=True)
class Call:
    """An element-wise operation, by ATen's name, with numbers and expressions as arguments."""

    name: str
    arguments: tuple[Expression | Any, ...]
    options: tuple[tuple[str, Any], ...] = ()


Expression = Draw | Call

_PLAIN = {
    "neg", "abs", "exp", "expm1", "log", "sqrt", "square", "reciprocal", "sin", "cos",
}  # fmt: skip
"""Operations that are steps of a chain by the same name."""


def steps_of(expression: Expression) -> list[list[Any]] | None:
    """An expression as steps of a chain, if it can be said so."""
    if isinstance(expression, Draw):
        return []
    inner = _under_softplus(expression)
    if inner is not None:
        before = steps_of(inner)
        return None if before is None else [*before, ["inverse_softplus"]]
    operands = [isinstance(part, Draw | Call) for part in expression.arguments]
    options = dict(expression.options)
    if operands.count(True) != 1:
        return None
    place = operands.index(True)
    before = steps_of(expression.arguments[place])
    numbers = [part for i, part in enumerate(expression.arguments) if i != place]
    if before is None:
        return None
    step = _step(expression.name, place, numbers, options)
    return None if step is None else before + step


def _under_softplus(expression: Call) -> Expression | None:
    """The y of y + log(−expm1(−y))."""
    if expression.name != "add" or len(expression.arguments) != 2 or expression.options:
        return None
    for y, other in (expression.arguments, expression.arguments[::-1]):
        wanted = Call("log", (Call("neg", (Call("expm1", (Call("neg", (y,)),)),)),))
        if isinstance(y, Draw | Call) and other == wanted:
            return y
    return None


def _step(  # noqa: C901, PLR0912  (a line for each operation)
    name: str, place: int, numbers: list[Any], options: dict[str, Any]
) -> list[list[Any]] | None:
    """The steps of one operation with numbers; `place` is that of the operand that is drawn."""
    alpha = options.pop("alpha", 1)
    if name in ("clamp", "clip", "clamp_min", "clamp_max") and place == 0:
        low, high = options.pop("min", None), options.pop("max", None)
        if name in ("clamp", "clip"):
            low, high = [*numbers, None, None][:2] if numbers else (low, high)
        elif name == "clamp_min":
            low = numbers[0] if numbers else low
        else:
            high = numbers[0] if numbers else high
        return None if options else [["clamp", low, high]]
    is_plain = not options and all(isinstance(n, int | float) for n in (*numbers, alpha))
    if not is_plain:
        return None
    if name in _PLAIN and not numbers:
        return [[name]]
    if name == "pow" and place == 0 and numbers == [2]:
        return [["square"]]
    if len(numbers) != 1:
        return None
    c = float(numbers[0])
    match name, place:
        case "mul", _:
            return [["mul", c]]
        case "div", 0 if c:
            return [["mul", 1.0 / c]]
        case "div", 1:
            return [["reciprocal"], ["mul", c]]
        case "add", 0:
            return [["add", c * alpha]]
        case "add", 1:
            return [["mul", float(alpha)], ["add", c]]
        case "sub", 0:
            return [["add", -c * alpha]]
        case ("sub", 1) | ("rsub", 0):
            return [["mul", -float(alpha)], ["add", c]]
    return None


_FUNCTIONS: Mapping[str, Callable[..., Doubles]] = {
    "neg": np.negative, "abs": np.abs, "exp": np.exp, "expm1": np.expm1, "log": np.log,
    "sqrt": np.sqrt, "square": np.square, "reciprocal": np.reciprocal, "sin": np.sin,
    "cos": np.cos, "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "clamp": np.clip, "clamp_min": np.maximum, "clamp_max": np.minimum,
}  # fmt: skip


def evaluated(expression: Expression, x: Doubles) -> Doubles | None:
    """The values of an expression where X has these, if its functions are known here."""

    def of(part: Any) -> Any:
        if isinstance(part, Call):
            return _FUNCTIONS[part.name](*map(of, part.arguments))
        return x if isinstance(part, Draw) else part

    try:
        with np.errstate(all="ignore"):
            values: Doubles = of(expression)
    except KeyError:
        return None
    return values
