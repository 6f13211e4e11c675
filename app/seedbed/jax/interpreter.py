"""Follows a jaxpr, equation by equation: known numbers are computed, draws stay laws."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.extend.core as jc
import numpy as np
from jax.interpreters import partial_eval

from seedbed.jax.laws import Chance, Constant, Keys, Known, Law, known, origin_of, side_by_side
from seedbed.jax.moves import moved_law, raised
from seedbed.jax.rules import ELEMENTWISE, KEYED, drawn_law, folded, still

SMALL = 1 << 22
"""Elements beyond which known numbers are not computed."""

STEPS = 4096
"""Steps of a scan that are followed one by one."""

_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")

_CALLED = {
    "jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call",
    "custom_vjp_call_jaxpr", "remat", "remat2", "checkpoint", "custom_lin",
}  # fmt: skip
"""Primitives whose outputs are those of the jaxpr that they have."""


def laws_of(closed: Any, inputs: Sequence[Law]) -> list[Law]:
    """The law of each output of a closed jaxpr.

    What no output depends on, such as the forward pass of a module's `init`, is left out.

    Args:
        closed: as `jax.make_jaxpr` gives it.
        inputs: a law for each input.
    """
    jaxpr, used = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    kept = [law for law, is_used in zip(inputs, used, strict=True) if is_used]
    return _followed(jaxpr, [_given(x) for x in closed.consts], kept)


def _given(x: Any) -> Law:
    """A value that the function brings with it."""
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        return Keys(x)
    return known(x)


def given(x: Any) -> Law:
    """An argument: an array, or only its shape and dtype, which is refused where it is used."""
    if isinstance(x, jax.ShapeDtypeStruct):
        return Chance("an argument without numbers")
    array = x if hasattr(x, "dtype") else np.asarray(x)
    return _given(array)


def _followed(jaxpr: Any, consts: Sequence[Law], inputs: Sequence[Law]) -> list[Law]:
    env: dict[Any, Law] = dict(zip(jaxpr.constvars, consts, strict=True))
    env.update(zip(jaxpr.invars, inputs, strict=True))

    def read(atom: Any) -> Law:
        return known(atom.val) if isinstance(atom, jc.Literal) else env[atom]

    for equation in jaxpr.eqns:
        laws = _applied(equation, [read(atom) for atom in equation.invars])
        env.update(zip(equation.outvars, laws, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _applied(equation: Any, laws: list[Law]) -> list[Law]:
    name, params = equation.primitive.name, equation.params
    count = len(equation.outvars)
    if name in _CALLED:
        inner = next(params[key] for key in _CALLS if key in params)
        return _inner(inner, laws)
    if name == "scan":
        return _scanned(equation, laws)
    if name == "cond":
        return _branch(params, laws, count)
    if name == "platform_index":
        return [Constant(_platform(params["platforms"]))]
    if name in ("optimization_barrier", "device_put") and len(laws) == count:
        return laws
    if name in ("concatenate", "stack") and not all(map(_is_known, laws)):
        return [_joined(equation, laws)]
    if name == "random_bits":
        return [drawn_law(equation, laws)]
    if any(isinstance(law, Keys) for law in laws) and name not in KEYED:
        return [Chance(name, _origins(laws))] * count
    if all(map(_is_known, laws)):
        return _computed(equation, laws)
    if count > 1 and name not in ("qr", "split"):
        return [_chance(equation, laws)] * count
    outcome = still(equation, laws)
    return [_chance(equation, laws)] * count if outcome is None else outcome


def _joined(equation: Any, laws: Sequence[Law]) -> Law:
    """Operands along an axis, that they have or that is new."""
    params, shape = equation.params, equation.outvars[0].aval.shape
    if equation.primitive.name == "concatenate":
        axis = params["dimension"]
        sizes = [atom.aval.shape[axis] for atom in equation.invars]
        return side_by_side(axis, [*zip(sizes, laws, strict=True)], shape)
    axis, before = params["axis"], equation.invars[0].aval.shape
    after = (*before[:axis], 1, *before[axis:])
    rows = [
        raised(law) if axis == 0 else moved_law("expand_dims", {}, law, before, after)
        for law in laws
    ]
    bands = [(1, law) for law in rows if law is not None]
    return side_by_side(axis, bands, shape) if len(bands) == len(laws) else _chance(equation, laws)


def _is_known(law: Law) -> bool:
    return isinstance(law, Constant | Known | Keys)


def _origins(laws: Sequence[Law]) -> frozenset[bytes]:
    return frozenset().union(*map(origin_of, laws))


def _chance(equation: Any, laws: Sequence[Law]) -> Chance:
    """What was random without a law before stays so; else this is the primitive that made it so."""
    earlier = next((law.reason for law in laws if isinstance(law, Chance)), None)
    words = ", ".join(_word(law) for law in laws)
    return Chance(earlier or f"{equation.primitive.name}({words})", _origins(laws))


def _word(law: Law) -> str:
    if isinstance(law, Constant):
        return f"{law.value:.6g}" if isinstance(law.value, int | float) else f"{law.value}"
    distribution = getattr(law, "distribution", None)
    return type(distribution or law).__name__.lower()


def _inner(inner: Any, laws: Sequence[Law]) -> list[Law]:
    closed = inner if hasattr(inner, "consts") else jc.ClosedJaxpr(inner, ())
    return laws_of(closed, laws)


def _platform(platforms: Any) -> int:
    """Which branch the CPU takes."""
    for index, names in enumerate(platforms):
        if names is None or "cpu" in names:
            return index
    return len(platforms)


def _branch(params: Any, laws: list[Law], count: int) -> list[Law]:
    index, *operands = laws
    if not isinstance(index, Constant) or not isinstance(index.value, int):
        return [Chance("cond of what is random", _origins(laws))] * count
    branches = params["branches"]
    return _inner(branches[min(max(int(index.value), 0), len(branches) - 1)], operands)


def _scanned(equation: Any, laws: list[Law]) -> list[Law]:
    """Each step on its own, so that the keys of each are seen."""
    params = equation.params
    length, consts, carried = params["length"], params["num_consts"], params["num_carry"]
    if length > STEPS:
        return [Chance(f"scan of {length:,} steps", _origins(laws))] * len(equation.outvars)
    fixed, carry, stacked = laws[:consts], laws[consts : consts + carried], laws[consts + carried :]
    rows: list[list[Law]] = []
    order: Iterator[int] = iter(range(length))
    for step in reversed(list(order)) if params["reverse"] else order:
        inputs = [*fixed, *carry, *(_step(law, step) for law in stacked)]
        outputs = _inner(params["jaxpr"], inputs)
        carry = outputs[:carried]
        rows.append(outputs[carried:])
    if params["reverse"]:
        rows.reverse()
    shapes = [atom.aval.shape for atom in equation.outvars[carried:]]
    columns = zip(*rows, strict=True) if rows else [()] * len(shapes)
    return [*carry, *(_stacked(list(c), s) for c, s in zip(columns, shapes, strict=True))]


def _step(law: Law, step: int) -> Law:
    """What a step of a scan sees of what it runs over."""
    match law:
        case Constant():
            return law
        case Keys(array):
            return Keys(array[step])
        case Known(array, seeded):
            return known(array[step], seeded=seeded)
    return Chance("scan over what is drawn", origin_of(law))


def _stacked(column: list[Law], shape: tuple[int, ...]) -> Law:
    """The outputs of all steps, along a new first axis."""
    if not column:
        return Chance("scan without a step")
    if all(isinstance(law, Keys) for law in column):
        return Keys(jax.numpy.stack([law.array for law in column if isinstance(law, Keys)]))
    if all(map(_is_known, column)) and any(not isinstance(law, Constant) for law in column):
        shape = next(law.array.shape for law in column if isinstance(law, Known))
        rows = [
            np.broadcast_to(np.asarray(law.value), shape)
            if isinstance(law, Constant)
            else np.asarray(law.array)  # type: ignore[union-attr]
            for law in column
        ]
        return known(np.stack(rows), seeded=any(getattr(law, "seeded", False) for law in column))
    return side_by_side(0, [(1, raised(law)) for law in column], shape)


def _computed(equation: Any, laws: list[Law]) -> list[Law]:
    """An equation of known numbers."""
    name, params = equation.primitive.name, equation.params
    seeded = any(isinstance(law, Known) and law.seeded for law in laws)
    seeded |= name == "random_unwrap"
    if all(isinstance(law, Constant) for law in laws) and (
        name in ELEMENTWISE or name in _SPREADING
    ):
        return [folded(equation, laws) if name in ELEMENTWISE else laws[0]]
    shapes = [atom.aval.shape for atom in (*equation.invars, *equation.outvars)]
    if max(map(math.prod, shapes), default=0) > SMALL:
        return [Chance(f"{name} of many known numbers")] * len(equation.outvars)
    arrays = [
        np.full(atom.aval.shape, law.value, atom.aval.dtype)
        if isinstance(law, Constant)
        else law.array  # type: ignore[union-attr]
        for law, atom in _pairs(laws, equation)
    ]
    try:
        outputs = _bound(equation.primitive.bind, arrays, params)
    except Exception as error:  # noqa: BLE001  whatever this primitive needs that is not here
        return [Chance(f"{name}: {type(error).__name__}")] * len(equation.outvars)
    return [
        Keys(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else known(x, seeded=seeded)
        for x in outputs
    ]


_SPREADING = {
    "broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "rev", "copy", "copy_p",
    "slice", "sharding_constraint", "dynamic_slice", "name",
}  # fmt: skip
"""What leaves a constant as it is."""


def _pairs(laws: Sequence[Law], equation: Any) -> Iterator[tuple[Law, Any]]:
    return iter(zip(laws, equation.invars, strict=True))


def _bound(bind: Callable[..., Any], arrays: Sequence[Any], params: Any) -> list[Any]:
    outputs = bind(*map(jax.numpy.asarray, arrays), **params)
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]
