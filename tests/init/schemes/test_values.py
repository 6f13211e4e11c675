from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seedbed.errors import SpecError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.init import Limits, MatrixCache, Source, TensorSpec, plan
from seedbed.stream import DTYPES, get_engine
from tests.init.schemes.tensors import scheme_of
from tests.oracles import NUMPY_DTYPES
from tests.strategies import CODES, INTEGERS, untimed


def stored(init: Any, shape: list[int], code: str) -> bytes:
    """The bytes of a tensor, planned and written."""
    tensor = TensorSpec(name="w", shape=shape, init=init, dtype=code)
    (planned,) = plan([tensor], [], "F32", Limits())
    source = Source(get_engine("numpy"), 7, "w", planned.dtype, MatrixCache(2**20, 1))
    out = np.empty(planned.elements, planned.dtype.storage)
    planned.fill.write(source, 0, out.view(np.uint8).data)
    return out.tobytes()


@pytest.mark.parametrize("code", CODES)
def test_numbers_are_listed_in_every_dtype(code: str) -> None:
    """Row-major, flat or nested, each rounded once as NumPy and ml_dtypes do."""
    values = [[0, 1, True], [1, 0, 1]] if code == "BOOL" else [[0, 1, 2], [5, 6, 7]]
    if DTYPES[code].is_float:
        values = [[0.1, -0.0, 2.5], [-1e-3, 3, 448]]
    numbers = np.array(values, np.float32 if DTYPES[code].is_float else None)
    wanted = numbers.astype(NUMPY_DTYPES[code])
    for listed in (values, [*values[0], *values[1]]):
        assert stored({"scheme": "literal", "values": listed}, [2, 3], code) == wanted.tobytes()


NOT_FINITE = {"Infinity": np.inf, "-Infinity": -np.inf, "NaN": np.nan}


@pytest.mark.parametrize("text", NOT_FINITE)
@pytest.mark.parametrize("code", CODES)
def test_what_is_not_finite(code: str, text: str) -> None:
    """Infinities and NaN are those of the dtype, and refused where there are none."""
    for init in ({"scheme": "constant", "value": text}, {"scheme": "literal", "values": [text]}):
        if not DTYPES[code].is_float or (code == "F8_E4M3" and text != "NaN"):
            with pytest.raises(SpecError, match=f"{code} has no"):
                stored(init, [1], code)
        else:
            wanted = np.array([NOT_FINITE[text]], np.float32).astype(NUMPY_DTYPES[code])
            assert stored(init, [1], code) == wanted.tobytes()
            assert f'"{text}"' in scheme_of(init).spelling


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, "nan", "inf", "infinity"])
def test_only_three_texts_are_not_finite(value: Any) -> None:
    """Other spellings, and floats that no JSON has, are refused."""
    for init in (
        {"scheme": "constant", "value": value},
        {"scheme": "literal", "values": [value]},
        {"scheme": "normal", "mean": value},
        {"scheme": "arange", "step": value},
    ):
        with pytest.raises(ValidationError):
            scheme_of(init)
    with pytest.raises(ValidationError):
        scheme_of({"scheme": "normal", "mean": "Infinity"})


def test_a_mask_goes_through_a_file_and_its_token() -> None:
    """Numbers that are not finite keep their meaning in the canonical spec and in the token."""
    body = {"tensors": [
        {"name": "mask", "shape": [2], "init": {"scheme": "literal", "values": [0, "-Infinity"]}},
        {"name": "low", "shape": [2], "init": {"scheme": "constant", "value": "-Infinity"}},
    ]}  # fmt: skip
    spec = CheckpointSpec.model_validate(body)
    again = CheckpointSpec.model_validate_json(spec.canonical_json)
    assert again.canonical_json == spec.canonical_json
    file, other = VirtualFile(spec), VirtualFile(again)
    assert file.read(0, file.size) == other.read(0, other.size)
    assert VirtualFile(spec).read(file.size - 16, file.size) == (
        np.array([-np.inf, -np.inf, 0.0, -np.inf], np.float32).tobytes()
    )


@pytest.mark.parametrize(
    ("values", "shape", "code"),
    [([1, 2], [3], "F32"), ([], [1], "F32"), ([1.5], [1], "I8"), ([300], [1], "U8"),
     ([2], [1], "BOOL"), ([1e39], [1], "F32"), ([70000], [1], "F16")],
)  # fmt: skip
def test_what_a_list_cannot_hold(values: list[Any], shape: list[int], code: str) -> None:
    """Too few or many numbers, and numbers that the dtype cannot hold, are refused."""
    with pytest.raises(SpecError) as caught:
        stored({"scheme": "literal", "values": values}, shape, code)
    assert caught.value.path[:4] == ("tensors", 0, "init", "values")


