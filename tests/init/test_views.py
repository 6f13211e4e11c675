from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from seedbed.errors import ParameterError
from seedbed.init import Dense, Fill, MatrixCache, Source
from seedbed.init.arrays import Array, concatenate, stack, zeros
from seedbed.init.fills import Constant, Drawn
from seedbed.init.views import (
    Joined,
    Named,
    Sliced,
    Summed,
    Transposed,
)
from seedbed.stream import DTYPES, NUMPY, Box, Normal, Summary, Uniform, get_engine
from tests.oracles import NUMPY_DTYPES
from tests.strategies import untimed
from tests.stream.test_boxes import numbers, small_boxes


@dataclass(frozen=True)
class Counting(Fill):
    """A fill that holds its own indices, with what it was asked for written down."""

    asked: list[int] = field(default_factory=list, compare=False, repr=False)

    def check(self, dtype: Any) -> None:
        """Any will do."""

    def write_box(self, _source: Source, box: Box, out: NDArray[Any]) -> None:
        """Elements as float32 indices."""
        self.asked.append(box.size)
        out[...] = box.indices().reshape(box.extents)

    def summary(self) -> Summary:
        """Nothing is known."""
        return Summary(0.0, 1.0, None, None, None)


def source(code: str = "F32", name: str = "w", cache: int = 0) -> Source:
    """Where draws come from."""
    return Source(get_engine(NUMPY), 42, name, DTYPES[code], MatrixCache(cache, 1))


def written(fill: Fill, start: int, count: int, where: Source | None = None) -> NDArray[Any]:
    """Elements `[start, start + count)` of a fill."""
    where = where or source()
    out = bytearray(count * where.dtype.size_bytes)
    fill.write(where, start, memoryview(out))
    return np.frombuffer(bytes(out), NUMPY_DTYPES[where.dtype.code])


def array(name: str, shape: tuple[int, ...], fill: Fill | None = None) -> tuple[Array, Any]:
    """A parameter, lazy and as NumPy has it."""
    drawn = Named(fill or Drawn(Normal(0.0, 1.0)), name)
    values = written(drawn, 0, math.prod(shape)).reshape(shape)
    return Array(drawn, shape, (name,), name), values


small = st.integers(1, 6)


@st.composite
def arrays(draw: st.DrawFn, depth: int = 3) -> tuple[Array, NDArray[Any]]:
    """An array rearranged at random, lazily and by NumPy."""
    shape = tuple(draw(st.lists(small, min_size=1, max_size=4)))
    fill = draw(st.sampled_from((Drawn(Normal(0.0, 1.0)), Drawn(Uniform(-1.0, 1.0)), Constant(2))))
    lazy, real = array(draw(st.sampled_from("abc")), shape, fill)
    for _ in range(draw(st.integers(0, depth))):
        how = draw(st.sampled_from(("transpose", "reshape", "slice", "join", "stack", "add")))
        rank = real.ndim
        if how == "transpose":
            axes = tuple(draw(st.permutations(range(rank))))
            flipped = tuple(draw(st.sets(st.sampled_from(range(rank))))) if rank else ()
            lazy = lazy.transpose(*axes, flipped=flipped)
            real = np.flip(real, flipped).transpose(axes)
        elif how == "reshape":
            wanted = (1, *real.shape) if draw(st.booleans()) else (math.prod(real.shape),)
            lazy, real = lazy.reshape(*wanted), real.reshape(wanted)
        elif how == "slice" and rank:
            start = draw(st.integers(0, len(real) - 1))
            stop = draw(st.integers(start + 1, len(real)))
            lazy, real = lazy[start:stop], real[start:stop]
        elif how == "add":
            other, values = array("d", real.shape)
            lazy, real = lazy + other, real + values
        elif how in ("join", "stack") and rank:
            other, values = array("e", real.shape, draw(st.sampled_from((None, Constant(0)))))
            if how == "join":
                lazy, real = concatenate([lazy, other]), np.concatenate([real, values])
            else:
                lazy, real = stack([other, lazy]), np.stack([values, real])
    return lazy, real


@untimed
@given(arrays(), st.data())
def test_arrays_are_numpys(pair: tuple[Array, NDArray[Any]], data: st.DataObject) -> None:
    """However it is rearranged, any cut of a lazy array is that of NumPy's."""
    lazy, real = pair
    assert lazy.shape == real.shape
    flat = real.reshape(-1)
    start = data.draw(st.integers(0, flat.size))
    stop = data.draw(st.integers(start, flat.size))
    assert np.array_equal(written(lazy.fill, start, stop - start), flat[start:stop])


@untimed
@given(arrays(), st.sampled_from(("F64", "F16", "BF16", "F8_E5M2")))
def test_other_dtypes_are_the_rounded_float32(pair: tuple[Array, NDArray[Any]], code: str) -> None:
    """A view in a narrower dtype is its own float32, rounded once; in F64, widened."""
    lazy, real = pair
    found = written(lazy.fill, 0, real.size, source(code))
    assert found.tobytes() == real.reshape(-1).astype(NUMPY_DTYPES[code]).tobytes()


