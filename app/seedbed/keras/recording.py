"""`record`: what a Keras model starts from, by the initialisers of its variables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
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
        build: makes a model that knows its shapes: functional, or built. It runs twice: what
            differs then is random, by means that Keras does not see.

    Raises:
        SpecError: the model has no variables yet, two of one path, or other ones the second time.
    """
    first, second = _read(build), _read(build)
    if [(t.name, t.shape) for t in first.tensors] != [(t.name, t.shape) for t in second.tensors]:
        raise SpecError("build() makes other variables each time that it runs")
    problem = "law: other in every build, by numbers from outside of Keras"
    tensors = tuple(
        a if a == b else replace(a, init=None, same_as=None, problem=problem)
        for a, b in zip(first.tensors, second.tensors, strict=True)
    )
    refused = {t.name: t.problem for t in tensors if t.problem is not None}
    report = Report(
        library="keras",
        tensors=len(tensors),
        elements=sum(math.prod(t.shape) for t in tensors),
        schemes=schemes_of(tensors),
        refused=refused,
        copied=first.copied,
        literals=tuple(name for name, why in refused.items() if why.startswith("literal")),
        noted=first.noted,
    )
    return Recorded(tensors, report)


@dataclass(frozen=True, slots=True)
class _Read:
    """What one build holds, equal variables by name, and what the report should say of some."""

    tensors: tuple[Entry, ...]
    copied: dict[str, str]
    noted: dict[str, str]


def _read(build: Callable[[], Any]) -> _Read:
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
    return _Read(tuple(entries.values()), copied, noted)


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