@untimed
@given(
    st.sampled_from(INTEGERS),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-(2**40), 2**40),
    st.integers(1, 5),
    st.integers(-3, 2),
)
def test_counting_is_exact_in_integers(
    code: str, start: int, step: int, length: int, axis: int
) -> None:
    """Every element is start + step·n, or the range is refused: no element ever wraps."""
    shape = [2, 3, 4]
    shape[axis] = length
    init = {"scheme": "arange", "start": start, "step": step, "axis": axis}
    numbers = [start + step * n for n in range(length)]
    along = np.array(numbers, object).reshape([length if i == axis % 3 else 1 for i in range(3)])
    if all(DTYPES[code].lowest <= number <= DTYPES[code].highest for number in numbers):
        wanted = np.broadcast_to(along, shape).astype(DTYPES[code].storage)
        assert stored(init, shape, code) == wanted.tobytes()
    else:
        with pytest.raises(SpecError, match="outside"):
            stored(init, shape, code)


@untimed
@given(st.floats(-1e6, 1e6), st.floats(-1e3, 1e3), st.sampled_from(("F32", "F64", "BF16")))
def test_counting_in_floats(start: float, step: float, code: str) -> None:
    """One float64 product, one float64 sum, one rounding to float32 and one to the dtype."""
    out = stored({"scheme": "arange", "start": start, "step": step}, [2, 7], code)
    row = [
        float(Fraction(start + 0.0) + Fraction(float(Fraction(step) * n))) if n else start + 0.0
        for n in range(7)
    ]
    wanted = np.array(row * 2, np.float64).astype(np.float32)
    assert out == DTYPES[code].encode(wanted).tobytes()


def test_counting_needs_an_axis_and_whole_steps() -> None:
    """A scalar has no axis; an integer dtype takes no halves."""
    with pytest.raises(SpecError, match="at least 1"):
        stored("arange", [], "I64")
    with pytest.raises(SpecError, match="no axis 2"):
        stored({"scheme": "arange", "axis": 2}, [3, 4], "I64")
    with pytest.raises(SpecError, match="cannot hold"):
        stored({"scheme": "arange", "step": 0.5}, [3, 4], "I64")
    assert stored("arange", [0], "U8") == b""


def numbers_of(low: int, high: int, shape: list[int], code: str) -> list[int]:
    """Random integers in a dtype, as Python's."""
    made = stored({"scheme": "random_integers", "low": low, "high": high}, shape, code)
    return [int(number) for number in np.frombuffer(made, NUMPY_DTYPES[code]).tolist()]


@pytest.mark.parametrize("code", INTEGERS)
def test_random_integers_fill_the_whole_of_a_dtype(code: str) -> None:
    """From its least number to its greatest, which of few are all drawn; and none past those."""
    low, high = int(DTYPES[code].lowest), int(DTYPES[code].highest)
    found = numbers_of(low, high + 1, [4096], code)
    assert max(found) - min(found) > 0.99 * (high - low)
    assert (min(found), max(found)) == (low, high) or DTYPES[code].bits > 8
    assert abs(sum(found) / 4096 - (low + high) / 2) < 4 * (high - low + 1) / 12**0.5 / 64
    for ends, place in (((low - 1, high), "low"), ((low, high + 2), "high")):
        with pytest.raises((SpecError, ValidationError)) as refused:
            numbers_of(*ends, [1], code)
        assert place in str(getattr(refused.value, "path", refused.value))


@untimed
@given(st.sampled_from(INTEGERS), st.integers(-(2**63), 2**63 - 1), st.integers(1, 2**63))
def test_random_integers_are_the_same_in_every_dtype(code: str, low: int, count: int) -> None:
    """A dtype holds the numbers that a wider one does, and a float the nearest to them."""
    low = max(min(low, int(DTYPES[code].highest)), int(DTYPES[code].lowest))
    count = min(count, int(DTYPES[code].highest) - low + 1)
    wide = numbers_of(low, low + count, [9], "I64" if low + count <= 2**63 else "U64")
    assert numbers_of(low, low + count, [9], code) == wide
    assert all(low <= number < low + count for number in wide)
    rounded = [Fraction(int(number)) for number in numbers_of(low, low + count, [9], "F32")]
    for number, near in zip(wide, rounded, strict=True):
        around = (np.nextafter(np.float32(float(near)), np.float32(end)) for end in (-1e30, 1e30))
        assert all(abs(near - number) <= abs(Fraction(float(one)) - number) for one in around)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (5, 5, "no integer"), (5, 4, "no integer"), (-1, 2**63 + 1, "no dtype"),
        (0, 2**64 + 1, "18446744073709551616"), (0.5, 2, "integer"), (True, 2, "integer"),
    ],
)  # fmt: skip
def test_a_range_has_integers(low: Any, high: Any, said: str) -> None:
    """One without any, or past what dtypes hold, is refused where it is read."""
    with pytest.raises(ValidationError, match=said):
        scheme_of({"scheme": "random_integers", "low": low, "high": high})


def test_pairs_hold_no_random_integers() -> None:
    """C64 has independent draws, of words that integers would share."""
    with pytest.raises(SpecError, match="C64 holds pairs"):
        numbers_of(0, 5, [2], "C64")