@untimed
@given(arrays(), st.data())
def test_boxes_of_arrays_are_numpys(pair: tuple[Array, NDArray[Any]], data: st.DataObject) -> None:
    """Any strided box of a lazy array is that of NumPy's, as rows and columns of a shard are."""
    lazy, real = pair
    box = data.draw(small_boxes(real.size, real.size))
    out = np.zeros(box.extents, "<f4")
    lazy.fill.write_box(source(), box, out)
    assert np.array_equal(out, real.reshape(-1)[numbers(box)])


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((100_000, 100_000), (1, 0)), ((512, 512, 9), (2, 1, 0)), ((3, 1 << 30), (1, 0)),
     ((1 << 20, 64, 27), (2, 1, 0)), ((1 << 30, 3), (1, 0)), ((1 << 21, 1 << 21), (1, 0))],
)  # fmt: skip
@pytest.mark.parametrize("count", [1, 256, 100_000])
def test_a_range_makes_what_it_holds(
    shape: tuple[int, ...], axes: tuple[int, ...], count: int
) -> None:
    """A range from anywhere in a huge transposed tensor asks for its elements, in a few boxes."""
    total = math.prod(shape)
    for start in (0, total // 3, total - count):
        counting = Counting()
        written(Transposed(counting, shape, axes), start, count)
        assert len(counting.asked) <= 2 * len(shape) - 1
        assert sum(counting.asked) == count


def test_parts_behind_a_transposition_cost_a_box_each() -> None:
    """Columns of a fused kernel fall into a box for each gate, not into one for each row."""
    counting = Counting()
    gates = Joined(tuple((Sliced(counting, 1000 * gate), 1 << 20) for gate in range(4)))
    written(Transposed(gates, (4096, 1024), (1, 0)), 5 * 4096, 64 * 4096)
    assert sorted(counting.asked) == [1 << 16] * 4


# What the simplest form is


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((4, 3), (0, 1), None),
        ((4, 1, 3), (1, 0, 2), None),
        ((4, 3), (1, 0), ((4, 3), (1, 0))),
        ((4, 3, 2, 5), (2, 3, 1, 0), ((4, 3, 10), (2, 1, 0))),
        ((4, 3, 2, 5), (2, 3, 0, 1), ((12, 10), (1, 0))),
        ((4, 1, 2, 5), (2, 3, 1, 0), ((4, 10), (1, 0))),
        ((6, 2, 1, 3), (3, 0, 1, 2), ((12, 3), (1, 0))),
    ],
)
def test_transpositions_are_merged(shape: Any, axes: Any, expected: Any) -> None:
    """Axes that stay together are one, axes of 1 none, and what changes nothing is no view."""
    lazy, _ = array("w", shape)
    fill = lazy.transpose(*axes).fill
    if expected is None:
        assert fill is lazy.fill
    else:
        assert isinstance(fill, Transposed)
        assert (fill.shape, fill.axes) == expected


def test_constants_stay_constants() -> None:
    """Cut, transposed or added to, a zero costs nothing."""
    zero = zeros(4, 3)
    assert zero.T.fill == zero[1:2].fill == Constant(0)
    lazy, _ = array("w", (4, 3))
    assert (lazy + zero).fill is (zero + lazy).fill is lazy.fill
    assert zero.is_zero
    assert not lazy.is_zero


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a: a.reshape(5),
        lambda a: a[::2],
        lambda a: a + a[:1],
        lambda a: concatenate([a, a.T]),
    ],
)
def test_what_numpy_refuses(wrong: Any) -> None:
    """Shapes that do not go together are a mistake of the layer, found when it is written."""
    lazy, _ = array("w", (4, 3))
    with pytest.raises(ValueError, match=r"."):
        wrong(lazy)


def test_text_says_how_it_is_made() -> None:
    """An array is described in NumPy's words, with the names of what it is made of."""
    a, _ = array("a", (4, 3))
    b, _ = array("b", (4, 3))
    made = concatenate([(a + b)[2:4], a[0:2]]).T
    assert made.text == "concatenate((a + b)[2:4], a[0:2]).T"
    assert made.sources == ("a", "b")
    assert a.transpose(1, 0, flipped=(0,)).text == "flip(a, (0,)).transpose(1, 0)"


# Dtypes and numbers


def test_sums_must_stay_within_the_dtype() -> None:
    """Two terms that fit alone are refused where their sum would not."""
    half = Drawn(Uniform(-300.0, 300.0))
    assert Summed(half, half).check(DTYPES["F16"]) is None
    with pytest.raises(ParameterError, match="-600 … 600"):
        Summed(half, half).check(DTYPES["F8_E4M3"])
    edge = Constant(3e38)
    for code in ("F32", "F64"):
        with pytest.raises(ParameterError, match=code):
            Summed(edge, edge).check(DTYPES[code])


