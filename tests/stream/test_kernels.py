from __future__ import annotations

import weakref
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scripts.make_golden import DISTRIBUTIONS
from seedbed.stream import (
    DTYPES,
    NUMPY,
    Box,
    Distribution,
    Dtype,
    Normal,
    TruncatedNormal,
    get_engine,
)
from seedbed.stream import compiled as compiled_module
from seedbed.stream.aesctr import keystream, round_keys, scratch
from tests.stream.strategies import (
    COMPILED,
    FLOATS,
    INFINITY,
    drawn_bytes,
    draws,
    names,
    seeds,
    special_words,
    untimed,
)

compiled = pytest.mark.parametrize("engine", COMPILED)

KEY = bytes(range(16))
BLOCKS = 51  # full vectors of every instruction set, and a remainder that fills none
COUNT = 4 * BLOCKS - 1


class ChosenStreams:
    """Streams that hold given words, for kernels that make their keystream themselves.

    The last of the round keys is XORed onto the output of every block, so choosing it chooses any
    one block, and changes the others in a known way.
    """

    def __init__(self, wanted: NDArray[np.uint32]) -> None:
        quads = np.resize(wanted, (len(wanted) + 3) // 4 * 4).reshape(-1, 4)
        plain = keystream(KEY, 0, 4 * BLOCKS, scratch(4 * BLOCKS)).reshape(BLOCKS, 4)
        places = np.arange(len(quads)) * 7 % (BLOCKS - 1)
        masks = quads ^ plain[places]
        self.words = (plain ^ masks[:, None, :]).reshape(len(quads), 4 * BLOCKS)
        self._schedules = np.tile(round_keys(KEY), (len(quads), 1))
        self._schedules[:, -2:] ^= np.ascontiguousarray(masks).view(np.uint64)

    def round_keys(self, key: bytes) -> NDArray[np.uint64]:
        """Of the stream whose number is in the key."""
        return self._schedules[int.from_bytes(key, "big")]

    def words_of(self, key: bytes, box: Box, _buffer: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """The same words, for kernels that are given them."""
        return np.ascontiguousarray(self.words[int.from_bytes(key, "big"), box.indices()])

    def drawn(self, engine: str, distribution: Distribution, dtype: Dtype) -> bytes:
        """`COUNT` elements of every stream."""
        out = np.zeros((len(self.words), COUNT * dtype.size_bytes), np.uint8)
        with patch.multiple(compiled_module, round_keys=self.round_keys, words_of=self.words_of):
            for number, row in enumerate(out):
                aligned = np.empty(COUNT, dtype.storage)
                key, box = number.to_bytes(16, "big"), Box.run(0, COUNT)
                get_engine(engine).fill(key, distribution, dtype, box, aligned)
                row[:] = aligned.view(np.uint8)
        return out.tobytes()


def test_chosen_streams_hold_the_chosen_words() -> None:
    """What the tests below choose is there to be drawn: each word, in some stream."""
    wanted = special_words(Normal(0.0, 1.0))
    streams = ChosenStreams(wanted)
    assert len(streams.words) == (len(wanted) + 3) // 4
    assert np.isin(wanted, streams.words[:, :COUNT]).all()


@compiled
@untimed
@given(draws())
@example((Normal(-0.0, 0.0), DTYPES["F32"]))
@example((Normal(0.0, 1.0), DTYPES["F8_E4M3"]))
@example((Normal(0.0, 1e-38), DTYPES["F32"]))
@example((Normal(0.0, 1e-44), DTYPES["BF16"]))
@example((TruncatedNormal(0.0, 1.0, -INFINITY, 0.0), DTYPES["F16"]))
@example((TruncatedNormal(0.0, 1.0, -1e-9, 1e-9), DTYPES["F8_E5M2"]))
@example((TruncatedNormal(1.0, 3.3e37, -8.0, INFINITY), DTYPES["F64"]))
@example((TruncatedNormal(0.0, 1.0, -3.0, 0.1), DTYPES["F32"]))  # x rounds to past 2³¹ below
@example((TruncatedNormal(0.0, 1.0, -0.5, 3.0), DTYPES["F32"]))  # … and above
def test_special_words_equal_the_definition(engine: str, drawn: tuple[Distribution, Dtype]) -> None:
    """Where words end, wrap, round or change sides, in any lane of a vector, bytes are the law's.

    The law is `Distribution.draw` and `Dtype.encode`, which other tests hold to the document.
    """
    distribution, dtype = drawn
    streams = ChosenStreams(special_words(distribution))
    values = distribution.draw(streams.words[:, :COUNT].ravel())
    assert streams.drawn(engine, distribution, dtype) == dtype.encode(values).tobytes()


_COUNTS = st.one_of(
    st.integers(0, 9),
    st.sampled_from((15, 16, 17, 31, 32, 33, 63, 64, 65)),
    st.integers(1020, 1029),
    st.integers(2044, 2053),
    st.integers(0, 9000),
)
"""None, a few, and around what a kernel takes at a time."""

_STARTS = st.one_of(
    st.integers(0, 9),
    st.integers(1020, 1029),
    *(st.integers(2**power - 40, 2**power + 9) for power in (32, 33, 34, 36, 48, 62)),
    st.integers(2**63 - 9100, 2**63 - 9001),
    st.integers(0, 2**62),
)
"""Any place within a block, and around the carries of a counter of words, bytes or blocks."""


@compiled
@untimed
@given(draws(), _STARTS, _COUNTS, st.integers(0, 7), seeds, names)
def test_any_draw_equals_the_definition(
    engine: str,
    drawn: tuple[Distribution, Dtype],
    start: int,
    count: int,
    address: int,
    seed: int,
    name: str,
) -> None:
    """At any start, of any count, at any address, bytes are the definition's and no others change.

    The definition is the NumPy engine, which `test_engine` holds to exact arithmetic.
    """
    distribution, dtype = drawn
    size = count * dtype.size_bytes
    room = np.full(size + 32, 0xA5, np.uint8)
    first = -room.ctypes.data % 8 + 8 + address
    target = room[first : first + size]
    get_engine(engine).draw(seed, name, distribution, dtype, start, memoryview(target))
    assert target.tobytes() == drawn_bytes(NUMPY, distribution, dtype, start, count, seed, name)
    assert (np.delete(room, slice(first, first + size)) == 0xA5).all()


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: dtype.code)
@pytest.mark.parametrize("text", DISTRIBUTIONS)
def test_long_runs_equal_the_definition(text: str, dtype: Dtype) -> None:
    """A quarter of a million elements across the carry to the 33rd bit of the counter are equal."""
    distribution = DISTRIBUTIONS[text]
    run = distribution, dtype, 2**34 - 131_075, 2**18 + 3
    expected = drawn_bytes(NUMPY, *run)
    assert [engine for engine in COMPILED if drawn_bytes(engine, *run) != expected] == []


@compiled
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: dtype.code)
def test_zeros_have_the_sign_of_their_own_parameters(engine: str, dtype: Dtype) -> None:
    """A mean of −0.0 draws other zeros than one of 0.0, whichever was drawn first."""
    for mean in (0.0, -0.0, 0.0):
        distribution = Normal(mean, 0.0)
        values = np.frombuffer(drawn_bytes(engine, distribution, DTYPES["F32"], 0, 64), "<f4")
        assert np.signbit(values).any() == np.signbit(mean)
        expected = drawn_bytes(NUMPY, distribution, dtype, 0, 64)
        assert drawn_bytes(engine, distribution, dtype, 0, 64) == expected


def test_round_keys_are_those_of_fips_197() -> None:
    """The key expansion gives the words of FIPS 197, appendix A.1."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    expanded = round_keys(key).tobytes()
    assert expanded[:16] == key
    assert expanded[16:32].hex() == "a0fafe1788542cb123a339392a6c7605"
    assert expanded[80:96].hex() == "d4d1c6f87c839d87caf2b8bc11f915bc"
    assert expanded[160:].hex() == "d014f9a8c9ee2589e13f0cc8b6630ca6"


@compiled
def test_round_keys_live_as_long_as_the_call(engine: str) -> None:
    """A kernel's keys stay in memory while it runs, whatever a cache lets go of meanwhile."""
    expected = drawn_bytes(engine, Normal(0.0, 1.0), DTYPES["F32"], 0, 100)

    def lent(key: bytes) -> NDArray[np.uint64]:
        """Round keys that are wiped as soon as nobody holds them."""
        memory = round_keys(key).copy()
        loan = memory[:]
        weakref.finalize(loan, memory.fill, 0)
        return loan

    with patch.object(compiled_module, "round_keys", lent):
        assert drawn_bytes(engine, Normal(0.0, 1.0), DTYPES["F32"], 0, 100) == expected
