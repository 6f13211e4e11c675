"""How the elements of a tensor are distributed: the small algebra that recording computes with.

A law says what a tensor holds before a single number is drawn. Draws keep the distribution that
was asked for (`base`), what was done to it since (`expression`) and, where the two come to one of
the distributions here, that one (`closed`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from seedbed.recording import (
    Distribution,
    Expression,
    Normal,
    Uniform,
    X,
    affine,
    clamped,
    erfinv,
    exp,
    log,
)

numbers = itertools.count(1)
"""Numbers of draws and of values, unique in the process."""


@dataclass(frozen=True, slots=True)
class Constant:
    """One value everywhere."""

    value: float | complex


@dataclass(frozen=True, slots=True)
class Drawn:
    """Elements drawn independently, each put through the same expression.

    Attributes:
        draw: which draw: two laws of one draw are of the same random numbers.
        base: distribution of X.
        expression: what became of X.
        closed: the distribution of the expression, if it is one of those above.
    """

    draw: int
    base: Distribution
    expression: Expression
    closed: Distribution | None


@dataclass(frozen=True, slots=True)
class Whole:
    """A matrix that is drawn as a whole: `orthogonal` (gain), `sparse` (sparsity, std).

    `qr` is Q of a Gaussian matrix before its columns' signs are made uniform.
    """

    kind: str
    parameters: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Known values, the same in every build, computed only when they are asked for."""


@dataclass(frozen=True, slots=True)
class Chance:
    """Random, and no law here says how.

    Attributes:
        reason: what was done first that no law says.
        last: the operation that was done last.
    """

    reason: str
    last: str = ""


@dataclass(frozen=True, slots=True)
class Unfilled:
    """Memory that nothing has filled."""

    reason: str = "never filled"


@dataclass(frozen=True, slots=True)
class Pieces:
    """Several values side by side: geometries in the tensor's row-major numbering, with values."""

    pieces: tuple[tuple[Any, Any], ...]


Law = Constant | Drawn | Whole | Table | Chance | Unfilled | Pieces


def drawn(base: Distribution) -> Constant | Drawn:
    """The law of a fresh draw; a distribution without spread is a constant."""
    match base:
        case Normal(mean, std) if std == 0:
            return Constant(mean)
        case Uniform(low, high) if low == high:
            return Constant(low)
    return Drawn(next(numbers), base, X, base)


_UNARY: Mapping[str, Callable[[Distribution], Distribution | float | None]] = {
    "neg": lambda d: affine(d, -1.0, 0.0),
    "erfinv": erfinv,
    "special_erfinv": erfinv,
    "exp": exp,
    "log": log,
    "positive": lambda d: d,
}


def after(
    d: Distribution, name: str, side: str, arguments: Mapping[str, Any]
) -> Distribution | float | None:
    """The closed form of one operation on a draw with constants, if there is one.

    Args:
        d: distribution of the operand that is drawn.
        name: of the operation, as ATen has it.
        side: name of that operand: `self` or `other`.
        arguments: numbers by their names: `c` is the other operand, `alpha`, `min`, `max`.
    """
    if name in _UNARY:
        return _UNARY[name](d)
    alpha, c = arguments.get("alpha", 1), arguments.get("c")
    if name in ("clamp", "clamp_min", "clamp_max", "clip"):
        low, high = arguments.get("min"), arguments.get("max")
        return clamped(d, -math.inf if low is None else low, math.inf if high is None else high)
    if c is None:
        return None
    left = side == "self"
    match name:
        case "mul":
            return affine(d, c, 0.0)
        case "div":
            plain = left and c and arguments.get("rounding_mode") is None
            return affine(d, 1.0 / c, 0.0) if plain else None
        case "add":
            return affine(d, 1.0, c * alpha) if left else affine(d, alpha, c)
        case "sub":
            return affine(d, 1.0, -c * alpha) if left else affine(d, -alpha, c)
        case "rsub":
            return affine(d, -alpha, c) if left else None
    return None
