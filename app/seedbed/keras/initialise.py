"""`init_`: a Keras model's variables filled in place, by `assign`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from seedbed.errors import SpecError
from seedbed.files import nearest
from seedbed.init import Limits, TensorPlan
from seedbed.recording import CODES, Drawing, Origin
from seedbed.stream import DTYPES

_SHOWN = 8


def init_(
    model: Any, source: Origin, seed: int | None = None, *, limits: Limits | None = None
) -> tuple[str, ...]:
    """Fill every variable of `model.weights` with the tensor of its path.

    Elements are those of the source's file, in the variable's dtype: one draw, rounded. Keras
    numbers layers through a process, so paths may differ by that: `dense_4/kernel` is
    `dense_1/kernel`, if all variables agree in order.

    Args:
        model: with its variables made.
        source: a recording, or a spec, also as a dict.
        seed: instead of the source's own.
        limits: what it may ask for.

    Returns:
        Names of the tensors that were assigned, in the model's order.

    Raises:
        SpecError: the source means no file, or not this model's; nothing is assigned then.
    """
    drawing = Drawing(source, seed, limits)
    pairs = _paired(model.weights, drawing.plans)
    for variable, plan in pairs:
        whole = tuple((0, n) for n in plan.shape)
        dtype = DTYPES[CODES[variable.dtype]]
        # A draw is a float32, which the backend rounds to narrower floats as Seedbed does.
        variable.assign(drawing.box(plan, whole, "F32" if dtype.is_float else dtype.code))
    return tuple(plan.name for _, plan in pairs)


def _paired(
    variables: Sequence[Any], plans: Sequence[TensorPlan]
) -> Sequence[tuple[Any, TensorPlan]]:
    """Each variable with its tensor.

    Raises:
        SpecError: some have none, or another shape, or a dtype that cannot hold it.
    """
    by_name = {plan.name: plan for plan in plans}
    paths = [variable.path for variable in variables]
    if set(paths) != by_name.keys():
        in_order = [_unnumbered(plan.name) for plan in plans]
        if in_order == [_unnumbered(path) for path in paths]:
            by_name = dict(zip(paths, plans, strict=True))
    faults = {}
    for variable in variables:
        plan = by_name.get(variable.path)
        if plan is None:
            near = nearest(variable.path, by_name)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            faults[variable.path] = f"the source has no such tensor{hint}"
        elif plan.shape != tuple(variable.shape):
            faults[variable.path] = f"its shape is {variable.shape}, the source's is {plan.shape}"
        elif variable.dtype not in CODES:
            faults[variable.path] = f"{variable.dtype} has no code in specs"
        else:
            try:
                plan.fill.check(DTYPES[CODES[variable.dtype]])
            except SpecError as error:
                faults[variable.path] = error.message
    faults |= dict.fromkeys(by_name.keys() - set(paths), "the model has no such variable")
    if faults or not variables:
        lines = [f"{name}: {why}" for name, why in list(faults.items())[:_SHOWN]]
        if len(faults) > _SHOWN:
            lines.append(f"and {len(faults) - _SHOWN:,} more")
        lines = lines or ["the model has no variables yet"]
        raise SpecError(
            "\n".join(["the source does not fit the model; nothing was assigned", *lines])
        )
    return [(variable, by_name[variable.path]) for variable in variables]


def _unnumbered(path: str) -> str:
    """A path without the numbers that Keras gives layers of one name."""
    return re.sub(r"_\d+(?=/)", "", path)
