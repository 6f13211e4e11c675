from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from seedbed.errors import ParameterError, ShapeError
from seedbed.init import MatrixCache, Source
from seedbed.models.vision.windows import RelativeCoordsTable, RelativePositionIndex
from seedbed.stream import DTYPES, NUMPY, get_engine

WINDOWS = [(1, 1), (1, 4), (2, 2), (3, 5), (5, 3), (7, 7), (8, 8)]


def written(fill: Any, start: int, stop: int, code: str) -> np.ndarray[Any, Any]:
    """Elements of a fill, as the dtype stores them."""
    dtype = DTYPES[code]
    out = bytearray((stop - start) * dtype.size_bytes)
    fill.write(Source(get_engine(NUMPY), 0, "t", dtype, MatrixCache(0, 1)), start, memoryview(out))
    return np.frombuffer(out, dtype.storage)


def places(height: int, width: int) -> list[int]:
    """Row of the bias table for each pair, counted by going through the table."""
    table = {
        offset: row
        for row, offset in enumerate(product(range(1 - height, height), range(1 - width, width)))
    }
    pixels = list(product(range(height), range(width)))
    return [table[y - v, x - u] for (y, x), (v, u) in product(pixels, pixels)]


@pytest.mark.parametrize(("height", "width"), WINDOWS)
@pytest.mark.parametrize("code", ["I64", "I16", "U8", "F32"])
def test_the_index_of_every_pair(height: int, width: int, code: str) -> None:
    """It is where the offset of the pair stands in a table of all offsets, wherever it is cut."""
    pixels = height * width
    scheme = RelativePositionIndex(height=height, width=width)
    fill = scheme.fill((pixels**2,))
    assert fill == scheme.fill((pixels, pixels))
    fill.check(DTYPES[code])
    expected = places(height, width)
    assert written(fill, 0, pixels**2, code).tolist() == expected
    middle = pixels**2 // 3
    assert written(fill, middle, pixels**2, code).tolist() == expected[middle:]
    summary = fill.summary()
    assert (summary.lower, summary.upper) == (min(expected), max(expected))
    assert summary.mean == pytest.approx(np.mean(expected))
    assert summary.std == pytest.approx(np.std(expected))


def test_dtypes_too_narrow_for_an_index() -> None:
    """A dtype that ends before the table does is refused, and so is BOOL."""
    fill = RelativePositionIndex(height=8, width=8).fill((4096,))
    for code in ("I8", "BOOL"):
        with pytest.raises(ParameterError, match="reach 0 … 224"):
            fill.check(DTYPES[code])


def test_a_large_window_is_read_anywhere() -> None:
    """The last pair of a window of 4096 × 4096 is its last pixel seen from itself."""
    side = 4096
    fill = RelativePositionIndex(height=side, width=side).fill((side**4,))
    middle = (side - 1) * (2 * side - 1) + side - 1
    assert written(fill, side**4 - 1, side**4, "I64").tolist() == [middle]


@pytest.mark.parametrize(("height", "width"), [(2, 2), (2, 5), (7, 7), (8, 8), (16, 24)])
def test_the_table_of_offsets(height: int, width: int) -> None:
    """Each is the signed logarithm of its offset, to base 8; the farthest is log₈ 9."""
    shape = (1, 2 * height - 1, 2 * width - 1, 2)
    fill = RelativeCoordsTable().fill(shape)
    assert fill == RelativeCoordsTable().fill(shape[1:])
    found = written(fill, 0, math.prod(shape), "F32").reshape(shape[1:])
    for a, b, axis in np.ndindex(*shape[1:]):
        offset, far = ((a - height + 1, height - 1), (b - width + 1, width - 1))[axis]
        expected = math.copysign(math.log2(1 + 8 * abs(offset) / far) / 3, offset)
        assert found[a, b, axis] == pytest.approx(expected, rel=6e-8, abs=0)
    summary = fill.summary()
    assert summary.std == pytest.approx(found.std(), rel=1e-5)
    assert summary.mean == pytest.approx(found.mean(), abs=1e-6)
    assert [summary.lower, summary.upper] == pytest.approx([found.min(), found.max()], rel=1e-7)


def test_a_table_of_offsets_needs_a_float() -> None:
    """No integer holds it."""
    with pytest.raises(ParameterError, match="whole numbers"):
        RelativeCoordsTable().fill((3, 3, 2)).check(DTYPES["I64"])


@pytest.mark.parametrize(
    ("scheme", "shapes"),
    [
        (RelativePositionIndex(height=2, width=3), [(), (6,), (35,), (4, 9), (6, 6, 1), (0, 0)]),
        (RelativeCoordsTable(), [(), (3, 3), (4, 3, 2), (1, 3, 2), (3, 3, 3), (2, 3, 3, 2)]),
    ],
    ids=["index", "coords"],
)
def test_shapes_that_no_window_has(scheme: Any, shapes: list[tuple[int, ...]]) -> None:
    """They are refused."""
    for shape in shapes:
        with pytest.raises(ShapeError):
            scheme.fill(shape)
