"""What JAX's primitives do to a law; `None` for what no rule here knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from seedbed.jax.laws import (
    Axis,
    Bits,
    Chance,
    Constant,
    Drawn,
    Factor,
    Keys,
    Law,
    Matrix,
    Pieces,
    moved,
)
from seedbed.recording import (
    Distribution,
    Normal,
    Uniform,
    affine,
    clamped,
    erfinv,
    exp,
    log,
)

KEYED = {
    "random_bits", "random_wrap", "random_unwrap", "random_split", "random_fold_in", "random_seed",
    "random_clone", "slice", "squeeze", "reshape", "broadcast_in_dim", "dynamic_slice", "gather",
    "concatenate", "transpose", "expand_dims", "copy", "copy_p", "select_n", "split", "rev",
    "dynamic_update_slice", "scatter", "sharding_constraint",
}  # fmt: skip
"""Primitives that make keys of keys, or draw bits."""

ELEMENTWISE = {
    "add", "sub", "mul", "div", "neg", "max", "min", "pow", "integer_pow", "sqrt", "rsqrt", "exp",
    "log", "log1p", "expm1", "erf", "erf_inv", "nextafter", "abs", "sign", "floor", "ceil", "round",
    "square", "and", "or", "not", "xor", "eq", "ne", "lt", "le", "gt", "ge", "select_n", "clamp",
    "rem", "tanh", "logistic", "sin", "cos", "convert_element_type", "reduce_precision",
    "is_finite", "exp2", "cbrt",
}  # fmt: skip
"""Primitives that can be computed of one element."""


def drawn_law(equation: Any, laws: Sequence[Law]) -> Law:
    """Bits drawn from keys, one or a batch."""
    keys, shape = laws[0], equation.params["shape"]
    width = equation.params["bit_width"]
    if not isinstance(keys, Keys):
        reason = keys.reason if isinstance(keys, Chance) else "random_bits"
        return Chance(reason)
    data = np.asarray(jax.random.key_data(keys.array))
    kind = str(jax.random.key_impl(keys.array))
    flat = data.reshape(max(math.prod(keys.array.shape), 1), -1)
    origins = [kind.encode() + row.tobytes() for row in flat]
    if len(set(origins)) < len(origins):
        return Chance("one key for several parts of a batch", frozenset(origins))
    return Bits(frozenset(origins), (tuple(origins), tuple(shape), width), width)


def still(equation: Any, laws: Sequence[Law]) -> list[Law] | None:
    """The outputs of an equation of which some operand is random."""
    name = equation.primitive.name
    if name == "qr":
        return _qr(equation, laws[0])
    if len(laws) == 1 or name in _MOVES:
        first = laws[0]
        if name in _MOVES:
            return _moved(equation, first)
        if isinstance(first, Pieces):
            return _each(equation, first, laws, 0)
    if any(isinstance(law, Factor) for law in laws):
        return _factor(name, laws, equation)
    random = [i for i, law in enumerate(laws) if not isinstance(law, Constant)]
    if len(random) != 1:
        return None
    law = laws[random[0]]
    found: Law | None = None
    match law:
        case Pieces():
            return _each(equation, law, laws, random[0])
        case Bits():
            found = _of_bits(equation, law, laws)
        case Drawn():
            found = _of_draw(equation, law, laws, random[0])
        case Matrix():
            found = _of_matrix(name, law, laws, random[0])
    return None if found is None else [found]


def _each(equation: Any, law: Pieces, laws: Sequence[Law], at: int) -> list[Law] | None:
    """An element-wise operation on each of several parts."""
    if equation.primitive.name not in ELEMENTWISE:
        return None
    parts: list[tuple[int, Law]] = []
    for size, part in law.parts:
        if isinstance(part, Constant) and equation.primitive.name == "convert_element_type":
            parts.append((size, part))
            continue
        found = still(equation, [*laws[:at], part, *laws[at + 1 :]])
        if isinstance(part, Constant) or found is None:
            return None
        parts.append((size, found[0]))
    return [Pieces(law.axis, tuple(parts))]


def _of_bits(equation: Any, law: Bits, laws: Sequence[Law]) -> Law | None:
    """Bits on their way to a float: shifted, given an exponent, read as a float in [1, 2)."""
    name = equation.primitive.name
    aval = equation.outvars[0].aval
    constant = next((x.value for x in laws if isinstance(x, Constant)), None)
    if name == "convert_element_type" and aval.dtype.kind == "u" and law.stage == "bits":
        return law if aval.dtype.itemsize * 8 >= law.width else None
    if name == "shift_right_logical" and law.stage == "bits" and isinstance(constant, int):
        return replace(law, stage="shifted", width=law.width - constant)
    if name == "or" and law.stage == "shifted":
        return replace(law, stage="mantissa", arrangement=(*law.arrangement, ("one", constant)))
    if name == "bitcast_convert_type" and law.stage == "mantissa":
        dtype = equation.params["new_dtype"]
        bits = jax.numpy.finfo(dtype).nmant
        one = int(np.ones((), dtype).view(f"u{np.dtype(dtype).itemsize}"))
        if law.width == bits and law.arrangement[-1] == ("one", one):
            return Drawn(law.origin, law.arrangement[:-1], Uniform(1.0, 2.0), coarse=bits < 16)
    return None


def _of_draw(equation: Any, law: Drawn, laws: Sequence[Law], at: int) -> Law | None:
    """A draw put through an element-wise function with constants."""
    name, aval = equation.primitive.name, equation.outvars[0].aval
    if name in ("convert_element_type", "reduce_precision"):
        return law if jax.numpy.issubdtype(aval.dtype, jax.numpy.floating) else None
    if equation.invars[at].aval.shape != aval.shape:
        return None  # the draw itself is spread over more elements
    constants = [x.value for x in laws if isinstance(x, Constant)]
    values = [float(c) for c in constants if isinstance(c, int | float)]
    if len(values) < len(laws) - 1:
        return None
    closed = _closed(name, law.distribution, values, at, equation.invars[at].aval.dtype)
    if isinstance(closed, float):
        return Constant(closed)
    return None if closed is None else replace(law, distribution=closed)


def _erfinv(d: Distribution, dtype: Any) -> Distribution | None:
    """Of a uniform whose ends are −1 and 1 but for the dtype's steps: a normal."""
    if not isinstance(d, Uniform):
        return None
    eps = float(jax.numpy.finfo(dtype).eps)
    low, high = d.low, d.high
    if abs(low + 1) <= eps and abs(high - 1) <= eps:
        return erfinv(Uniform(-1.0, 1.0))
    return erfinv(d)