def test_sums_of_integers_are_exact() -> None:
    """Constants in an integer dtype are added as integers, past float32 and past float64."""
    cases = {"I32": 2**24 + 1, "I64": 2**62 + 1, "U64": 2**63 + 1, "U8": 200}
    for code, value in cases.items():
        dtype = DTYPES[code]
        fill = Summed(Constant(value), Constant(5))
        fill.check(dtype)
        out = bytearray(dtype.size_bytes)
        fill.write(Source(NUMPY, 0, "x", dtype, MatrixCache(0, threads=1)), 0, memoryview(out))
        assert int.from_bytes(out, "little") == value + 5
    for code in cases:
        edge = Constant(int(DTYPES[code].highest))
        with pytest.raises(ParameterError, match=code):
            Summed(edge, Constant(1)).check(DTYPES[code])


def test_sums_of_pairs_have_both_parts() -> None:
    """Two draws in C64 are added part by part, each of words of its own."""
    first, second = (Named(Drawn(Normal(0.0, 1.0)), name) for name in "ab")
    parts = [written(fill, 3, 5, source("C64")) for fill in (first, second)]
    total = written(Summed(first, second), 3, 5, source("C64"))
    assert (total == parts[0] + parts[1]).all()
    assert (total.imag != 0).all()


@pytest.mark.parametrize(
    "view",
    [
        lambda fill: Named(fill, "x"),
        lambda fill: Sliced(fill, 3),
        lambda fill: Joined(((Constant(0), 1), (fill, 3))),
        lambda fill: Transposed(fill, (2, 3), (1, 0)),
        lambda fill: Summed(Constant(0), fill),
    ],
)
def test_views_hand_on_what_a_fill_cannot(view: Any) -> None:
    """A dtype that is too narrow for the fill is too narrow for every view of it."""
    made = view(Drawn(Uniform(-500.0, 500.0)))
    assert made.check(DTYPES["F16"]) is None
    assert made.reach == (-500.0, 500.0)
    with pytest.raises(ParameterError):
        made.check(DTYPES["F8_E4M3"])


@dataclass(frozen=True)
class Matrix:
    """A recipe of one."""

    reach = (-2.0, 2.0)

    def make(self, _source: Source, _check: Any) -> NDArray[np.float32]:
        """Six elements."""
        return np.arange(6, dtype=np.float32)

    def summary(self) -> Summary:
        """Of nothing in particular."""
        return Summary(0.0, 1.0, -2.0, 2.0, 0.0)


def test_views_need_the_matrices_of_what_they_show() -> None:
    """What is made as a whole is so in every view, and what is drawn by the element is not."""
    dense = Dense(Matrix(), 6)
    drawn = Drawn(Normal(0.0, 1.0))
    for view in (
        lambda fill: Named(fill, "x"),
        lambda fill: Sliced(fill, 1),
        lambda fill: Joined(((drawn, 2), (fill, 3))),
        lambda fill: Summed(drawn, fill),
    ):
        assert view(dense).dense_elements == 6
        assert view(drawn).dense_elements == 0
        assert view(dense).reach[1] >= 2.0
    assert Transposed(dense, (2, 3), (1, 0)).dense_elements == 6
    assert written(Transposed(dense, (2, 3), (1, 0)), 0, 6).tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.slow
@pytest.mark.parametrize(
    "pair",
    [
        array("w", (300, 400)),
        *(
            (made, None)
            for made in (
                array("w", (300, 400))[0] + array("v", (300, 400), Drawn(Uniform(-1, 3)))[0],
                concatenate(
                    [array("w", (300, 400))[0], array("v", (90, 400), Drawn(Uniform(-1, 3)))[0]]
                ),
                concatenate([array("w", (300, 400))[0], zeros(300, 400)]),
            )
        ),
    ],
    ids=["drawn", "summed", "joined", "with-zeros"],
)
def test_summaries_are_those_of_the_elements(pair: tuple[Array, Any]) -> None:
    """Mean, deviation, bounds and kurtosis of a view are what its elements have."""
    lazy, _ = pair
    values = written(lazy.fill, 0, lazy.size).astype(np.float64)
    mean, std, lower, upper, kurtosis = lazy.fill.summary()
    assert values.mean() == pytest.approx(mean, abs=0.02)
    assert values.std() == pytest.approx(std, rel=0.01)
    assert kurtosis == pytest.approx(np.mean(((values - mean) / std) ** 4) - 3, abs=0.2)
    assert lower is None or values.min() >= lower
    assert upper is None or values.max() <= upper


def test_bounds_and_kurtosis_of_points() -> None:
    """Of constants there are bounds and no kurtosis."""
    both = Joined(((Constant(1), 1), (Constant(1), 3)))
    assert both.summary() == Summary(1.0, 0.0, 1.0, 1.0, None)
    assert Summed(Constant(1), Constant(2)).summary() == Summary(3.0, 0.0, 3.0, 3.0, None)


def test_every_axis_order() -> None:
    """All orders of four axes, whole, in every way of flipping two of them."""
    shape = (2, 3, 4, 5)
    lazy, real = array("w", shape)
    for axes in itertools.permutations(range(4)):
        for flipped in ((), (0,), (1, 3)):
            fill = lazy.transpose(*axes, flipped=flipped).fill
            expected = np.flip(real, flipped).transpose(axes).reshape(-1)
            assert np.array_equal(written(fill, 0, 120), expected)
