"""`record`: what a function that makes parameters starts them from, read off its jaxpr."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import numpy as np

from seedbed.errors import SpecError
from seedbed.jax.emission import said
from seedbed.jax.interpreter import given, laws_of
from seedbed.jax.laws import Chance, Drawn, Law, Pieces, apart, is_random, origin_of
from seedbed.jax.trees import Tree, opened
from seedbed.recording import CODES, Entry, Recorded, Report, Unsaid, schemes_of


@dataclass(frozen=True, slots=True)
class RecordedArray(Entry):
    """One array of the tree."""


@dataclass(frozen=True)
class Recording(Recorded[RecordedArray]):
    """What an init function starts from.

    Attributes:
        structure: the tree that it gives back.
    """

    structure: Tree = field(repr=False, compare=False)

    def tree(self, arrays: Mapping[str, Any]) -> Any:
        """The tree that the function gives back, with these arrays by their names in the file.

        Of an nnx module it is the plain dict of its variables, as `nnx.update` takes it.
        """
        return self.structure.filled(arrays)


def record(
    init_fn: Callable[..., Any],
    *args: Any,
    fallback: Literal["literal"] | None = None,
) -> Recording:
    """What `init_fn(*args)` starts its arrays from, at full size, without drawing them.

    Its jaxpr is followed from the keys to each array: only keys and small tables are computed.

    Args:
        init_fn: gives back a tree of arrays: linen's `model.init`, a function that makes an nnx
            module or state, an equinox module, plain dicts. It is traced twice: what differs then
            is random, by means that JAX does not see.
        args: a key and whatever else it takes, arrays or their shapes.
        fallback: `literal` lists known numbers that no scheme gives, up to 65,536 of an array.

    Raises:
        SpecError: two arrays of the tree have one name, or the function makes other ones the
            second time.
    """
    traced = _agreed(_read(init_fn, args), _read(init_fn, args))
    return _described(traced, listing=fallback == "literal")


@dataclass(frozen=True, slots=True)
class _Read:
    laws: list[Law]
    shapes: list[Any]
    tree: Tree


def _read(init_fn: Callable[..., Any], args: tuple[Any, ...]) -> _Read:
    closed, shapes, tree = opened(init_fn, args)
    return _Read(laws_of(closed, [given(x) for x in jax.tree_util.tree_leaves(args)]), shapes, tree)


def _agreed(first: _Read, second: _Read) -> _Read:
    """The first, with what the second has otherwise as random."""
    if first.tree.names != second.tree.names or first.shapes != second.shapes:
        raise SpecError("the function makes other arrays each time that it runs")
    other = Chance("other in every run, by numbers from outside of JAX")

    def init(read: _Read, n: int) -> Any:
        law, shape = read.laws[n], read.shapes[n]
        numbers = getattr(law, "array", None)
        text = None if numbers is None else np.asarray(numbers).tobytes()
        return text, said(law, shape.shape, shape.dtype)

    laws = [law if init(first, n) == init(second, n) else other for n, law in enumerate(first.laws)]
    return _Read(laws, first.shapes, first.tree)


def _described(traced: _Read, *, listing: bool) -> Recording:
    seen: list[tuple[str, Law, Any]] = []
    copied: dict[str, str] = {}
    noted: dict[str, str] = {}
    tensors = []
    by_key: dict[bytes, list[int]] = {}
    for name, law, shape in zip(traced.tree.names, traced.laws, traced.shapes, strict=True):
        init = said(law, shape.shape, shape.dtype, listing=listing)
        same_as = None
        origin = origin_of(law) if is_random(law) else frozenset()
        for number in sorted({n for key in origin for n in by_key.get(key, ())}):
            other, twin, twin_shape = seen[number]
            if isinstance(init, Unsaid) or _apart(law, twin):
                continue
            copied[name] = other
            if law == twin and shape == twin_shape:
                same_as = other
            else:
                init = Unsaid("copy", f"drawn from a key that {other} is drawn from")
            break
        for key in origin:
            by_key.setdefault(key, []).append(len(seen))
        seen.append((name, law, shape))
        if any(isinstance(x, Drawn) and x.coarse for x in _inner(law)):
            noted[name] = f"JAX draws {shape.dtype.name} in few steps; recorded is what is meant"
        tensors.append(
            RecordedArray(
                name=name,
                shape=tuple(shape.shape),
                dtype=CODES.get(shape.dtype.name),
                init=None if isinstance(init, Unsaid) or same_as else init,
                same_as=same_as,
                problem=f"{init.kind}: {init.reason}" if isinstance(init, Unsaid) else None,
            )
        )
    refused = {t.name: t.problem for t in tensors if t.problem is not None}
    report = Report(
        library="jax",
        tensors=len(tensors),
        elements=sum(int(np.prod(t.shape)) for t in tensors),
        schemes=schemes_of(tensors),
        refused=refused,
        copied=copied,
        literals=tuple(name for name, why in refused.items() if why.startswith("literal")),
        left_out=traced.tree.left_out,
        noted=noted,
    )
    return Recording(tuple(tensors), report, traced.tree)


def _inner(law: Law) -> list[Law]:
    """The laws of its boxes, or itself."""
    return [part for _, part in law.boxes] if isinstance(law, Pieces) else [law]


def _apart(law: Law, other: Law) -> bool:
    """Whether no number of one is in the other, though they share keys."""
    return all(
        apart(a, b) for a in _inner(law) for b in _inner(other) if origin_of(a) & origin_of(b)
    )
