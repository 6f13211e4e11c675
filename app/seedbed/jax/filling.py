"""`fill`: the tensors of a spec as JAX's arrays, each device's part made on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
from jax.sharding import Sharding
from numpy.typing import NDArray

from seedbed.errors import SpecError
from seedbed.init import Limits, TensorPlan
from seedbed.recording import CODES, Drawing, Origin, Ranges

Shardings: TypeAlias = (
    Sharding | Mapping[str, Sharding] | Callable[[str, tuple[int, ...]], Sharding]
)

_NAMES = {code: name for name, code in CODES.items()}


def fill(
    spec: Origin,
    sharding: Shardings,
    *,
    seed: int | None = None,
    limits: Limits | None = None,
) -> dict[str, jax.Array]:
    """The tensors of a spec by name, sharded; each process makes what its own devices hold.

    Elements are those of the spec's file, whatever the mesh.

    Args:
        spec: a spec, also as a dict, or a recording.
        sharding: of all tensors; or by name; or a function of name and shape.
        seed: instead of the spec's own.
        limits: what it may ask for.

    Raises:
        SpecError: the spec means no file, a sharding is missing or does not fit, or JAX lacks the
            dtype: 64 bits need `jax_enable_x64`.
    """
    drawing = Drawing(spec, seed, limits)
    chosen = _chosen(sharding, drawing.plans)
    for plan in drawing.plans:
        if plan.dtype.size_bytes == 8 and not jax.config.jax_enable_x64:
            raise SpecError(
                f"{plan.name!r} is {plan.dtype.code}; JAX has 64 bits only with jax_enable_x64",
                ("dtype",),
            )
        try:
            chosen[plan.name].shard_shape(plan.shape)
        except ValueError as error:  # an axis that the mesh does not divide
            raise SpecError(f"{plan.name!r}: {error}", ("sharding",)) from error
    return {plan.name: _array(plan, chosen[plan.name], drawing) for plan in drawing.plans}


def _chosen(sharding: Shardings, plans: Sequence[TensorPlan]) -> Mapping[str, Sharding]:
    """The sharding of each tensor."""
    names = [plan.name for plan in plans]
    if isinstance(sharding, Mapping):
        if differ := sorted(sharding.keys() ^ set(names)):
            raise SpecError(f"shardings and tensors differ: {', '.join(differ[:8])}", ("sharding",))
        return sharding
    if isinstance(sharding, Sharding):
        return dict.fromkeys(names, sharding)
    return {plan.name: sharding(plan.name, plan.shape) for plan in plans}


def _array(plan: TensorPlan, sharding: Sharding, drawing: Drawing) -> jax.Array:
    """One tensor; devices that hold the same part share it."""
    made: dict[Ranges, NDArray[Any]] = {}
    dtype = jax.numpy.dtype(_NAMES[plan.dtype.code])

    def part(index: tuple[slice, ...] | None) -> NDArray[Any]:
        slices = index or ()
        ranges = tuple(s.indices(n)[:2] for s, n in zip(slices, plan.shape, strict=True))
        if ranges not in made:
            made[ranges] = drawing.box(plan, ranges).view(dtype)
        return made[ranges]

    return jax.make_array_from_callback(plan.shape, sharding, part, dtype=dtype)
