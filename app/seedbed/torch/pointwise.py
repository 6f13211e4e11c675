"""Element-wise operations: constants are folded, draws get an expression and a closed form."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import torch
from torch.utils._pytree import tree_unflatten

from seedbed.recording import Call, Distribution
from seedbed.torch.calls import Operation, Target
from seedbed.torch.geometry import Box
from seedbed.torch.laws import Chance, Constant, Drawn, Pieces, Table, Whole, after
from seedbed.torch.memory import joined
from seedbed.torch.values import Value, constant, reality

aten = torch.ops.aten


class _Kind(NamedTuple):
    """What comes out of an operation, or of a part of it."""

    shape: tuple[int, ...]
    dtype: torch.dtype


def pointwise(op: Operation, target: Target, make: Any) -> Value | None:
    """Element by element, the same for each."""
    values = [_number(op.before[id(x)]) if isinstance(x, torch.Tensor) else x for x in op.flat]
    out = _Kind(tuple(target.tensor.shape), target.tensor.dtype)
    parted = [v for v in values if isinstance(v, Value) and isinstance(v.law, Pieces)]
    return _by_pieces(op, values, parted[0], out, make) if parted else _even(op, values, out, make)


def _by_pieces(
    op: Operation, values: list[Any], parted: Value, out: _Kind, make: Any
) -> Value | None:
    """On a tensor that has several laws side by side, and numbers: on each of its pieces."""
    others = [v for v in values if isinstance(v, Value) and v.identity != parted.identity]
    laws = [v.law for v in others]
    if parted.shape != out.shape or not all(isinstance(law, Constant) for law in laws):
        return None
    found: list[tuple[Box, Value]] = []
    for box, piece in cast("Pieces", parted.law).pieces:
        part = tuple(slice(*ends) for ends in box)
        kind = out._replace(shape=piece.shape)
        inner = [
            piece if isinstance(v, Value) and v.identity == parted.identity else v for v in values
        ]

        def make_part(part: tuple[slice, ...] = part) -> torch.Tensor:
            with reality():
                return cast("torch.Tensor", make())[part]

        value = _even(op, inner, kind, make_part)
        if value is None and piece.is_known:
            value = Value(*kind, Table(), make_part)
        if value is None:
            return None
        found.append((box, value))
    return joined(*out, found, make)


def _even(op: Operation, values: list[Any], out: _Kind, make: Any) -> Value | None:
    """On tensors that each have one law."""
    operands = [v for v in values if isinstance(v, Value)]
    if all(isinstance(v.law, Constant) for v in operands):
        return _folded(op, values, out)
    random = [v for v in operands if not isinstance(v.law, Constant)]
    if op.name in ("mul", "div") and any(isinstance(v.law, Whole) for v in random):
        return _scaled_matrix(op, operands, out, make)
    if torch.Tag.nondeterministic_seeded in op.func.tags:
        return None
    if any(not isinstance(v.law, Drawn) or v.elements != math.prod(out.shape) for v in random):
        return None
    laws = [v.law for v in random if isinstance(v.law, Drawn)]
    if any(v.identity != random[0].identity for v in random):
        return None  # of several draws, or of other elements of one
    if not out.dtype.is_floating_point:
        return None
    law = laws[0]
    arguments = [_operand(v) for v in values]
    args, kwargs = tree_unflatten(arguments, op.tree)
    kwargs = {key: x for key, x in kwargs.items() if key != "out"}
    expression = Call(op.name, tuple(args), tuple(kwargs.items()))
    closed = None
    if len(laws) == 1 and law.closed is not None:
        closed = _closed(op, law, law.closed, values)
    if isinstance(closed, float | int):
        return constant(*out, closed)
    return Value(
        *out,
        Drawn(law.draw, law.base, expression, closed),
        make,
        random[0].identity,  # the same draws, and no copy, since the expression differs
        random[0].draws,
    )


def _number(value: Value) -> Value:
    """The value, a computed one of a single known number as a constant."""
    if value.elements != 1 or not isinstance(value.law, Table) or value.dtype.is_complex:
        return value
    real = value.real()
    with reality():
        return Value(value.shape, value.dtype, Constant(real.item()))


def _operand(value: Any) -> Any:
    """An argument of an expression: a number for a constant, what became of X for a draw."""
    if not isinstance(value, Value):
        return None if isinstance(value, torch.device | torch.Generator) else value
    return value.law.value if isinstance(value.law, Constant) else value.law.expression  # type: ignore[union-attr]


def _closed(op: Operation, law: Drawn, closed: Distribution, values: list[Any]) -> Any:
    """The closed form of one operation with constants on a draw."""
    held = {id(x): value for x, value in zip(op.flat, values, strict=True)}
    side, arguments = "self", {}
    for name, argument in op.bound.items():
        value = held.get(id(argument)) if isinstance(argument, torch.Tensor) else None
        if value is not None and value.law is law:
            side = name
            continue
        number = argument if value is None else value.constant
        if name == "rounding_mode" and argument is not None:
            arguments[name] = argument
        if isinstance(number, int | float) and not isinstance(number, bool):
            arguments["c" if name in ("self", "other") else name] = float(number)
    try:
        return after(closed, op.name, side, arguments)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None


def _folded(op: Operation, values: list[Any], kind: _Kind) -> Value | None:
    """Of constants alone."""
    with reality():
        # One element each; a tensor without axes stays one, since that decides on the dtype.
        small = [
            torch.full([1] * min(len(v.shape), 1), v.law.value, dtype=v.dtype)  # type: ignore[union-attr]
            if isinstance(v, Value)
            else v
            for v in values
        ]
        small = [torch.device("cpu") if isinstance(x, torch.device) else x for x in small]
        args, kwargs = tree_unflatten(small, op.tree)
        kwargs.pop("out", None)
        try:
            out = getattr(aten, op.name)(*args, **kwargs)
        except (RuntimeError, TypeError, AttributeError):
            return None
        if not isinstance(out, torch.Tensor):
            return None
        number = out.to(kind.dtype).flatten()[0].item()
    return Value(*kind, Constant(number))


def _scaled_matrix(op: Operation, operands: list[Value], out: _Kind, make: Any) -> Value | None:
    """A matrix times a number, or Q times the signs of R's diagonal, which make it uniform."""
    matrix, law = next((v, v.law) for v in operands if isinstance(v.law, Whole))
    others = [v for v in operands if v is not matrix]
    if matrix.elements != math.prod(out.shape):
        return None
    number = others[0].constant if others else op.bound["other"]
    if isinstance(number, int | float):
        if op.name == "div":
            plain = op.bound.get("rounding_mode") is None
            if op.value_of(op.bound["self"]) is not matrix or not number or not plain:
                return None
            number = 1.0 / number
        if number == 0:
            return constant(*out, 0.0)
        gain, *spread = law.parameters
        scaled = (gain * number,) if law.kind != "sparse" else (gain, abs(number) * spread[0])
        return Value(*out, Whole(law.kind, scaled), make, draws=matrix.draws)
    signs = others and isinstance(others[0].law, Chance) and others[0].law.last in ("sign", "sgn")
    if op.name == "mul" and law.kind == "qr" and signs and others[0].draws & matrix.draws:
        whole = Whole("orthogonal", law.parameters)
        return Value(*out, whole, make, draws=matrix.draws)
    return None
