"""What a law of JAX is in the language of specs."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np

from seedbed.jax.laws import Chance, Constant, Drawn, Known, Law, Matrix, Pieces, is_random, sizes
from seedbed.recording import (
    CODES,
    Distribution,
    Init,
    Unsaid,
    X,
    chain,
    closed,
    constant,
    evaluated,
    listed,
    orthogonal,
    parts,
    quantiles,
    steps_of,
    table,
    transformed,
    whole,
)


def said(law: Law, shape: tuple[int, ...], dtype: Any, *, listing: bool = False) -> Init | Unsaid:
    """The init of a tensor; `listing`: known numbers one by one."""
    if dtype.name not in CODES:
        return Unsaid("dtype", f"{dtype.name} has no code in specs")
    if not math.prod(shape):
        return "zeros"
    match law:
        case Constant(value):
            return constant(value, rounded=dtype.name != "float64" and isinstance(value, float))
        case Drawn():
            return _drawn(law)
        case Matrix():
            return _matrix(law, shape)
        case Pieces():
            return _pieces(law, shape, dtype, listing=listing)
        case Known() if not is_random(law):
            return _table(np.asarray(law.array), dtype, listing=listing)
        case Chance(reason):
            return Unsaid("law", reason)
    return Unsaid("law", f"{type(law).__name__.lower()} of a key")


def _short(d: Distribution) -> Distribution:
    """Numbers to the seven digits that float32 has, in which JAX computes them."""
    numbers = {f.name: float(f"{getattr(d, f.name):.7g}") for f in fields(d)}
    return type(d)(**numbers)


def _drawn(law: Drawn) -> Init | Unsaid:
    base = _short(law.distribution)
    if law.expression == X:
        return closed(base)
    x = quantiles(base)
    y = None if x is None else evaluated(law.expression, x)
    init = None if y is None else transformed(base, y)
    if init is not None:
        return {k: float(f"{v:.7g}") if isinstance(v, float) else v for k, v in init.items()}
    steps = steps_of(law.expression)
    if steps is None:
        name = type(base).__name__.lower()
        return Unsaid("law", f"a {name} put through functions that no scheme has")
    return chain(base, steps)


def _table(array: Any, dtype: Any, *, listing: bool) -> Init | Unsaid:
    is_narrow = dtype.name.startswith(("bfloat", "float")) and dtype.name != "float64"
    numbers = array.astype(np.float32) if is_narrow else array
    init = table(numbers, (lambda x: x.astype(dtype)) if dtype.itemsize < 4 else None)
    if init is None and listing:
        return listed(numbers)
    return init or Unsaid("literal", f"{array.size:,} known numbers")


def _matrix(law: Matrix, shape: tuple[int, ...]) -> Init | Unsaid:
    if law.kind != "orthogonal":
        return whole("qr", ())
    axes = {
        name: tuple(
            place
            for place, (axis, size) in enumerate(zip(law.axes, shape, strict=True))
            if axis == name and size > 1
        )
        for name in ("row", "column", "batch")
    }
    gain = float(f"{law.gain:.7g}")
    return orthogonal(gain, shape, axes["row"], axes["column"], axes["batch"])


def _pieces(law: Pieces, shape: tuple[int, ...], dtype: Any, *, listing: bool) -> Init | Unsaid:
    pieces = []
    for box, part in sorted(law.boxes, key=lambda pair: pair[0]):
        init = said(part, sizes(box), dtype, listing=listing)
        if isinstance(init, Unsaid):
            at = ", ".join(f"{start}:{stop}" for start, stop in box)
            return Unsaid(init.kind, f"[{at}]: {init.reason}")
        pieces.append((box, init))
    return parts(pieces, shape)
