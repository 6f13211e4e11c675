"""How an answer of the light path differs from the library's own word."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from pydantic import TypeAdapter

from seedbed.errors import SeedbedError
from seedbed.init import Constant, Counted, Init, Listed, Parameter, Pattern
from seedbed.stream import ParameterProblem

NEAR = 2e-6
"""Relative error of a number: a recorded one may have been float32."""

_INIT: TypeAdapter[Any] = TypeAdapter(Init)


class Known(Protocol):
    """A tensor of the truth."""

    name: str
    shape: tuple[int, ...]
    dtype: str | None
    init: Any
    same_as: str | None


def tensors(parameters: Sequence[Parameter], truth: Sequence[Known]) -> str | None:
    """The first difference in names, shapes, dtypes or order; `order` comes last.

    A parameter without a dtype of its own is a float32, as the truth was built.
    """
    have = {one.name: one for one in parameters}
    want = {one.name: one for one in truth}
    if lost := [name for name in want if name not in have]:
        return f"lost: {lost[0]} and {len(lost) - 1} more"
    if extra := [name for name in have if name not in want]:
        return f"extra: {extra[0]} and {len(extra) - 1} more"
    for name, one in have.items():
        if one.shape != want[name].shape:
            return f"shape: {name} {list(one.shape)}, not {list(want[name].shape)}"
        if (one.dtype or "F32") != want[name].dtype:
            return f"dtype: {name} {one.dtype or 'F32'}, not {want[name].dtype}"
    for mine, theirs in zip(have, want, strict=True):
        if mine != theirs:
            return f"order: {mine}, not {theirs}"
    return None


def digest(tensors: Sequence[Known] | Sequence[Parameter]) -> str:
    """Names, dtypes, shapes and order as a few letters."""
    whole = hashlib.sha256()
    for one in tensors:
        whole.update(f"{one.name} {one.dtype or 'F32'} {list(one.shape)}\n".encode())
    return whole.hexdigest()[:20]


def starts(
    parameters: Sequence[Parameter], truth: Sequence[Known], guessed: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Tensors that start otherwise, and how; those that say that they are guessed are left out.

    So are tables that the recorder has no scheme for (`unsaid`): their values must be compared.
    """
    want = {one.name: one for one in truth}
    wrong = {}
    for one in parameters:
        other = want.get(one.name)
        if other is None or one.name in guessed:
            continue
        what = _start(one, other)
        if what is not None:
            wrong[one.name] = what
    return wrong


def unsaid(truth: Sequence[Known]) -> list[str]:
    """Tensors of which the recorder does not say how they start."""
    return [t.name for t in truth if t.init is None and t.same_as is None and math.prod(t.shape)]


def _start(one: Parameter, other: Known) -> str | None:
    if one.same_as != other.same_as:
        return f"equal to {one.same_as}, not {other.same_as}"
    if other.same_as is not None or math.prod(one.shape) == 0:
        return None
    if other.init is None:
        return None
    spelling = other.init if isinstance(other.init, str) else repr(other.init)
    mine = _filled(_Key(one))
    theirs = _recorded(spelling, _Frozen(other.init), one.shape)
    if mine is None or theirs is None:
        return f"no fill: {one.init.spelling} or {spelling[:80]}"
    same = alike(mine, theirs) or _equal(mine, theirs, math.prod(one.shape))
    return None if same else f"{mine!s:.120}, not {theirs!s:.120}"


def _equal(one: Any, two: Any, elements: int) -> bool:
    """Whether two fills of which nothing is drawn have the same values: two spell many things."""
    values = [_values(bare(fill), min(elements, 1 << 16)) for fill in (one, two)]
    first, second = values
    return first is not None and second is not None and np.allclose(first, second, 1e-5, 1e-7)


def _values(fill: Any, elements: int) -> Any:
    """The first elements of a fill of which nothing is drawn."""
    places = np.arange(elements, dtype=np.int64)
    match fill:
        case Constant():
            return np.full(elements, float(fill.value))
        case Pattern():
            return fill.formula.at(places)
        case Counted():
            step = (places // fill.stride) % fill.length // fill.repeat
            return float(fill.start) + step * float(fill.step)
        case Listed():
            return np.array(fill.values, np.float64)[:elements]
    return None


class _Frozen:
    """An init beside its spelling, which alone is the key."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class _Key:
    """A parameter, by all that its fill depends on."""

    def __init__(self, one: Parameter) -> None:
        self.one = one
        self.key = (one.shape, one.init.spelling, one.blocks, one.gates, repr(one.fans), one.dtype)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=65_536)
def _filled(key: _Key) -> Any:
    try:
        return key.one.fill(key.one.init, "x")
    except (SeedbedError, ParameterProblem):
        return None


@lru_cache(maxsize=65_536)
def _recorded(_spelling: str, init: _Frozen, shape: tuple[int, ...]) -> Any:
    try:
        return _INIT.validate_python(init.value).fill(shape)
    except (SeedbedError, ParameterProblem, ValueError):
        return None


def alike(one: Any, two: Any) -> bool:
    """Whether two fills are the same but for rounding."""
    if isinstance(one, int | float) and isinstance(two, int | float):
        return one == two or math.isclose(one, two, rel_tol=NEAR, abs_tol=1e-12)
    one, two = bare(one), bare(two)
    if type(one) is not type(two):
        return False
    if dataclasses.is_dataclass(one):
        return all(
            alike(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(one)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(alike, one, two))
    if isinstance(one, Mapping):
        return one.keys() == two.keys() and all(alike(one[k], two[k]) for k in one)
    return bool(one == two)


def bare(fill: Any) -> Any:
    """A fill without the name of its stream, and without where in it a part begins."""
    while type(fill).__name__ in ("Named", "Sliced"):
        fill = fill.fill
    return fill
