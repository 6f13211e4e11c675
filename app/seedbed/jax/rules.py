"""What JAX's primitives do to a law; `None` for what no rule here knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from seedbed.jax.boxes import met, padded, placed, scattered, updated
from seedbed.jax.laws import (
    Axis,
    Bits,
    Chance,
    Constant,
    Drawn,
    Factor,
    Keys,
    Known,
    Law,
    Matrix,
    Pieces,
    cut,
    known,
    whole,
)
from seedbed.jax.moves import MOVES, SHAPES, moved_law
from seedbed.recording import (
    Call,
    Distribution,
    Expression,
    Normal,
    Truncated,
    Uniform,
    X,
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


_OF_BITS = {"shift_right_logical", "bitcast_convert_type"}
"""Primitives between bits and a float."""


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
    shapes = [atom.aval.shape for atom in equation.invars]
    after = equation.outvars[0].aval.shape
    if name == "qr":
        return _qr(equation, laws[0])
    if name == "split":
        return _split(equation, laws[0])
    if any(isinstance(law, Factor) for law in laws) and name not in MOVES:
        return _factor(name, laws, equation)
    outcome: Law | None = None
    if name in MOVES:
        outcome = moved_law(name, equation.params, laws[0], shapes[0], after)
    elif name in _WRITTEN:
        outcome = _WRITTEN[name](equation, laws)
    elif name == "dynamic_slice":
        box = placed(laws[1:], shapes[0], after)
        outcome = None if box is None else cut(laws[0], shapes[0], box)
    elif name in ELEMENTWISE | _OF_BITS:
        outcome = _elementwise(equation, laws, shapes, after)
    return None if outcome is None else [outcome]


_WRITTEN: Mapping[str, Callable[[Any, Sequence[Law]], Law | None]] = {
    "scatter": scattered, "pad": padded, "dynamic_update_slice": updated,
}  # fmt: skip


def _split(equation: Any, law: Law) -> list[Law] | None:
    """`jnp.split`: boxes along an axis."""
    shape = equation.invars[0].aval.shape
    axis, start, parts = equation.params["axis"], 0, []
    for size in equation.params["sizes"]:
        box = (*whole(shape[:axis]), (start, start + size), *whole(shape[axis + 1 :]))
        part = cut(law, shape, box)
        if part is None:
            return None
        parts.append(part)
        start += size
    return parts


def _elementwise(
    equation: Any, laws: Sequence[Law], shapes: Sequence[tuple[int, ...]], shape: tuple[int, ...]
) -> Law | None:
    """One operation on each element; box by box where operands change within the tensor."""
    name = equation.primitive.name
    spread: list[Law] = []
    for law, own in zip(laws, shapes, strict=True):
        if isinstance(law, Known) and own != shape:
            spread.append(Known(np.broadcast_to(np.asarray(law.array), shape), law.seeded))
        elif isinstance(law, Constant) or own == shape:
            spread.append(law)
        else:
            return None  # what is drawn would be in several elements
    if any(isinstance(law, Pieces | Known) for law in spread):
        return met(spread, shape, lambda inner: _of_element(equation, name, inner))
    return _of_element(equation, name, spread)


def _of_element(equation: Any, name: str, laws: list[Law]) -> Law | None:
    """The same where no operand changes its law."""
    out = equation.outvars[0].aval.dtype
    if all(isinstance(law, Constant) for law in laws):
        return folded(equation, laws)
    if name == "select_n" and isinstance(laws[0], Constant):
        return laws[1 + int(laws[0].value)]  # type: ignore[arg-type]
    random = [i for i, law in enumerate(laws) if not isinstance(law, Constant)]
    law = laws[random[0]]
    if isinstance(law, Matrix) and len(random) == 1:
        return _of_matrix(name, law, laws, random[0])
    if isinstance(law, Bits) and len(random) == 1:
        return _of_bits(equation, law, laws)
    drawn = [x for x in laws if isinstance(x, Drawn)]
    if len(drawn) != len(random) or not jax.numpy.issubdtype(out, jax.numpy.floating):
        return None
    if any((x.origin, x.arrangement) != (drawn[0].origin, drawn[0].arrangement) for x in drawn):
        return None  # of several draws, or of other elements of one
    dtype = equation.invars[random[0]].aval.dtype
    return _of_draw(equation, drawn, laws, dtype)


def folded(equation: Any, laws: Sequence[Law]) -> Law:
    """An element-wise equation of constants."""
    values = [
        np.asarray(law.value if isinstance(law, Constant) else None, atom.aval.dtype)
        for law, atom in zip(laws, equation.invars, strict=True)
    ]
    if equation.primitive.name == "convert_element_type":
        return known(values[0].astype(equation.outvars[0].aval.dtype))
    return known(equation.primitive.bind(*map(jax.numpy.asarray, values), **equation.params))


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
        unit = int(np.ones((), dtype).view(f"u{np.dtype(dtype).itemsize}"))
        if law.width == bits and law.arrangement[-1] == ("one", unit):
            bases = ((None, Uniform(1.0, 2.0)),)
            return Drawn(law.origin, law.arrangement[:-1], bases, coarse=bits < 16)
    return None


def _of_draw(equation: Any, drawn: Sequence[Drawn], laws: Sequence[Law], dtype: Any) -> Law | None:
    """A draw put through an element-wise function with numbers, or with itself."""
    name, law = equation.primitive.name, drawn[0]
    if name in ("convert_element_type", "reduce_precision"):
        return law
    shared = _shared(drawn)
    expressions = []
    for k in range(shared):
        operands = [
            x.expressions[k] if isinstance(x, Drawn) else float(x.value)  # type: ignore[union-attr, arg-type]
            for x in laws
        ]
        expression = _expression(name, operands, equation.params)
        if expression is None:
            return None
        expressions.append(expression)
    if not expressions:
        return None
    law = replace(law, bases=law.bases[:shared], expressions=tuple(expressions))
    if len(drawn) > 1 or drawn[0].expression != X:
        return law
    at = next(i for i, x in enumerate(laws) if isinstance(x, Drawn))
    values = [float(x.value) for x in laws if isinstance(x, Constant)]  # type: ignore[arg-type]
    closed = _closed(name, drawn[0], values, at, dtype)
    if isinstance(closed, float):
        return Constant(closed)
    if closed is None:
        return law
    return replace(
        law, bases=(*law.bases, (expressions[-1], closed)), expressions=(*expressions, X)
    )


def _shared(drawn: Sequence[Drawn]) -> int:
    """How many bases all of them have."""
    first = drawn[0].bases
    equal = [
        k
        for k in range(len(first) + 1)
        if all(x.bases[:k] == first[:k] and len(x.bases) >= k for x in drawn)
    ]
    return max(equal)


_PLAIN = {"neg", "abs", "exp", "expm1", "log", "sqrt", "square", "sin", "cos", "erf_inv"}


def _expression(name: str, operands: list[Any], params: Any) -> Expression | None:
    """What becomes of a draw, in ATen's words."""
    x = operands[0]
    match name:
        case _ if name in _PLAIN:
            return Call(name, (x,))
        case "copy":
            return x  # type: ignore[no-any-return]
        case "add" | "mul":
            if name == "mul" and operands[0] == operands[1]:
                return Call("square", (x,))
            return Call(name, tuple(sorted(operands, key=lambda y: isinstance(y, float))))
        case "sub" | "div":
            return Call(name, tuple(operands))
        case "max" | "min":
            y, c = operands if isinstance(operands[1], float) else operands[::-1]
            bound = "clamp_min" if name == "max" else "clamp_max"  # ATen names the end
            return Call(bound, (y, c)) if isinstance(c, float) else None
        case "clamp":
            low, y, high = operands
            bounds = isinstance(low, float) and isinstance(high, float)
            return Call("clamp", (y, low, high)) if bounds else None
        case "log1p":
            return Call("log", (Call("add", (x, 1.0)),))
        case "rsqrt":
            return Call("reciprocal", (Call("sqrt", (x,)),))
        case "logistic":
            return Call("reciprocal", (Call("add", (Call("exp", (Call("neg", (x,)),)), 1.0)),))
        case "exp2":
            return Call("exp", (Call("mul", (x, math.log(2.0))),))
        case "integer_pow":
            known_powers = {1: x, 2: Call("square", (x,)), -1: Call("reciprocal", (x,))}
            return known_powers.get(params["y"])
    return None


