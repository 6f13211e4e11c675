"""How whatever reads a file must behave: the virtual file, HTTP, what the command line wrote.

A test module makes a subclass of `ReaderSuite` whose fixture `reader` gives something with a `size`
and a `read(start, stop)` over the file of `BODY`, and inherits every test::

    class TestDownload(ReaderSuite):
        @pytest.fixture(scope="class")
        @classmethod
        def reader(cls, server: Server) -> Reader:
            return RangeReader(server, BODY)

What cannot be asked for over a protocol (no bytes at all, bytes past the end) its reader answers
with no bytes, once it has seen that the protocol refuses it in its own way.
"""

from __future__ import annotations

import hashlib
import json
import random
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.stream import DTYPES, get_engine
from tests.strategies import CODES, byte_ranges, untimed

GOLDEN = Path(__file__).parent.parent / "golden" / "files-v1.json"


CODES_OF_VERSION_1 = tuple(code for code in DTYPES if code in CODES)
"""In the order of the golden file; later dtypes have tests of their own, in `test_narrow`."""


def _body() -> dict[str, Any]:
    """A spec of every dtype and kind of shape, longer than two chunks and two engine blocks."""
    tensors: list[dict[str, Any]] = []
    for code in CODES_OF_VERSION_1:
        init = "truncated_normal" if DTYPES[code].is_float else "ones"
        tensors += [
            {"name": f"{code}.odd", "shape": [3, 5, 7], "init": init, "dtype": code},
            {"name": f"{code}.scalar", "shape": [], "init": init, "dtype": code},
            {"name": f"{code}.empty", "shape": [4, 0, 2], "init": init, "dtype": code},
        ]
    tensors += [
        {"name": "large.weight", "shape": [601, 1001], "init": "he_normal"},
        {"name": "größe.重み", "shape": [100_003], "init": "uniform", "dtype": "BF16"},
    ]
    return {"seed": 2**64 - 1, "tensors": tensors, "metadata": {"note": "the reader suite's"}}


BODY = _body()
"""The spec whose file every reader of the suite reads, as JSON."""


class Reader(Protocol):
    """Bytes of one file by range."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""

    def read(self, start: int, stop: int) -> bytes | bytearray:
        """Bytes `[start, stop)`; of what lies past the end, nothing."""


@cache
def virtual_file() -> VirtualFile:
    """The suite's file, drawn by the definition."""
    return VirtualFile(CheckpointSpec.model_validate(BODY), engine=get_engine("numpy"))


@cache
def whole_file() -> bytes:
    """All its bytes."""
    file = virtual_file()
    return bytes(file.read(0, file.size))


def _edges() -> list[int]:
    """Where something begins or ends: header, tensors, chunks, engine blocks, the file."""
    file = virtual_file()
    starts = {file.offset(i) for i in range(len(file.tensors))}
    large = next(i for i, tensor in enumerate(file.tensors) if tensor.name == "large.weight")
    blocks = {file.offset(large) + (n << 20) for n in (1, 2)}
    chunks = set(range(0, file.size, 1 << 20))
    return sorted({8, file.size, *starts, *blocks, *chunks})


EDGES = _edges()

_near_edges = st.builds(
    lambda edge, step: min(max(edge + step, 0), EDGES[-1]),
    st.sampled_from(EDGES),
    st.integers(-9, 9),
)

_ranges = st.one_of(
    byte_ranges(EDGES[-1]),
    st.tuples(_near_edges, _near_edges).map(lambda pair: (min(pair), max(pair))),
    st.tuples(_near_edges, st.integers(0, 40)).map(lambda pair: (pair[0], pair[0] + pair[1])),
)

_shared = settings(
    untimed,
    max_examples=60,
    suppress_health_check=[*untimed.suppress_health_check, HealthCheck.differing_executors],
)
"""Subclasses run one and the same test function."""


class ReaderSuite:
    """Tests that every reader passes; a subclass has the fixture `reader`."""

    @pytest.fixture(scope="class")
    @classmethod
    def reader(cls) -> Reader:
        """What is tested."""
        raise NotImplementedError

    def test_the_whole_is_the_golden_file(self, reader: Reader) -> None:
        """All bytes have the digest that was written down when the stream was frozen."""
        golden = json.loads(GOLDEN.read_text(encoding="utf-8"))["suite"]
        assert reader.size == golden["size"]
        whole = reader.read(0, reader.size)
        assert len(whole) == reader.size
        assert hashlib.sha256(whole).hexdigest() == golden["sha256"]

    @_shared
    @given(cut=_ranges)
    def test_any_cut_is_the_slice_of_the_whole(self, reader: Reader, cut: tuple[int, int]) -> None:
        """Bytes `[start, stop)` are the whole file's `[start, stop)`, wherever they lie."""
        start, stop = cut
        assert reader.read(start, stop) == whole_file()[start:stop]

    def test_cuts_at_every_edge(self, reader: Reader) -> None:
        """Cuts that end at, begin at or straddle the start of a tensor, chunk or block agree."""
        for edge in EDGES:
            for start, stop in ((edge - 3, edge), (edge, edge + 3), (edge - 5, edge + 7)):
                first = max(start, 0)
                assert reader.read(first, stop) == whole_file()[first:stop]

    @_shared
    @given(start=st.integers(0, 1 << 22), pieces=st.lists(st.integers(1, 1 << 19), max_size=6))
    def test_pieces_join_to_the_whole(self, reader: Reader, start: int, pieces: list[int]) -> None:
        """Consecutive pieces of any sizes are, end to end, what one read gives."""
        begin = start % (reader.size + 1)
        joined, position = b"", begin
        for piece in pieces:
            joined += reader.read(position, min(position + piece, reader.size))
            position = min(position + piece, reader.size)
        assert joined == whole_file()[begin:position]

    def test_first_and_last_byte(self, reader: Reader) -> None:
        """One byte from either end is the byte there."""
        assert reader.read(0, 1) == whole_file()[:1]
        assert reader.read(reader.size - 1, reader.size) == whole_file()[-1:]

    def test_no_bytes(self, reader: Reader) -> None:
        """An empty range is empty, at the start, at the end and anywhere between."""
        assert all(reader.read(position, position) == b"" for position in (0, *EDGES))

    def test_past_the_end_there_is_nothing(self, reader: Reader) -> None:
        """A range is clipped to the file, and one that begins at its end or beyond is empty."""
        size = reader.size
        assert reader.read(size - 3, size + 100) == whole_file()[-3:]
        assert reader.read(size, size + 1) == b""
        assert reader.read(size + 5, size + 10) == b""

    def test_readers_at_the_same_time(self, reader: Reader) -> None:
        """Many threads that read at once, in any order, each get their own bytes."""
        choice = random.Random(3)
        starts = [choice.randrange(reader.size) for _ in range(64)]
        cuts = [(start, start + choice.randrange(1 << 17)) for start in starts]
        with ThreadPoolExecutor(8) as pool:
            parts = list(pool.map(lambda cut: reader.read(*cut), cuts))
        assert all(part == whole_file()[slice(*cut)] for part, cut in zip(parts, cuts, strict=True))
