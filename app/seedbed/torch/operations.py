"""What an operation of ATen makes of the laws of its operands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_unflatten

from seedbed.torch.geometry import Box, row_major
from seedbed.torch.laws import (
    X,
    Call,
    Chance,
    Constant,
    Drawn,
    Law,
    Normal,
    Pieces,
    Table,
    Uniform,
    Unfilled,
    Whole,
    after,
    drawn,
    numbers,
)
from seedbed.torch.memory import joined, view
from seedbed.torch.replays import Replay
from seedbed.torch.values import Value, constant, reality

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of an operation, with what its tensors held before.

    Attributes:
        func: ATen's overload.
        name: its name, without the underscore of in-place forms.
        bound: arguments by the names of the schema, defaults included.
        flat: all arguments in a row, with `tree` to put them back.
        before: values by the id of their tensors.
        replay: to carry it out.
        own_generator: whether a generator was given.
    """

    func: Any
    name: str
    bound: Mapping[str, Any]
    flat: list[Any]
    tree: Any
    before: Mapping[int, Value]
    replay: Replay
    own_generator: bool

    def value_of(self, argument: Any) -> Value | None:
        """What a tensor held."""
        return self.before.get(id(argument)) if isinstance(argument, torch.Tensor) else None

    @property
    def inputs(self) -> list[Value]:
        """What all its tensors held."""
        return [self.before[id(x)] for x in self.flat if isinstance(x, torch.Tensor)]


@dataclass(frozen=True, slots=True)
class Target:
    """The tensor that an operation makes or changes.

    Attributes:
        tensor: itself.
        number: among the results; or
        place: among the flattened arguments.
    """

    tensor: torch.Tensor
    number: int = 0
    place: int | None = None

    def make(self, replay: Replay) -> Callable[[], torch.Tensor]:
        """How to get its numbers."""
        if self.place is None:
            number = self.number
            return lambda: replay.result(number)
        place = self.place
        return lambda: replay.argument(place)


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
    if op.own_generator:
        notes |= {"drawn with a generator of its own"}
    found = _special(op, target, make)
    if found is not None:
        return found.like(notes=found.notes | notes) if notes - found.notes else found
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
    if op.name in ("linalg_qr", "qr") and target.number == 0:
        law = op.inputs[0].law
        if isinstance(law, Drawn) and isinstance(law.closed, Normal) and law.closed.mean == 0:
            shape, dtype, draws = target.tensor.shape, target.tensor.dtype, op.inputs[0].draws
            return Value(shape, dtype, Whole("qr", (1.0,)), make, draws=draws)
        return None
    if torch.Tag.pointwise in op.func.tags or op.name in _POINTWISE:
        return _pointwise(op, target, make)
    return None


_OVERWRITE = frozenset(
    "normal uniform exponential cauchy log_normal bernoulli geometric random zero fill copy".split()
)
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
    "clone _to_copy copy detach alias lift_fresh lift lift_fresh_copy contiguous to view_copy "
    "_unsafe_view _reshape_copy _reshape_alias detach_copy alias_copy".split()
)
_PERMUTATION = frozenset("flip roll permute_copy transpose_copy t_copy".split())
_POINTWISE = frozenset("clamp_min clamp_max rsub copysign".split())


def _standard_normal(op: Operation) -> Law | None:
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
    assert source is not None
    if isinstance(source.law, Constant):
        with reality():
            number = torch.full((), source.law.value, dtype=source.dtype).to(tensor.dtype).item()
        if source.elements == tensor.numel():
            return Value(
                tensor.shape, tensor.dtype, Constant(number), identity=source.identity
            )
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
    return source.like(shape=tuple(tensor.shape), dtype=tensor.dtype, make=make)


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
        moved = view(row_major(value.shape), value, row_major(part)) if part != value.shape else value
        pieces += _flattened(box, moved.like(dtype=dtype))
    if len(pieces) == 1:
        return pieces[0][1].like(shape=shape, make=make)
    return joined(shape, dtype, pieces, make) if pieces else None


def _flattened(box: Box, value: Value) -> list[tuple[Box, Value]]:
    """A piece that itself is in pieces, as those."""
    if not isinstance(value.law, Pieces):
        return [(box, value)]
    starts = [start for start, _ in box]
    return [
        (tuple((a + s, b + s) for (a, b), s in zip(inner, starts, strict=True)), piece)
        for inner, piece in value.law.pieces
    ]


