"""What a law of JAX is in the language of specs."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np

from seedbed.jax.laws import Chance, Constant, Drawn, Known, Law, Matrix, Pieces, is_random
from seedbed.recording import (
    CODES,
    Distribution,
    Init,
    Unsaid,
    closed,
    constant,
    side_by_side,
    whole,
)


def said(law: Law, shape: tuple[int, ...], dtype: Any) -> Init | Unsaid:
    """The init of a tensor."""
    if dtype.name not in CODES:
        return Unsaid("dtype", f"{dtype.name} has no code in specs")
    if not math.prod(shape):
        return "zeros"
    match law:
        case Constant(value):
            return constant(value, rounded=dtype.name != "float64" and isinstance(value, float))
        case Drawn(distribution=d):
            return closed(_short(d))
        case Matrix():
            return _matrix(law, shape)
        case Pieces():
            return _pieces(law, shape, dtype)
        case Known() if not is_random(law):
            return Unsaid("literal", f"{np.asarray(law.array).size:,} known numbers")
        case Chance(reason):
            return Unsaid("law", reason)
    return Unsaid("law", f"{type(law).__name__.lower()} of a key")


def _short(d: Distribution) -> Distribution:
    """Numbers to the seven digits that float32 has, in which JAX computes them."""
    numbers = {f.name: float(f"{getattr(d, f.name):.7g}") for f in fields(d)}
    return type(d)(**numbers)


def _matrix(law: Matrix, shape: tuple[int, ...]) -> Init | Unsaid:
    """A matrix whose rows or columns are the first axis, as specs read a shape."""
    if law.kind != "orthogonal":
        return whole("qr", ())
    axes = [axis for axis, size in zip(law.axes, shape, strict=True) if size > 1]
    if "batch" in axes:
        return Unsaid("law", f"a stack of orthogonal matrices, {_labels(law)}")
    if len(set(axes)) > 1 and shape[0] > 1 and axes.count(axes[0]) == 1:
        return whole("orthogonal", (float(f"{law.gain:.7g}"),))
    return Unsaid("law", f"an orthogonal matrix whose axes are {_labels(law)}")


def _labels(law: Matrix) -> str:
    return ", ".join(law.axes)


def _pieces(law: Pieces, shape: tuple[int, ...], dtype: Any) -> Init | Unsaid:
    parts: list[tuple[int, Init]] = []
    for size, part in law.parts:
        init = said(part, (*shape[: law.axis], size, *shape[law.axis + 1 :]), dtype)
        if isinstance(init, Unsaid):
            start = sum(before for before, _ in parts)
            at = ", ".join([":"] * law.axis + [f"{start}:{start + size}"])
            return Unsaid(init.kind, f"[{at}]: {init.reason}")
        parts.append((size, init))
    return side_by_side(law.axis, parts)