_FUNCTIONS: Mapping[str, Callable[[Distribution], Distribution | float | None]] = {
    "neg": lambda d: affine(d, -1.0, 0.0),
    "exp": exp,
    "log": log,
    "copy": lambda d: d,
}


def _closed(
    name: str, d: Distribution, values: Sequence[float], at: int, dtype: Any
) -> Distribution | float | None:
    if name == "erf_inv":
        return _erfinv(d, dtype)
    if name in _FUNCTIONS:
        return _FUNCTIONS[name](d)
    if name == "clamp" and at == 1:
        return clamped(d, values[0], values[1])
    if len(values) != 1:
        return None
    (c,) = values
    match name:
        case "add":
            return affine(d, 1.0, c)
        case "sub":
            return affine(d, 1.0, -c) if at == 0 else affine(d, -1.0, c)
        case "mul":
            return affine(d, c, 0.0)
        case "div":
            return affine(d, 1.0 / c, 0.0) if at == 0 and c else None
        case "max":
            return clamped(d, c, math.inf)
        case "min":
            return clamped(d, -math.inf, c)
    return None


def _of_matrix(name: str, law: Matrix, laws: Sequence[Law], at: int) -> Law | None:
    """A matrix with a gain."""
    c = next((x.value for x in laws if isinstance(x, Constant)), None)
    if name in ("convert_element_type", "copy", "reduce_precision"):
        return law
    if name == "neg":
        return replace(law, gain=-law.gain)
    if not isinstance(c, int | float):
        return None
    if name == "mul":
        return replace(law, gain=law.gain * c) if c else Constant(0.0)
    if name == "div" and at == 0 and c:
        return replace(law, gain=law.gain / c)
    return law if name == "add" and c == 0 else None


