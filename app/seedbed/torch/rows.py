"""Constants written to listed rows, as `weight[[0, 5]] = 0` does."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch

from seedbed.recording import PARTS
from seedbed.torch.calls import Operation
from seedbed.torch.geometry import part_of, row_major
from seedbed.torch.memory import Store
from seedbed.torch.values import Value, constant, reality


def with_rows(op: Operation, make: Any) -> Value | None:
    """What a tensor holds after that; None if the rows or what they get are not known."""
    before = op.value_of(op.bound["self"])
    axis, index = _place(op)
    written = op.bound.get("values", op.bound.get("value"))
    held = op.value_of(written)
    number = written if held is None else held.constant
    if before is None or not before.shape or index is None or op.bound.get("accumulate"):
        return None
    if not isinstance(number, int | float) or not index.is_known or index.elements > PARTS:
        return None
    axis %= len(before.shape)
    with reality():
        rows = sorted({int(n) % before.shape[axis] for n in index.real().flatten()})
    if not rows:
        return None
    frame = row_major(before.shape)
    store = Store(None, before.elements, before.dtype, torch.device("cpu"))
    store.write(frame, before)
    starts = [rows[0], *(b for a, b in pairwise(rows) if b != a + 1)]
    stops = [*(a + 1 for a, b in pairwise(rows) if b != a + 1), rows[-1] + 1]
    for ends in zip(starts, stops, strict=True):
        box = tuple(ends if k == axis else (0, n) for k, n in enumerate(before.shape))
        place = part_of(frame, box)
        store.write(place, constant(place.shape, before.dtype, number))
    return store.read(frame).like(make=make)


def _place(op: Operation) -> tuple[int, Value | None]:
    """The axis along which rows are listed, and their numbers."""
    if op.name == "index_fill":
        return op.bound["dim"], op.value_of(op.bound["index"])
    indices = [(axis, x) for axis, x in enumerate(op.bound["indices"]) if x is not None]
    if len(indices) != 1 or indices[0][1].dtype == torch.bool:
        return 0, None
    return indices[0][0], op.value_of(indices[0][1])
