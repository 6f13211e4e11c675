from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seedbed.errors import ParameterError
from seedbed.init import Fill, Source
from seedbed.init.fills import Constant, Drawn
from seedbed.init.matrices import MatrixCache
from seedbed.stream import (
    DTYPES,
    NUMPY,
    Distribution,
    Dtype,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
    derive_key,
    get_engine,
)
from seedbed.stream.aesctr import keystream, scratch
from tests.init.schemes.tensors import scheme_of
from tests.oracles import NUMPY_DTYPES
from tests.strategies import CODES, FLOATS, INTEGERS, untimed

DISTRIBUTIONS = (Uniform(-1.0, 1.0), Normal(0.0, 1.0), TruncatedNormal(0.0, 1.0), LogUniform(1, 2))

codes = st.sampled_from(CODES)
float_dtypes = st.sampled_from(FLOATS).map(DTYPES.__getitem__)
fills = st.one_of(
    st.sampled_from(DISTRIBUTIONS).map(Drawn), st.sampled_from((0, 1, -0.0, 0.1)).map(Constant)
)


def written(fill: Fill, dtype: Dtype, start: int, count: int) -> bytes:
    """Elements `[start, start + count)` of the tensor `w` of seed 42, by the definition."""
    out = bytearray(count * dtype.size_bytes)
    fill.write(Source(get_engine(NUMPY), 42, "w", dtype, MatrixCache(0, 1)), start, memoryview(out))
    return bytes(out)


@untimed
@given(fills, float_dtypes, st.integers(0, 2**62), st.lists(st.integers(0, 40), max_size=4))
def test_elements_depend_on_their_index_alone(
    fill: Fill, dtype: Dtype, start: int, counts: list[int]
) -> None:
    """Written in pieces or at once, from any element on, the bytes are the same."""
    whole = written(fill, dtype, start, sum(counts))
    position, pieces = start, []
    for count in counts:
        pieces.append(written(fill, dtype, position, count))
        position += count
    assert b"".join(pieces) == whole


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)
@pytest.mark.parametrize("code", FLOATS)
def test_draws_are_those_of_the_tensor_s_key(distribution: Distribution, code: str) -> None:
    """The words come from seed and name, and each is one element, rounded as others round."""
    words = keystream(derive_key(42, "w"), 5, 1000, scratch(1000))
    expected = distribution.draw(words).astype(NUMPY_DTYPES[code])
    assert written(Drawn(distribution), DTYPES[code], 5, 1000) == expected.tobytes()


@pytest.mark.parametrize("code", INTEGERS)
def test_integers_hold_no_draws(code: str) -> None:
    """A dtype of whole numbers is refused for draws, and the place is its dtype."""
    with pytest.raises(ParameterError) as caught:
        Drawn(Normal(0.0, 1.0)).check(DTYPES[code])
    assert caught.value.path == ("dtype",)
    assert code in caught.value.message


@pytest.mark.parametrize("code", FLOATS)
def test_draws_must_stay_within_the_dtype(code: str) -> None:
    """A uniform may reach the dtype's last finite value on either side and not a step past it."""
    highest = min(DTYPES[code].highest, DTYPES["F32"].highest)
    assert Drawn(Uniform(-highest, highest)).check(DTYPES[code]) is None
    if code in ("F64", "F32"):
        return  # float32's own end: Uniform refuses what lies past it
    above = math.nextafter(highest, math.inf)
    for low, high in ((0.0, above), (-above, 0.0)):
        with pytest.raises(ParameterError) as caught:
            Drawn(Uniform(low, high)).check(DTYPES[code])
        assert caught.value.path == ("init",)
        assert f"{DTYPES[code].highest:.6g}" in caught.value.message


@pytest.mark.parametrize("code", ["F16", "F8_E4M3", "F8_E5M2"])
def test_normal_draws_are_judged_by_the_furthest(code: str) -> None:
    """What counts is the furthest draw, 6.34 standard deviations out, not the deviation itself."""
    most = DTYPES[code].highest / 6.34
    assert Drawn(Normal(0.0, most * 0.999)).check(DTYPES[code]) is None
    with pytest.raises(ParameterError, match=code):
        Drawn(Normal(0.0, most * 1.001)).check(DTYPES[code])


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)
def test_the_summary_of_draws_is_the_distribution_s(distribution: Distribution) -> None:
    """Moments and bounds are handed on."""
    assert Drawn(distribution).summary() == distribution.summary()


# Constants


def exact_float32(value: float) -> Fraction:
    """The float32 nearest to a number, ties to even, found among its neighbours."""
    exact = Fraction(value)
    near = np.float32(float(value))
    around = (np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf)))
    finite = [one for one in around if np.isfinite(one)]
    return min(
        (Fraction(float(one)) for one in finite),
        key=lambda one: (abs(one - exact), int(np.float32(float(one)).view(np.uint32)) & 1),
    )