def _qr(equation: Any, law: Law) -> list[Law] | None:
    """Q and R of Gaussian matrices, the last two axes; leading ones are a batch."""
    if not isinstance(law, Drawn) or not isinstance(law.distribution, Normal):
        return None
    if law.distribution.mean or equation.params.get("pivoting"):
        return None
    rows, columns = equation.invars[0].aval.shape[-2:]
    if rows < columns or equation.params.get("full_matrices"):
        return None
    batch: list[Axis] = ["batch" for _ in equation.invars[0].aval.shape[2:]]
    q = Matrix(law.origin, (*law.arrangement, "qr"), "qr", 1.0, (*batch, "row", "column"))
    return [q, Factor(law.origin, "r")]


_FACTOR_STEPS = {
    "gather", "mul", "reduce_sum", "slice", "squeeze", "reshape", "broadcast_in_dim", "select_n",
    "convert_element_type",
}  # fmt: skip


def _factor(name: str, laws: Sequence[Law], equation: Any) -> list[Law] | None:
    """R's diagonal, its signs, and Q times them."""
    factors = [law for law in laws if isinstance(law, Factor)]
    matrices = [law for law in laws if isinstance(law, Matrix)]
    if len(factors) != 1:
        return None
    (factor,) = factors
    if matrices:
        signs, matrix = factor, matrices[0]
        shape = next(
            atom.aval.shape
            for atom, law in zip(equation.invars, laws, strict=True)
            if isinstance(law, Factor)
        )
        own = equation.outvars[0].aval.shape
        by_column = shape == (*own[:-2], 1, own[-1])
        same = signs.kind == "signs" and signs.origin == matrix.origin and matrix.kind == "qr"
        turned = matrix.axes[-1] != "column" or not by_column
        return [replace(matrix, kind="orthogonal")] if same and not turned else None
    if name == "sign" and factor.kind == "r":
        return [Factor(factor.origin, "signs")]
    if name in _FACTOR_STEPS and (factor.kind == "r" or name in _SHAPES):
        return [factor]
    return None


_SHAPES = {"reshape", "squeeze", "broadcast_in_dim", "expand_dims"}

_MOVES = {*_SHAPES, "transpose", "slice", "split", "rev", "sharding_constraint", "name", "copy_p"}
"""Primitives that only move elements."""


def _moved(equation: Any, law: Law) -> list[Law] | None:
    """The same elements, elsewhere."""
    name, params = equation.primitive.name, equation.params
    before, after = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    if isinstance(law, Factor):
        return [law] if name in _SHAPES else None
    if name in ("sharding_constraint", "name", "copy_p") or (before == after and name in _SHAPES):
        return [law]
    if isinstance(law, Matrix):
        axes = _axes_of(name, law.axes, params, before, after)
        return None if axes is None else [moved(replace(law, axes=axes), (name, after))]
    if not isinstance(law, Bits | Drawn) or (
        name in _SHAPES and math.prod(before) != math.prod(after)
    ):
        return None
    if name == "split":
        sizes, axis = params["sizes"], params["axis"]
        return [moved(law, (name, axis, sizes, k)) for k in range(len(sizes))]
    facts = tuple((k, str(v)) for k, v in sorted(params.items()) if k != "sharding")
    if name in _SHAPES:
        facts = ()
    return [moved(law, (name, facts, after))]


def _axes_of(
    name: str,
    axes: tuple[Axis, ...],
    params: Any,
    before: Sequence[int],
    after: Sequence[int],
) -> tuple[Axis, ...] | None:
    """Which axes are rows and columns after a move, if they are still whole."""
    if name == "transpose":
        return tuple(axes[p] for p in params["permutation"])
    if name not in _SHAPES or math.prod(before) != math.prod(after):
        return None
    groups: list[tuple[Axis, int]] = []
    for axis, size in zip(axes, before, strict=True):
        if size == 1:
            continue
        if groups and groups[-1][0] == axis:
            groups[-1] = axis, groups[-1][1] * size
        else:
            groups.append((axis, size))
    found: list[Axis] = []
    left = 1
    label: Axis = axes[0]
    for size in after:
        if size > 1 and left == 1:
            if not groups:
                return None
            label, left = groups.pop(0)
        if left % size:
            return None
        left //= size
        found.append(label)
    return tuple(found)


def raised(law: Law) -> Law:
    """A law with a new first axis of 1."""
    match law:
        case Matrix():
            return moved(replace(law, axes=("batch", *law.axes)), "raised")
        case Bits() | Drawn():
            return moved(law, "raised")
        case Pieces(axis, parts):
            return Pieces(axis + 1, tuple((size, raised(part)) for size, part in parts))
    return law
