"""What schemes of whole matrices are made of: draws, shapes, and sums in a stated order."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seedbed.init.schemes.base import Shape, require_rank
from seedbed.init.source import Source
from seedbed.stream import DTYPES, Normal

Matrix = NDArray[np.float32]
Doubles = NDArray[np.float64]

BLOCK_ELEMENTS = 1 << 20
"""Elements that are widened to float64 together."""


def gaussian(source: Source, shape: tuple[int, ...], std: float = 1.0, *, start: int = 0) -> Matrix:
    """The tensor's normal draws, as many as the shape has elements, from element `start` on."""
    out = np.empty(shape, np.float32)
    source.engine.draw(
        source.seed, source.name, Normal(0.0, std), DTYPES["F32"], start,
        out.reshape(-1).view(np.uint8).data,
    )  # fmt: skip
    return out


def blocks(matrix: Matrix) -> Iterator[Matrix]:
    """Some rows at a time, as views; none of a matrix without elements."""
    rows, columns = matrix.shape
    step = max(1, BLOCK_ELEMENTS // max(columns, 1))
    for first in range(0, rows if columns else 0, step):
        yield matrix[first : first + step]


def sum_in_order(values: Doubles) -> Doubles:
    """Sums along the last axis, one addition after another from the first term."""
    return np.add.accumulate(values, axis=-1)[..., -1]


def matrix_of(shape: Shape, scheme: str) -> tuple[int, int]:
    """(out, in·kernel)."""
    require_rank(shape, scheme, 2)
    return shape[0], math.prod(shape[1:])
