"""Laws of boxes of a tensor: written into one another, and met element by element."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seedbed.jax.laws import (
    Box,
    Constant,
    Known,
    Law,
    Pieces,
    common,
    cut,
    known,
    put_together,
    shifted,
    sizes,
    whole,
)
from seedbed.jax.moves import moved_law

BOXES = 256
"""Boxes that a tensor is followed in."""


def in_boxes(law: Law) -> Pieces | None:
    """Known numbers as boxes of constants, if they are few; laws of boxes as they are."""
    if isinstance(law, Pieces):
        return law
    if not isinstance(law, Known) or law.seeded:
        return None
    array = np.asarray(law.array)
    edges = []
    for axis in range(array.ndim):
        line = np.moveaxis(array, axis, 0)
        differ = (line[1:] != line[:-1]).reshape(len(line) - 1, -1).any(axis=1)
        edges.append([0, *(np.flatnonzero(differ) + 1).tolist(), len(line)])
    if math.prod(len(some) - 1 for some in edges) > BOXES:
        return None
    boxes = itertools.product(*(list(itertools.pairwise(some)) for some in edges))
    return Pieces(tuple((box, known(array[tuple(slice(a, b) for a, b in box)])) for box in boxes))


def met(
    laws: Sequence[Law], shape: Sequence[int], of: Callable[[list[Law]], Law | None]
) -> Law | None:
    """An element-wise operation on each box in which no operand changes its law.

    Args:
        laws: of the operands, each of the result's shape, or a constant.
        shape: of the result.
        of: the operation.
    """
    pieces = [in_boxes(law) for law in laws]
    frames: list[Box] = [whole(shape)]
    for part in pieces:
        if part is not None:
            both = [common(frame, box) for frame in frames for box, _ in part.boxes]
            frames = [box for box in both if box is not None]
        if len(frames) > BOXES:
            return None
    outcomes = []
    for frame in frames:
        cuts = [
            cut(law if part is None else part, shape, frame)
            for law, part in zip(laws, pieces, strict=True)
        ]
        inner = [law for law in cuts if law is not None]
        outcome = of(inner) if len(inner) == len(cuts) else None
        if outcome is None:
            return None
        outcomes.append((frame, outcome))
    return put_together(outcomes)


def without(box: Box, hole: Box) -> list[Box]:
    """What is left of a box outside of another, in boxes."""
    inner = common(box, hole)
    if inner is None:
        return [box]
    left: list[Box] = []
    for axis, ((low, high), (a, b)) in enumerate(zip(box, inner, strict=True)):
        rest = (*box[axis + 1 :],)
        for start, stop in ((low, a), (b, high)):
            if start < stop:
                left.append((*inner[:axis], (start, stop), *rest))
    return left


def written(law: Law, shape: Sequence[int], box: Box, update: Law) -> Law | None:
    """A law after another was written over a box of it."""
    before = law if isinstance(law, Pieces) else Pieces(((whole(shape), law),))
    pieces: list[tuple[Box, Law]] = [(box, update)]
    for own, part in before.boxes:
        for left in without(own, box):
            inner = cut(part, sizes(own), shifted(left, own))
            if inner is None:
                return None
            pieces.append((left, inner))
    return put_together(pieces)


def scattered(equation: Any, laws: Sequence[Law]) -> Law | None:
    """`x.at[…].set(…)`: windows of known places."""
    operand, indices, updates = laws
    params, dims = equation.params, equation.params["dimension_numbers"]
    if dims.operand_batching_dims or params["update_jaxpr"] is not None:
        return None
    shape, places, windows = (atom.aval.shape for atom in equation.invars)
    if isinstance(indices, Constant):
        indices = Known(np.full(places, indices.value, np.int64))
    if not isinstance(indices, Known) or indices.seeded:
        return None
    starts = np.asarray(indices.array).astype(np.int64)
    if math.prod(starts.shape[:-1]) > BOXES:
        return None
    free = [axis for axis in range(len(windows)) if axis not in dims.update_window_dims]
    kept = [axis for axis in range(len(shape)) if axis not in dims.inserted_window_dims]
    extents = dict.fromkeys(range(len(shape)), 1)
    extents |= {axis: windows[at] for axis, at in zip(kept, dims.update_window_dims, strict=True)}
    clips = "CLIP" in str(params["mode"])
    for number in np.ndindex(starts.shape[:-1]):
        first = dict.fromkeys(range(len(shape)), 0)
        values = starts[number].tolist()
        first |= dict(zip(dims.scatter_dims_to_operand_dims, values, strict=True))
        if clips:
            first = {a: min(max(low, 0), shape[a] - extents[a]) for a, low in first.items()}
        box = tuple((first[axis], first[axis] + extents[axis]) for axis in range(len(shape)))
        if any(low < 0 or high > size for (low, high), size in zip(box, shape, strict=True)):
            continue  # dropped
        at = dict(zip(free, number, strict=True))
        chosen = tuple((at[a], at[a] + 1) if a in at else (0, n) for a, n in enumerate(windows))
        update = cut(updates, windows, chosen)
        if update is not None and not isinstance(update, Constant):
            update = moved_law("reshape", {}, update, sizes(chosen), sizes(box))
        after = None if update is None else written(operand, shape, box, update)
        if after is None:
            return None
        operand = after
    return operand


def padded(equation: Any, laws: Sequence[Law]) -> Law | None:
    """`pad`: a value around a tensor."""
    law, value = laws
    config = equation.params["padding_config"]
    edges = [(int(low), int(high), int(between)) for low, high, between in config]
    if any(low < 0 or high < 0 or between for low, high, between in edges):
        return None
    before, after = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    box = tuple((low, low + size) for (low, _, _), size in zip(edges, before, strict=True))
    return written(value, after, box, law) if isinstance(value, Constant) else None


def updated(equation: Any, laws: Sequence[Law]) -> Law | None:
    """`dynamic_update_slice` at a known place."""
    law, update, *starts = laws
    shape, window = (atom.aval.shape for atom in equation.invars[:2])
    box = placed(starts, shape, window)
    return None if box is None else written(law, shape, box, update)


def placed(starts: Sequence[Law], shape: Sequence[int], window: Sequence[int]) -> Box | None:
    """A window at a known place, moved to be within, as JAX does."""
    if not all(isinstance(start, Constant) for start in starts):
        return None
    first = [int(start.value) for start in starts if isinstance(start, Constant)]  # type: ignore[arg-type]
    lows = [min(max(a, 0), n - m) for a, n, m in zip(first, shape, window, strict=True)]
    return tuple((low, low + m) for low, m in zip(lows, window, strict=True))
