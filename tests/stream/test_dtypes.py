from __future__ import annotations

import itertools
import json
import struct
from fractions import Fraction
from typing import get_args

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from seedbed.stream import DTYPES, Dtype, DtypeCode, FloatCode, UnclearDtype, dtype_code
from seedbed.stream.dtypes import round_bfloat16, round_narrow
from tests.oracles import FLOAT_DTYPES, NUMPY_DTYPES
from tests.stream.reference import NARROW, encode
from tests.stream.strategies import random_words

ORACLES = {code: FLOAT_DTYPES[code] for code in get_args(FloatCode) if code not in ("F64", "F32")}
"""The narrow formats by other hands; `tests/files/test_narrow.py` rounds to the rest."""


narrow_codes = pytest.mark.parametrize("code", ORACLES)


def positives(code: str) -> NDArray[np.float32]:
    """Every finite value of a narrow format from 0 up, in the order of its bit patterns."""
    dtype = DTYPES[code]
    patterns = np.arange(2 ** (8 * dtype.size_bytes - 1)).astype(dtype.storage)
    with np.errstate(invalid="ignore"):  # the patterns past the largest value are NaN
        values = patterns.view(NUMPY_DTYPES[code]).astype(np.float32)
    return values[np.isfinite(values)]


def encoded(code: str, values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Bit patterns of float32 values in a dtype."""
    return DTYPES[code].encode(values)


def steps(values: NDArray[np.float32], highest: float) -> NDArray[np.float32]:
    """Values with the float32 on either side of each, up to `highest`, then all negated."""
    infinity = np.float32(np.inf)
    around = np.concatenate(
        [values, np.nextafter(values, infinity), np.nextafter(values, -infinity)]
    )
    around = around[(around >= 0) & (around <= highest)]
    return np.concatenate([around, -around])


@narrow_codes
def test_values_of_the_format_keep_their_pattern(code: str) -> None:
    """Every finite value of the format, of either sign, is encoded as itself; zeros keep theirs."""
    values = positives(code)
    sign = 1 << (8 * DTYPES[code].size_bytes - 1)
    patterns = np.arange(len(values))
    assert np.array_equal(encoded(code, values), patterns)
    assert np.array_equal(encoded(code, -values), patterns + sign)


@narrow_codes
def test_halfway_cases_go_to_even(code: str) -> None:
    """The middle of any two neighbours goes to the even pattern, subnormals included."""
    values = positives(code).astype(np.float64)
    middles = ((values[:-1] + values[1:]) / 2).astype(np.float32)
    assert np.array_equal(middles.astype(np.float64) * 2, values[:-1] + values[1:])
    lower = np.arange(len(middles))
    even = lower + (lower & 1)
    assert np.array_equal(encoded(code, middles), even)
    sign = 1 << (8 * DTYPES[code].size_bytes - 1)
    assert np.array_equal(encoded(code, -middles), even + sign)


@narrow_codes
def test_next_to_halfway_goes_to_the_nearer(code: str) -> None:
    """One float32 below the middle goes down, one above it goes up."""
    values = positives(code)
    middles = ((values[:-1].astype(np.float64) + values[1:]) / 2).astype(np.float32)
    lower = np.arange(len(middles))
    below = np.nextafter(middles, np.float32(-np.inf))
    above = np.nextafter(middles, np.float32(np.inf))
    assert np.array_equal(encoded(code, below), lower)
    assert np.array_equal(encoded(code, above), lower + 1)


@narrow_codes
def test_rounding_equals_other_implementations(code: str) -> None:
    """Around every value and every middle, the bytes equal those of ml_dtypes or NumPy."""
    values = positives(code)
    middles = ((values[:-1].astype(np.float64) + values[1:]) / 2).astype(np.float32)
    cases = steps(np.concatenate([values, middles]), DTYPES[code].highest)
    expected = cases.astype(ORACLES[code]).view(DTYPES[code].storage)
    assert np.array_equal(encoded(code, cases), expected)


@narrow_codes
def test_random_bits_equal_other_implementations(code: str) -> None:
    """Millions of float32 of every magnitude, subnormals included, are rounded as by others."""
    with np.errstate(invalid="ignore"):
        values = random_words(4_000_000).view(np.float32)
    values = values[np.abs(values) <= DTYPES[code].highest]
    tiny = random_words(1_000_000, seed=21).astype(np.float32) * np.float32(2.0**-32)
    tiny *= np.float32(2.0 ** (3 - NARROW[code][1]))  # about the format's own subnormals
    cases = np.concatenate([values, tiny, -tiny])
    expected = cases.astype(ORACLES[code]).view(DTYPES[code].storage)
    assert np.array_equal(encoded(code, cases), expected)


@narrow_codes
def test_float32_subnormals_are_not_flushed(code: str) -> None:
    """Float32's own subnormals are rounded like any number, down to zeros with their sign."""
    cases = steps(np.arange(0, 2**23, 97, dtype=np.uint32).view(np.float32), 1.0)
    expected = cases.astype(ORACLES[code]).view(DTYPES[code].storage)
    assert np.array_equal(encoded(code, cases), expected)


def test_bfloat16_has_two_definitions() -> None:
    """The upper half with a carry is what the general rounding to 7 mantissa bits gives."""
    bits = random_words(1_000_000)
    bits = bits[(bits & 0x7FFFFFFF) < 0x7F7F8000]
    bits = np.concatenate([bits, bits & np.uint32(0x807FFFFF)])  # and as many subnormals
    general = round_narrow(bits, 7, 127) | (bits >> np.uint32(31) << np.uint32(15))
    assert np.array_equal(round_bfloat16(bits), general)


@pytest.mark.parametrize("code", get_args(FloatCode))
def test_encoding_equals_exact_arithmetic(code: str) -> None:
    """Bytes equal those of rounding in exact fractions, written from docs/stream.md alone."""
    dtype = DTYPES[code]
    with np.errstate(invalid="ignore"):
        values = random_words(1500, seed=22).view(np.float32)
    values = values[np.abs(values) <= min(dtype.highest, 3e38)]
    middle = random_words(1500, seed=23).astype(np.float32) * np.float32(2.0**-36)
    cases = np.concatenate([values, middle, -middle])
    expected = b"".join(encode(value, code) for value in map(Fraction, cases.tolist()))
    assert dtype.encode(cases).tobytes() == expected


def test_float32_is_the_draw_itself() -> None:
    """F32 keeps every bit, and F64 widens to exactly the same number, signed zeros included."""
    with np.errstate(invalid="ignore"):
        values = random_words(100_000).view(np.float32)
    values = np.concatenate([values[np.isfinite(values)], np.array([0.0, -0.0], np.float32)])
    assert DTYPES["F32"].encode(values).tobytes() == values.tobytes()
    expected = struct.pack(f"<{len(values)}d", *values.tolist())
    assert DTYPES["F64"].encode(values).tobytes() == expected


@pytest.mark.parametrize("code", get_args(FloatCode))
def test_empty_arrays(code: str) -> None:
    """No values give no bytes."""
    assert DTYPES[code].encode(np.empty(0, np.float32)).tobytes() == b""


def test_the_table_lists_every_code_once() -> None:
    """The table has the codes of the type, in its order, each under its own name."""
    assert tuple(DTYPES) == get_args(DtypeCode)
    assert all(code == dtype.code for code, dtype in DTYPES.items())


def test_only_floats_hold_draws() -> None:
    """`is_float` names the floats and nothing else."""
    floats = {code for code, dtype in DTYPES.items() if dtype.is_float}
    assert floats == FLOAT_DTYPES.keys()


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_storage_is_little_endian_and_of_the_named_size(dtype: Dtype) -> None:
    """An element has the bytes that its name says, least significant first."""
    bits = {"BOOL": 8, "BF16": 16}
    digits = dtype.code.removeprefix("B").partition("_")[0][1:]
    expected = bits[dtype.code] if dtype.code in bits else int(digits)
    assert dtype.bits == expected
    assert dtype.size_bytes * 8 == expected * dtype.per_unit
    assert np.dtype(dtype.storage) == np.dtype(dtype.storage).newbyteorder("<")


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_finite_ranges(dtype: Dtype) -> None:
    """Lowest and highest are those that NumPy and ml_dtypes know."""
    if dtype.code == "BOOL":
        expected: tuple[float, float] = (0, 1)
    elif dtype.is_float:
        information = ml_dtypes.finfo(FLOAT_DTYPES[dtype.code])
        expected = (float(information.min), float(information.max))
    else:
        limits = np.iinfo(dtype.storage)
        expected = (limits.min, limits.max)
    assert (dtype.lowest, dtype.highest) == expected


def test_ranks_are_the_writer_s_order() -> None:
    """Safetensors' own writer puts any two dtypes in the order of their ranks, highest first."""
    from safetensors.numpy import save

    whole = [dtype for dtype in DTYPES.values() if dtype.per_unit == 1]
    by_rank = sorted(whole, key=lambda dtype: dtype.rank)
    for low, high in itertools.combinations(by_rank, 2):
        assert low.rank < high.rank
        pair = {"a": low, "b": high}
        file = save({name: np.zeros(1, NUMPY_DTYPES[d.code]) for name, d in pair.items()})
        header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
        assert [header[name]["dtype"] for name in "ab"] == [low.code, high.code]
        assert header["b"]["data_offsets"] == [0, high.size_bytes]


# Names


@pytest.mark.parametrize("code", DTYPES)
def test_what_numpy_calls_a_dtype_is_its_name(code: str) -> None:
    """NumPy's and ml_dtypes' own names and prints are taken, whatever the case."""
    theirs = NUMPY_DTYPES[code]
    for name in (
        theirs.name, f"np.{theirs.name}", repr(theirs), str(theirs.type), f" {code} ",
        f"jax.numpy.{theirs.name}", f"<dtype: '{theirs.name}'>", f"torch.{theirs.name}".upper(),
    ):  # fmt: skip
        assert dtype_code(name) == code, name


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("i16", "I16"), ("u64", "U64"), ("f16", "F16"), ("bool", "BOOL"), ("f8_e5m2", "F8_E5M2"),
        ("bf16", "BF16"), ("half", "F16"), ("float", "F32"), ("torch.double", "F64"),
        ("long", "I64"), ("torch.int", "I32"), ("short", "I16"), ("fp8_e4m3", "F8_E4M3"),
        ("e5m2", "F8_E5M2"), ("np.bool_", "BOOL"), ("mlx.core.bfloat16", "BF16"),
    ],
)  # fmt: skip
def test_short_names(name: str, code: str) -> None:
    """The short names of torch, C and papers mean one dtype each."""
    assert dtype_code(name) == code


@pytest.mark.parametrize(
    "name",
    ["<class 'float'>", "f4", "<f2", "i8", "|u1",
     "float8", "fp8", "int", "np.int_", "uint", "np.float", "numpy.float", "NUMPY.LONG", "tf32",
     "ml_dtypes.float8_e4m3", "byte"],
)  # fmt: skip
def test_a_name_with_two_meanings_is_refused(name: str) -> None:
    """What frameworks understand differently is never guessed; the error says what is clear."""
    with pytest.raises(UnclearDtype) as caught:
        dtype_code(name)
    assert any(code in str(caught.value) for code in DTYPES)


@pytest.mark.parametrize(
    "name",
    ["", "float7", "float8_e4m3b11fnuz", "complex128", "int4",
     "foo.float32", "torch.torch.half", "float32x", "torch.", "f" * 10**6],
)  # fmt: skip
def test_what_is_no_dtype(name: str) -> None:
    """Other formats are not taken for those that they resemble."""
    assert dtype_code(name) is None


def test_no_name_is_that_of_two() -> None:
    """Every spelling belongs to one dtype, and is no code of another."""
    names = [name for one in DTYPES.values() for name in {one.code.lower(), *one.spellings}]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)
