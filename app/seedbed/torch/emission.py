"""What a recorded value is in the language of specs: the one place that knows both.

`said` gives an init as JSON, or what the language has no words for. When specs learn a word, it is
said here and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from seedbed.torch.geometry import Box
from seedbed.torch.laws import (
    Chance,
    Constant,
    Distribution,
    Drawn,
    LogUniform,
    Normal,
    Pieces,
    Table,
    Truncated,
    Unfilled,
    Uniform,
    Whole,
)
from seedbed.torch.recognise import known_table, transformed
from seedbed.torch.values import REAL, Value, reality

Init = str | dict[str, Any]

CODES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64",
    torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip
"""Seedbed's name of a dtype."""

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


def said(value: Value) -> Init | Unsaid:
    """The init of a tensor that holds this value."""
    if value.dtype not in CODES:
        return Unsaid("dtype", f"{value.dtype}".removeprefix("torch.") + " has no code in specs")
    if not value.elements:
        return "zeros"
    match value.law:
        case Constant(number):
            return _constant(number, value.dtype)
        case Drawn() if value.dtype.is_floating_point:
            return _drawn(value.law)
        case Whole(kind, parameters):
            return _whole(kind, parameters)
        case Table():
            return _table(value)
        case Pieces(pieces):
            return _pieces(value, pieces)
        case Unfilled(reason):
            return Unsaid("unfilled", reason)
        case Chance(reason):
            return Unsaid("law", reason)
    return Unsaid("law", f"random numbers as {value.dtype}")


def _constant(number: complex, dtype: torch.dtype) -> Init | Unsaid:
    if isinstance(number, complex) or not math.isfinite(number):
        return Unsaid("literal", f"the constant {number}")
    if number in (0, 1) and math.copysign(1, number) > 0:
        return "ones" if number else "zeros"
    if dtype.is_floating_point and dtype != torch.float64:
        number = float(str(np.float32(number)))  # the shortest decimal that means it
    return {"scheme": "constant", "value": number}


def _closed(d: Distribution) -> Init:
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


def _drawn(law: Drawn) -> Init | Unsaid:
    if law.closed is not None:
        return _closed(law.closed)
    init = transformed(law)
    return init or Unsaid("law", f"{law.base} put through functions that no scheme has")


def _whole(kind: str, parameters: tuple[float, ...]) -> Init | Unsaid:
    if kind == "orthogonal":
        gain = abs(parameters[0])  # a uniform matrix is as likely as its negative
        return {"scheme": "orthogonal", "gain": gain} if gain else "zeros"
    if kind == "sparse":
        return {"scheme": "sparse", "sparsity": parameters[0], "std": parameters[1]}
    return Unsaid("law", "Q of a Gaussian matrix, whose columns' signs are not made uniform")


def _table(value: Value) -> Init | Unsaid:
    if value.elements > REAL:
        return Unsaid("literal", f"{value.elements:,} known numbers")
    real = value.real()
    with reality():
        first = real.flatten()[0]
        same = bool((real == first).all())
    if same:
        return _constant(first.item(), value.dtype)
    return known_table(real) or Unsaid("literal", f"{value.elements:,} known numbers")


def _pieces(value: Value, pieces: tuple[tuple[Box, Value], ...]) -> Init | Unsaid:
    found = [(box, said(piece)) for box, piece in pieces]
    for box, init in found:
        if isinstance(init, Unsaid):
            return Unsaid(init.kind, f"{_ranges(box)}: {init.reason}")
    if value.is_known and value.elements <= REAL:
        init = _table(value)
        if not isinstance(init, Unsaid):
            return init
    some = ", ".join(f"{_ranges(box)} {_name(init)}" for box, init in found[:4])
    return Unsaid("parts", some + (" …" if len(found) > 4 else ""))


def _ranges(box: Any) -> str:
    return f"[{', '.join(f'{start}:{stop}' for start, stop in box)}]"


def _name(init: Any) -> str:
    return init if isinstance(init, str) else str(init["scheme"])
