"""Laws in the language of specs: the one place that knows how each is spelt.

An init as JSON, or what the language has no words for. When specs learn a word, it is said here and
nowhere else.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from seedbed.recording.distributions import Distribution, LogUniform, Normal, Truncated, Uniform

Init = str | dict[str, Any]

CODES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
"""Seedbed's name of a dtype, by NumPy's, which JAX and Keras have too."""

Kind = Literal["dtype", "unfilled", "literal", "parts", "copy", "law"]


@dataclass(frozen=True, slots=True)
class Unsaid:
    """What no spec says yet, or what no spec could say.

    Attributes:
        kind: `dtype`, `unfilled` (nobody filled the memory), `literal` (known numbers that no
            scheme gives), `parts` (several laws side by side), `copy`, or `law` (random, and no
            scheme draws it).
        reason: in words.
    """

    kind: Kind
    reason: str


def constant(number: complex, *, rounded: bool) -> Init | Unsaid:
    """The init of one value everywhere; `rounded` to float32 or less, so that it has few digits."""
    if isinstance(number, complex) or not math.isfinite(number):
        return Unsaid("literal", f"the constant {number}")
    if number in (0, 1) and math.copysign(1, number) > 0:
        return "ones" if number else "zeros"
    if rounded:
        number = float(str(np.float32(number)))  # the shortest decimal that means it
    return {"scheme": "constant", "value": number}


def closed(d: Distribution) -> Init:
    """The init of independent draws."""
    match d:
        case Uniform(low, high):
            return {"scheme": "uniform", "low": low, "high": high}
        case Normal(mean, std):
            return {"scheme": "normal", "mean": mean, "std": std}
        case LogUniform(low, high):
            return {"scheme": "log_uniform", "low": low, "high": high}
        case Truncated(mean, std, lower, upper):
            bounds = {"lower": lower, "upper": upper}
            finite = {key: x if math.isfinite(x) else None for key, x in bounds.items()}
            return {
                "scheme": "truncated_normal", "mean": mean, "std": std, **finite,
                "bounds": "absolute",
            }  # fmt: skip


def whole(kind: str, parameters: tuple[float, ...]) -> Init | Unsaid:
    """The init of a matrix that is drawn as a whole."""
    if kind == "orthogonal":
        gain = abs(parameters[0])  # a uniform matrix is as likely as its negative
        return {"scheme": "orthogonal", "gain": gain} if gain else "zeros"
    if kind == "sparse":
        return {"scheme": "sparse", "sparsity": parameters[0], "std": parameters[1]}
    return Unsaid("law", "Q of a Gaussian matrix, whose columns' signs are not made uniform")


PARTS = 64
"""Parts of a tensor that a spec may name."""


def side_by_side(axis: int, parts: Sequence[tuple[int, Init]]) -> Init | Unsaid:
    """The init of several parts along an axis, each with its size."""
    if len(parts) > PARTS:
        return Unsaid("parts", f"{len(parts):,} parts along axis {axis}")
    if any(isinstance(init, dict) and init["scheme"] == "parts" for _, init in parts):
        return Unsaid("parts", f"parts within parts, along axis {axis}")
    stops = list(itertools.accumulate(size for size, _ in parts))
    boxes = [
        {"box": [*[None] * axis, [stop - size, stop]], "init": init}
        for (size, init), stop in zip(parts, stops, strict=True)
    ]
    return {"scheme": "parts", "parts": boxes}
