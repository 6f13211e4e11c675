"""What a recorded value of torch is in the language of specs.

`said` gives an init as JSON, or what the language has no words for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seedbed.recording import (
    Init,
    Rounding,
    Unsaid,
    chain,
    closed,
    constant,
    listed,
    parts,
    steps_of,
    table,
    whole,
)
from seedbed.torch.geometry import Box
from seedbed.torch.laws import (
    Chance,
    Constant,
    Drawn,
    Pieces,
    Table,
    Unfilled,
    Whole,
)
from seedbed.torch.recognise import transformed
from seedbed.torch.values import REAL, Value, has_minus_zeros, reality

CODES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64",
    torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip
"""Seedbed's name of a dtype."""


def said(value: Value, *, listing: bool = False) -> Init | Unsaid:
    """The init of a tensor that holds this value; `listing`: numbers one by one."""
    if value.dtype not in CODES:
        return Unsaid("dtype", f"{value.dtype}".removeprefix("torch.") + " has no code in specs")
    if not value.elements:
        return "zeros"
    match value.law:
        case Constant(number):
            return constant(number, rounded=_rounds(value.dtype))
        case Drawn() if value.dtype.is_floating_point:
            return _drawn(value.law)
        case Whole(kind, parameters):
            return whole(kind, parameters)
        case Table():
            return _table(value, listing=listing)
        case Pieces(pieces):
            return _pieces(value, pieces, listing=listing)
        case Unfilled(reason):
            return Unsaid("unfilled", reason)
        case Chance(reason):
            return Unsaid("law", reason)
    return Unsaid("law", f"random numbers as {value.dtype}")


def _rounds(dtype: torch.dtype) -> bool:
    return bool(dtype.is_floating_point) and dtype != torch.float64


def _drawn(law: Drawn) -> Init | Unsaid:
    if law.closed is not None:
        return closed(law.closed)
    init = transformed(law)
    if init is not None:
        return init
    steps = steps_of(law.expression)
    if steps is None:
        return Unsaid("law", f"{law.base} put through functions that no scheme has")
    return chain(law.base, steps)


def _table(value: Value, *, listing: bool) -> Init | Unsaid:
    if value.elements > REAL:
        return Unsaid("literal", f"{value.elements:,} known numbers")
    real = value.real()
    with reality():
        first = real.flatten()[0]
        same = bool((real == first).all()) and not has_minus_zeros(real)
    if same:
        return constant(first.item(), rounded=_rounds(value.dtype))
    with reality():
        numbers = real.float().numpy() if _rounds(value.dtype) else real.numpy()
    init = table(numbers, _narrowing(value.dtype))
    if init is None and listing:
        return listed(numbers)
    return init or Unsaid("literal", f"{value.elements:,} known numbers")


def _narrowing(dtype: torch.dtype) -> Rounding | None:
    """How torch rounds numbers of float32 to a narrower dtype."""
    if not dtype.is_floating_point or dtype.itemsize >= torch.float32.itemsize:
        return None

    def rounded(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
        with reality():
            narrow: NDArray[np.float32] = torch.from_numpy(numbers).to(dtype).float().numpy()
            return narrow

    return rounded


def _pieces(value: Value, pieces: tuple[tuple[Box, Value], ...], *, listing: bool) -> Init | Unsaid:
    spoken = [(box, said(piece, listing=listing)) for box, piece in pieces]
    for box, init in spoken:
        if isinstance(init, Unsaid):
            return Unsaid(init.kind, f"{_ranges(box)}: {init.reason}")
    if value.is_known and value.elements <= REAL:
        init = _table(value, listing=False)
        if not isinstance(init, Unsaid):
            return init
    return parts([(box, init) for box, init in spoken if not isinstance(init, Unsaid)], value.shape)


def _ranges(box: Any) -> str:
    return f"[{', '.join(f'{start}:{stop}' for start, stop in box)}]"