@untimed
@given(st.sampled_from(INTEGERS), st.data(), st.integers(0, 9))
def test_integers_are_exact(code: str, data: st.DataObject, count: int) -> None:
    """Every whole number of a dtype's range, both ends included, is written as itself."""
    dtype = DTYPES[code]
    low, high = int(dtype.lowest), int(dtype.highest)
    value = data.draw(st.one_of(st.sampled_from((low, high, 0)), st.integers(low, high)))
    constant = Constant(value)
    assert constant.check(dtype) is None
    expected = value.to_bytes(dtype.size_bytes, "little", signed=low < 0)
    assert written(constant, dtype, 3, count) == expected * count


@untimed
@given(
    st.sampled_from(FLOATS),
    st.one_of(
        st.floats(-448.0, 448.0), st.integers(-448, 448), st.integers(-(2**64) + 1, 2**64 - 1)
    ),
)
@example("F32", 2**60 + 2**36 + 1)  # float64 would make a tie of it
@example("F64", 2**60 + 2**36 + 1)
@example("BF16", -(2**63) - 2**54 - 1)
@example("F16", -0.0)
def test_floats_are_float32_first(code: str, value: float) -> None:
    """A constant is the float32 nearest to it, then rounded to the dtype, with a zero's sign."""
    dtype = DTYPES[code]
    if abs(value) > dtype.highest:
        with pytest.raises(ParameterError):
            Constant(value).check(dtype)
        return
    assert Constant(value).check(dtype) is None
    first = np.float32(float(exact_float32(value)))
    if first == 0:
        first = np.copysign(first, np.float32(value))
    expected = np.array([first]).astype(NUMPY_DTYPES[code]).tobytes()
    assert written(Constant(value), dtype, 7, 2) == expected * 2


@pytest.mark.parametrize("code", CODES)
def test_constants_must_stay_within_the_dtype(code: str) -> None:
    """Either end of the range is taken; the next number past it is refused at `value`."""
    dtype = DTYPES[code]
    # A float64 element is a widened float32.
    ends = DTYPES["F32"] if code == "F64" else dtype
    past = (
        (math.nextafter(ends.lowest, -math.inf), math.nextafter(ends.highest, math.inf))
        if dtype.is_float
        else (ends.lowest - 1, ends.highest + 1)
    )
    for inside, outside in zip((ends.lowest, ends.highest), past, strict=True):
        assert Constant(inside).check(dtype) is None
        with pytest.raises(ParameterError) as caught:
            Constant(outside).check(dtype)
        assert caught.value.path == ("init", "value")
        assert code in caught.value.message


@pytest.mark.parametrize("code", INTEGERS)
def test_integers_hold_no_fractions(code: str) -> None:
    """Half a unit is refused, and a whole float is taken."""
    with pytest.raises(ParameterError) as caught:
        Constant(0.5).check(DTYPES[code])
    assert caught.value.path == ("init", "value")
    assert Constant(1.0).check(DTYPES[code]) is None


@untimed
@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**64), 2**64))
def test_the_summary_of_a_constant_is_a_point(value: float) -> None:
    """Mean and both bounds are the value; it does not vary and has no kurtosis."""
    mean, std, lower, upper, kurtosis = Constant(value).summary()
    assert (mean, lower, upper) == (float(value),) * 3
    assert std == 0.0
    assert kurtosis is None


@pytest.mark.parametrize("init", ["mamba_dt_bias", "sinusoidal", "orthogonal"])
@pytest.mark.parametrize("code", ["F32", "BF16", "F64", "F8_E4M3"])
def test_any_cut_is_a_part_of_the_whole(init: str, code: str) -> None:
    """Patterns, derived draws and matrices give the same bytes from any element on, in any dtype.

    The cuts cross the blocks in which they are made.
    """
    shape = (300, 120)
    fill = scheme_of(init).fill(shape)
    source = Source(get_engine("numpy"), 3, "w", DTYPES[code], MatrixCache(2**24, 1))
    size = DTYPES[code].size_bytes
    whole = bytearray(36_000 * size)
    fill.write(source, 0, memoryview(whole))
    for start, stop in ((0, 1), (1, 3), (16_383, 16_385), (5, 33_000), (35_999, 36_000), (7, 7)):
        piece = bytearray((stop - start) * size)
        fill.write(source, start, memoryview(piece))
        assert piece == whole[start * size : stop * size]


@pytest.mark.parametrize("init", ["mamba_dt_bias", "eye", "orthogonal"])
@pytest.mark.parametrize("code", ["I32", "BOOL"])
def test_only_floats_hold_them(init: str, code: str) -> None:
    """Whole numbers hold constants only."""
    with pytest.raises(ParameterError, match="whole numbers"):
        scheme_of(init).fill((4, 4)).check(DTYPES[code])


@pytest.mark.parametrize("scheme", ["eye", "orthogonal", "unit_norm_rows", "hadamard"])
@pytest.mark.parametrize(("code", "gain"), [("F64", 1e39), ("F32", 1e39), ("F16", 1e5)])
def test_values_past_the_dtype_are_refused(scheme: str, code: str, gain: float) -> None:
    """An element is a float32 first, in F64 too, and no dtype gets an infinity."""
    fill = scheme_of({"scheme": scheme, "gain": gain}).fill((1, 1))
    with pytest.raises(ParameterError, match=f"{code} ends at"):
        fill.check(DTYPES[code])