def _erfinv(d: Distribution, dtype: Any) -> Distribution | None:
    """Of a uniform whose ends are −1 and 1 but for the dtype's steps: a normal."""
    if not isinstance(d, Uniform):
        return None
    eps = float(jax.numpy.finfo(dtype).eps)
    low, high = d.low, d.high
    if abs(low + 1) <= eps and abs(high - 1) <= eps:
        return erfinv(Uniform(-1.0, 1.0))
    return erfinv(d)


def _meant(d: Truncated, name: str, bound: float) -> Truncated:
    """Cut at the bound that is asked for, where steps of a narrow dtype end just before it."""
    own = d.lower if name == "max" else d.upper
    if abs(own - bound) > _COARSE * abs(bound):
        return d
    return replace(d, lower=bound) if name == "max" else replace(d, upper=bound)


_COARSE = 2.0**-6
"""Two steps of bfloat16, as parts of a number."""

_FUNCTIONS: Mapping[str, Callable[[Distribution], Distribution | float | None]] = {
    "neg": lambda d: affine(d, -1.0, 0.0),
    "exp": exp,
    "log": log,
    "copy": lambda d: d,
}


def _closed(
    name: str, law: Drawn, values: Sequence[float], at: int, dtype: Any
) -> Distribution | float | None:
    d = law.distribution
    if law.coarse and name in ("max", "min") and isinstance(d, Truncated):
        d = _meant(d, name, values[0])
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
    if name in _FACTOR_STEPS and (factor.kind == "r" or name in SHAPES):
        return [factor]
    return None
