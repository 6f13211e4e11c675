"""What an operation of ATen makes of the laws of its operands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from seedbed.recording import Call, Normal, Uniform, X
from seedbed.torch.calls import Operation, Target
from seedbed.torch.geometry import Box, row_major
from seedbed.torch.laws import (
    Chance,
    Constant,
    Drawn,
    Law,
    Pieces,
    Table,
    Unfilled,
    Whole,
    drawn,
    numbers,
)
from seedbed.torch.memory import joined, view
from seedbed.torch.pointwise import pointwise
from seedbed.torch.rows import with_rows
from seedbed.torch.values import Value, constant, reality


def meaning(op: Operation, target: Target) -> Value:
    """What the target holds afterwards."""
    tensor = target.tensor
    make = target.make(op.replay)
    written_only = target.place is not None and (
        op.name in _OVERWRITE or op.bound.get("out") is tensor
    )
    read = [
        op.before[id(x)]
        for x in op.flat
        if isinstance(x, torch.Tensor) and not (written_only and x is tensor)
    ]
    notes = frozenset[str]().union(*(value.notes for value in read))
    special = _special(op, target, make)
    if special is not None:
        return special.like(notes=special.notes | notes) if notes - special.notes else special
    draws = frozenset[int]().union(*(value.draws for value in read))
    law: Law = Table()
    if any(value.is_unfilled for value in read):
        law = Unfilled(f"made by {op.name} from memory that nothing had filled")
    elif torch.Tag.nondeterministic_seeded in op.func.tags:
        law = Chance(f"drawn by {op.name}")
        draws |= {next(numbers)}
    elif any(value.is_random for value in read):
        reasons = [value.law.reason for value in read if isinstance(value.law, Chance)]
        law = Chance(reasons[0] if reasons else f"made by {op.name}", op.name)
    return Value(tensor.shape, tensor.dtype, law, make, draws=draws, notes=notes)


def _special(op: Operation, target: Target, make: Any) -> Value | None:
    """By the operations that are known; None for others, and for what they cannot say."""
    if op.name in _RANDOM:
        return _random(op, target, make)
    if op.name in _CONSTANT:
        return constant(target.tensor.shape, target.tensor.dtype, _CONSTANT[op.name])
    if op.name in _FULL:
        return _full(op, target)
    if op.name in _COPY:
        return _copy(op, target, make)
    if op.name in ("cat", "stack"):
        return _side_by_side(op, target, make)
    if op.name in _PERMUTATION:
        return _permuted(op, target, make)
    if op.name in ("index_put", "index_fill"):
        return with_rows(op, make)
    if op.name in ("linalg_qr", "qr"):
        return _q(op, target, make)
    if torch.Tag.pointwise in op.func.tags or op.name in _POINTWISE:
        return pointwise(op, target, make)
    return None


def _q(op: Operation, target: Target, make: Any) -> Value | None:
    """Q of a Gaussian matrix."""
    law = op.inputs[0].law
    if target.number or not isinstance(law, Drawn) or not isinstance(law.closed, Normal):
        return None
    if law.closed.mean:
        return None
    shape, dtype, draws = target.tensor.shape, target.tensor.dtype, op.inputs[0].draws
    return Value(shape, dtype, Whole("qr", (1.0,)), make, draws=draws)


_OVERWRITE = frozenset(
    (
        "normal", "uniform", "exponential", "cauchy", "log_normal", "bernoulli", "geometric",
        "random", "zero", "fill", "copy",
    )
)  # fmt: skip
"""In-place operations that do not read what they write to."""

_CONSTANT = {
    "zeros": 0, "zero": 0, "zeros_like": 0, "new_zeros": 0, "_efficientzerotensor": 0,
    "ones": 1, "ones_like": 1, "new_ones": 1,
}  # fmt: skip
_FULL = {
    "full": "fill_value", "full_like": "fill_value", "new_full": "fill_value", "fill": "value",
    "scalar_tensor": "s",
}  # fmt: skip
_COPY = frozenset(
    [
        "clone",
        "_to_copy",
        "copy",
        "detach",
        "alias",
        "lift_fresh",
        "lift",
        "lift_fresh_copy",
        "contiguous",
        "to",
        "view_copy",
        "_unsafe_view",
        "_reshape_copy",
        "_reshape_alias",
        "detach_copy",
        "alias_copy",
    ]
)
_PERMUTATION = frozenset(["flip", "roll", "permute_copy", "transpose_copy", "t_copy"])
_POINTWISE = frozenset(["clamp_min", "clamp_max", "rsub", "copysign"])


def _standard_normal(_: Operation) -> Law | None:
    return drawn(Normal(0.0, 1.0))


def _number(op: Operation, name: str) -> float | None:
    """An argument that is a number, or a tensor that holds one number everywhere."""
    argument = op.bound.get(name)
    value = op.value_of(argument)
    if value is not None:
        argument = value.constant
    return float(argument) if isinstance(argument, int | float) else None


def _normal(op: Operation) -> Law | None:
    mean, std = _number(op, "mean"), _number(op, "std")
    return None if mean is None or std is None else drawn(Normal(mean, std))


def _uniform(op: Operation) -> Law | None:
    low, high = _number(op, "from"), _number(op, "to")
    return None if low is None or high is None else drawn(Uniform(low, high))


def _transformed(base: Normal | Uniform, *steps: tuple[str, tuple[Any, ...]]) -> Law:
    """A fresh draw put through operations, `X` standing for what came before."""
    expression: Any = X
    for name, rest in steps:
        expression = Call(name, (expression, *rest))
    return Drawn(next(numbers), base, expression, None)


def _exponential(op: Operation) -> Law | None:
    rate = _number(op, "lambd")
    if rate is None:
        return None
    return _transformed(Uniform(0.0, 1.0), ("log", ()), ("div", (-rate,)))


def _log_normal(op: Operation) -> Law | None:
    mean, std = _number(op, "mean"), _number(op, "std")
    return None if mean is None or std is None else _transformed(Normal(mean, std), ("exp", ()))


_RANDOM: Mapping[str, Callable[[Operation], Law | None]] = {
    "normal": _normal, "normal_functional": _normal, "uniform": _uniform,
    "randn": _standard_normal, "randn_like": _standard_normal,
    "rand": lambda _: drawn(Uniform(0.0, 1.0)), "rand_like": lambda _: drawn(Uniform(0.0, 1.0)),
    "exponential": _exponential, "log_normal": _log_normal,
}  # fmt: skip


def _random(op: Operation, target: Target, make: Any) -> Value | None:
    law = _RANDOM[op.name](op)
    tensor = target.tensor
    if law is None or not tensor.dtype.is_floating_point:
        return None
    if isinstance(law, Constant):
        return constant(tensor.shape, tensor.dtype, law.value)  # type: ignore[arg-type]
    return Value(tensor.shape, tensor.dtype, law, make)


def _full(op: Operation, target: Target) -> Value | None:
    tensor, number = target.tensor, op.bound[_FULL[op.name]]
    value = op.value_of(number)
    if value is not None:
        if not value.is_known:
            return None
        with reality():
            number = value.real().item()
    return constant(tensor.shape, tensor.dtype, number)


def _copy(op: Operation, target: Target, make: Any) -> Value | None:
    tensor = target.tensor
    source = op.value_of(op.bound["src" if op.name == "copy" and "src" in op.bound else "self"])
    if source is None:
        return None
    if isinstance(source.law, Constant):
        with reality():
            number = torch.full((), source.law.value, dtype=source.dtype).to(tensor.dtype).item()
        if source.elements == tensor.numel():
            return Value(tensor.shape, tensor.dtype, Constant(number), identity=source.identity)
        return Value(tensor.shape, tensor.dtype, Constant(number))
    floating = tensor.dtype.is_floating_point
    if source.elements != tensor.numel():
        if not source.is_random:
            return None
        reason = "a smaller drawn tensor, repeated"
        return Value(tensor.shape, tensor.dtype, Chance(reason), make, draws=source.draws)
    if source.is_random and not floating:
        return None
    if isinstance(source.law, Pieces) and source.shape != tuple(tensor.shape):
        reshaped = view(row_major(source.shape), source, row_major(tuple(tensor.shape)))
        return reshaped.like(dtype=tensor.dtype, make=make)
    notes = source.notes
    if source.is_random and source.dtype.itemsize < tensor.dtype.itemsize:
        notes |= {f"rounded to {str(source.dtype).removeprefix('torch.')} first"}
    return source.like(shape=tuple(tensor.shape), dtype=tensor.dtype, make=make, notes=notes)


def _side_by_side(op: Operation, target: Target, make: Any) -> Value | None:
    """`cat` and `stack`: pieces, if anything in them is random."""
    tensors = [x for x in op.bound["tensors"] if tuple(x.shape) != (0,)]
    values = [op.before[id(x)] for x in tensors]
    shape, dtype = tuple(target.tensor.shape), target.tensor.dtype
    if all(value.is_known for value in values) and not all(v.constant is not None for v in values):
        return None
    axis = op.bound.get("dim", 0) % len(shape)
    pieces: list[tuple[Box, Value]] = []
    at = 0
    for value in values:
        size = 1 if op.name == "stack" else value.shape[axis]
        box = tuple((at, at + size) if k == axis else (0, n) for k, n in enumerate(shape))
        part = tuple(stop - start for start, stop in box)
        at += size
        if not math.prod(part):
            continue
        moved = (
            view(row_major(value.shape), value, row_major(part)) if part != value.shape else value
        )
        pieces.append((box, moved.like(dtype=dtype)))
    if len(pieces) == 1:
        return pieces[0][1].like(shape=shape, make=make)
    return joined(shape, dtype, pieces, make) if pieces else None


def _permuted(op: Operation, target: Target, make: Any) -> Value | None:
    """Elements in another order: independent draws stay what they are."""
    source = op.inputs[0]
    tensor = target.tensor
    if isinstance(source.law, Constant):
        return Value(tensor.shape, tensor.dtype, source.law)
    if isinstance(source.law, Drawn):
        return Value(tensor.shape, tensor.dtype, source.law, make, draws=source.draws)
    return None
