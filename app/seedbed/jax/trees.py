"""Trees of arrays as libraries have them, and the names that their leaves have in a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from seedbed.errors import SpecError


@dataclass(frozen=True, slots=True)
class Tree:
    """What an init function gives back.

    Attributes:
        structure: of all leaves.
        leaves: those that are no arrays, such as activation functions; `None` for arrays.
        names: of the arrays, in order.
        left_out: arrays that a file does not have, each with the reason.
    """

    structure: Any
    leaves: tuple[Any, ...]
    names: tuple[str, ...]
    left_out: Mapping[str, str]

    def filled(self, arrays: Mapping[str, Any]) -> Any:
        """The tree with these arrays."""
        named = iter(self.names)
        return jax.tree_util.tree_unflatten(
            self.structure, [arrays[next(named)] if x is None else x for x in self.leaves]
        )


def opened(init_fn: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Any, Tree]:
    """The jaxpr of a function, the shapes of its arrays, and the tree they are in."""
    seen: list[Tree] = []

    def arrays(*args: Any) -> list[Any]:
        made, left_out = _without_state(init_fn(*args))
        paths, structure = jax.tree_util.tree_flatten_with_path(made)
        is_array = [hasattr(leaf, "shape") and hasattr(leaf, "dtype") for _, leaf in paths]
        named = [_name(path) for (path, _), yes in zip(paths, is_array, strict=True) if yes]
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise SpecError(f"two arrays of the tree are named {twice[0]!r}", ("tree",))
        leaves = (None if yes else leaf for (_, leaf), yes in zip(paths, is_array, strict=True))
        seen[:] = [Tree(structure, tuple(leaves), tuple(named), left_out)]
        return [leaf for (_, leaf), yes in zip(paths, is_array, strict=True) if yes]

    closed, shapes = jax.make_jaxpr(arrays, return_shape=True)(*args)
    return closed, shapes, seen[0]


def _without_state(made: Any) -> tuple[Any, Mapping[str, str]]:
    """A module of nnx as the plain tree of its variables, without those of random numbers."""
    nnx = sys.modules.get("flax.nnx")
    if nnx is None:
        return made, {}
    if isinstance(made, nnx.Module):
        made = nnx.state(made)
    if not isinstance(made, nnx.State):
        return made, {}
    kept, random = nnx.split_state(made, nnx.Not(nnx.RngState), ...)
    paths, _ = jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(random))
    why = "state of the generator of random numbers"
    return nnx.to_pure_dict(kept), {_name(path): why for path, _ in paths}


def _name(path: tuple[Any, ...]) -> str:
    """A path as a dotted name: `params.Dense_0.kernel`."""
    parts = [
        str(next(v for a in ("key", "name", "idx") if (v := getattr(entry, a, None)) is not None))
        for entry in path
    ]
    return ".".join(parts) or "array"
