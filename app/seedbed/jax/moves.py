"""Primitives that move elements, and where laws are after that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from seedbed.jax.laws import (
    Axis,
    Bits,
    Box,
    Constant,
    Drawn,
    Factor,
    Known,
    Law,
    Matrix,
    Pieces,
    cut,
    moved,
    put_together,
    sizes,
    whole,
)

SHAPES = {"reshape", "squeeze", "broadcast_in_dim", "expand_dims"}
"""Primitives that leave the elements in order, if they are as many as before."""

MOVES = {*SHAPES, "transpose", "slice", "rev", "sharding_constraint", "name", "copy_p"}
"""Primitives that only move elements, of one operand to one result."""


def moved_law(
    name: str, params: Any, law: Law, before: Sequence[int], after: Sequence[int]
) -> Law | None:
    """The same elements, elsewhere."""
    if isinstance(law, Factor):
        return law if name in SHAPES else None
    if isinstance(law, Constant) or name in ("sharding_constraint", "name", "copy_p"):
        return law
    if name in SHAPES and (tuple(before) == tuple(after) or math.prod(before) != math.prod(after)):
        return law if tuple(before) == tuple(after) else None
    if name == "slice" and set(params["strides"] or (1,)) == {1}:
        box = tuple(zip(params["start_indices"], params["limit_indices"], strict=True))
        return cut(law, before, box)
    if isinstance(law, Pieces):
        return _each(name, params, law, before, after)
    if isinstance(law, Matrix):
        axes = _axes_of(name, law.axes, params, before, after)
        return None if axes is None else moved(replace(law, axes=axes), (name, tuple(after)))
    if not isinstance(law, Bits | Drawn):
        return None
    facts = tuple((k, str(v)) for k, v in sorted(params.items()) if k != "sharding")
    return moved(law, (name, () if name in SHAPES else facts, tuple(after)))


def _each(
    name: str, params: Any, law: Pieces, before: Sequence[int], after: Sequence[int]
) -> Law | None:
    """Every box where a transposition or a reshape puts it, if it is still a box there."""
    if name not in SHAPES and name != "transpose":
        return None
    pieces = []
    for box, part in law.boxes:
        if name == "transpose":
            place: Box | None = tuple(box[p] for p in params["permutation"])
        else:
            place = reshaped(box, before, after)
        inner = None
        if place is not None:
            inner = moved_law(name, params, part, sizes(box), sizes(place))
        if place is None or inner is None:
            return None
        pieces.append((place, inner))
    return put_together(pieces)


def reshaped(box: Box, before: Sequence[int], after: Sequence[int]) -> Box | None:
    """A box after a reshape, if it is still one."""
    sides: list[tuple[int, int]] = []
    for own, other in _groups(before, after):
        flat = _run(tuple(box[axis] for axis in own), [before[axis] for axis in own])
        inner = None if flat is None else _unrun(*flat, [after[axis] for axis in other])
        if inner is None:
            if [before[axis] for axis in own if before[axis] > 1] != [
                after[axis] for axis in other if after[axis] > 1
            ]:
                return None
            spans = iter(box[axis] for axis in own if before[axis] > 1)
            inner = tuple(next(spans) if after[axis] > 1 else (0, 1) for axis in other)
        sides += inner
    return tuple(sides)


def _groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Axes that a reshape turns into each other, in the smallest groups."""
    groups: list[tuple[list[int], list[int]]] = []
    i = k = 0
    while i < len(before) or k < len(after):
        own, other = ([i], []) if i < len(before) else ([], [k])
        have, want = (before[i], 1) if own else (1, after[k])
        i, k = i + len(own), k + len(other)
        while have != want:
            if have < want:
                have *= before[i]
                own.append(i)
                i += 1
            else:
                want *= after[k]
                other.append(k)
                k += 1
        groups.append((own, other))
    return groups


def _run(spans: Box, extents: Sequence[int]) -> tuple[int, int] | None:
    """The numbers of a box's elements, if they follow each other."""
    start, size, is_inside = 0, 1, False
    for (low, high), extent in zip(spans, extents, strict=True):
        if is_inside and (low, high) != (0, extent):
            return None
        is_inside |= high - low > 1
        start = start * extent + low
        size *= high - low
    return start, start + size


def _unrun(start: int, stop: int, extents: Sequence[int]) -> Box | None:
    """The box of elements that follow each other, if they are one."""
    if not extents:
        return ()
    inner = math.prod(extents[1:])
    if start % inner == 0 and stop % inner == 0:
        return ((start // inner, stop // inner), *whole(extents[1:]))
    row = start // inner
    if stop > (row + 1) * inner:
        return None
    rest = _unrun(start - row * inner, stop - row * inner, extents[1:])
    return None if rest is None else ((row, row + 1), *rest)


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
    if name not in SHAPES or math.prod(before) != math.prod(after):
        return None
    groups: list[tuple[Axis, int]] = []
    for axis, size in zip(axes, before, strict=True):
        if size == 1:
            continue
        if groups and groups[-1][0] == axis:
            groups[-1] = axis, groups[-1][1] * size
        else:
            groups.append((axis, size))
    labels: list[Axis] = []
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
        labels.append(label)
    return tuple(labels)


def raised(law: Law) -> Law:
    """A law with a new first axis of 1."""
    match law:
        case Matrix():
            return moved(replace(law, axes=("batch", *law.axes)), "raised")
        case Bits() | Drawn():
            return moved(law, "raised")
        case Pieces(boxes):
            return Pieces(tuple((((0, 1), *box), raised(part)) for box, part in boxes))
        case Known(array, seeded):
            return Known(np.asarray(array)[None], seeded)
    return law
