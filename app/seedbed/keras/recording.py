"""`record`: what a Keras model starts from, by the initialisers of its variables."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from seedbed.errors import SpecError
from seedbed.keras.initialisers import said, seed_of
from seedbed.keras.scope import built
from seedbed.recording import CODES, Entry, Recorded, Report, Unsaid, schemes_of

Recording = Recorded[Entry]
"""What a model starts from."""


def record(build: Callable[[], Any]) -> Recording:
    """What `build()` starts from, without allocating or drawing it.

    The model is built under `keras.StatelessScope`, where variables keep their initialisers.

    Args:
        build: makes a model that knows its shapes: functional, or built.

    Raises:
        SpecError: the model has no variables yet, or two of one path.
    """
    variables = built(build)
    if not variables:
        raise SpecError("the model has no variables: give it an Input, or call build(shape)")
    entries: dict[str, Entry] = {}
    copied: dict[str, str] = {}
    noted: dict[str, str] = {}
    seeds: dict[object, tuple[Entry, object]] = {}
    for variable, initialiser in variables:
        entry = _entry(variable, initialiser)
        seed = seed_of(initialiser)
        if type(seed) is int and entry.init is not None:
            first, config = seeds.setdefault(seed, (entry, _config(initialiser)))
            if first is not entry:
                copied[entry.name] = first.name
                if (first.shape, first.dtype, config) == (
                    entry.shape,
                    entry.dtype,
                    _config(initialiser),
                ):
                    entry = _equal(entry, first.name)
                else:
                    noted[entry.name] = f"Keras draws it from the seed of {first.name}"
        if entries.setdefault(entry.name, entry) is not entry:
            raise SpecError(f"two variables of the model have the path {entry.name!r}")
    tensors = tuple(entries.values())
    refused = {t.name: t.problem for t in tensors if t.problem is not None}
    report = Report(
        library="keras",
        tensors=len(tensors),
        elements=sum(math.prod(t.shape) for t in tensors),
        schemes=schemes_of(tensors),
        refused=refused,
        copied=copied,
        literals=tuple(name for name, why in refused.items() if why.startswith("literal")),
        noted=noted,
    )
    return Recorded(tensors, report)


def _config(initialiser: Any) -> object:
    return type(initialiser), repr(initialiser.get_config())


def _entry(variable: Any, initialiser: Any) -> Entry:
    shape, dtype = tuple(variable.shape), variable.dtype
    init = said(initialiser, shape, dtype) if dtype in CODES else Unsaid("dtype", dtype)
    problem = f"{init.kind}: {init.reason}" if isinstance(init, Unsaid) else None
    return Entry(
        name=variable.path,
        shape=shape,
        dtype=CODES.get(dtype),
        init=None if isinstance(init, Unsaid) else init,
        same_as=None,
        problem=problem,
    )


def _equal(entry: Entry, other: str) -> Entry:
    return Entry(entry.name, entry.shape, entry.dtype, None, other, None)