def _permuted(op: Operation, target: Target, make: Any) -> Value | None:
    """Elements in another order: independent draws stay what they are."""
    source = op.inputs[0]
    tensor = target.tensor
    if isinstance(source.law, Constant):
        return Value(tensor.shape, tensor.dtype, source.law)
    if isinstance(source.law, Drawn):
        return Value(tensor.shape, tensor.dtype, source.law, make, draws=source.draws)
    return None


def _pointwise(op: Operation, target: Target, make: Any) -> Value | None:
    """Element by element, the same for each."""
    values = [op.before[id(x)] if isinstance(x, torch.Tensor) else x for x in op.flat]
    operands = [v for v in values if isinstance(v, Value)]
    tensor = target.tensor
    if all(isinstance(v.law, Constant) for v in operands):
        return _folded(op, values, tensor)
    random = [v for v in operands if not isinstance(v.law, Constant)]
    if op.name == "mul" and any(isinstance(v.law, Whole) for v in random):
        return _scaled_matrix(operands, random, tensor, make)
    if any(not isinstance(v.law, Drawn) or v.elements != tensor.numel() for v in random):
        return None
    laws = [v.law for v in random if isinstance(v.law, Drawn)]
    if any(v.identity != random[0].identity for v in random):
        return None  # of several draws, or of other elements of one
    if not tensor.dtype.is_floating_point:
        return None
    law = laws[0]
    arguments = [_operand(v) for v in values]
    args, kwargs = tree_unflatten(arguments, op.tree)
    kwargs = {key: x for key, x in kwargs.items() if key != "out"}
    expression = Call(op.name, tuple(args), tuple(kwargs.items()))
    closed = _closed(op, law) if len(laws) == 1 and law.closed is not None else None
    if isinstance(closed, float | int):
        return constant(tensor.shape, tensor.dtype, closed)
    return Value(
        tensor.shape,
        tensor.dtype,
        Drawn(law.draw, law.base, expression, closed),
        make,
        random[0].identity,  # the same draws, and no copy, since the expression differs
        random[0].draws,
    )


def _operand(value: Any) -> Any:
    """An argument of an expression: a number for a constant, what became of X for a draw."""
    if not isinstance(value, Value):
        return None if isinstance(value, torch.device | torch.Generator) else value
    return value.law.value if isinstance(value.law, Constant) else value.law.expression  # type: ignore[union-attr]


def _closed(op: Operation, law: Drawn) -> Any:
    """The closed form of one operation with constants on a draw."""
    side, arguments = "self", {}
    for name, argument in op.bound.items():
        value = op.value_of(argument)
        if value is not None and value.law is law:
            side = name
            continue
        number = argument if value is None else value.constant
        if name == "rounding_mode" and argument is not None:
            arguments[name] = argument
        if isinstance(number, int | float) and not isinstance(number, bool):
            arguments["c" if name in ("self", "other") else name] = float(number)
    assert law.closed is not None
    try:
        return after(law.closed, op.name, side, arguments)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None


def _folded(op: Operation, values: list[Any], tensor: torch.Tensor) -> Value | None:
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
        number = out.to(tensor.dtype).flatten()[0].item()
    return Value(tensor.shape, tensor.dtype, Constant(number))


def _scaled_matrix(
    operands: list[Value], random: list[Value], tensor: torch.Tensor, make: Any
) -> Value | None:
    """A matrix times a number, or Q times the signs of R's diagonal, which make it uniform."""
    matrices = [v for v in random if isinstance(v.law, Whole)]
    matrix = matrices[0]
    others = [v for v in operands if v is not matrix]
    if len(matrices) != 1 or len(others) != 1 or matrix.elements != tensor.numel():
        return None
    law, other = matrix.law, others[0]
    assert isinstance(law, Whole)
    if other.constant is not None:
        kind, (gain, *rest) = law.kind, law.parameters
        if kind == "sparse":
            scaled = Whole(kind, (gain, abs(float(other.constant)) * rest[0]))  # type: ignore[arg-type]
        else:
            scaled = Whole(kind, (gain * float(other.constant),))  # type: ignore[arg-type]
        return Value(tensor.shape, tensor.dtype, scaled, make, draws=matrix.draws)
    signs = isinstance(other.law, Chance) and other.law.last in ("sign", "sgn")
    if law.kind == "qr" and signs and other.draws & matrix.draws:
        whole = Whole("orthogonal", law.parameters)
        return Value(tensor.shape, tensor.dtype, whole, make, draws=matrix.draws)
    return None
