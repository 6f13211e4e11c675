from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from seedbed.errors import EngineError
from seedbed.stream import DTYPES, Box, Distribution, Dtype, Normal, derive_key, get_engine
from seedbed.stream.boxes import ordered, parted, pieces, through
from seedbed.stream.engine import INDEX_MAX
from tests.oracles import NUMPY_DTYPES
from tests.stream.strategies import ENGINES, draws, untimed

every_engine = pytest.mark.parametrize("engine", ENGINES)


def numbers(box: Box) -> NDArray[np.int64]:
    """The element numbers of a box, one by one, by the definition of strides."""
    found = np.empty(box.extents, np.int64)
    for index in np.ndindex(box.extents):
        found[index] = box.start + sum(i * s for i, s in zip(index, box.strides, strict=True))
    return found


@st.composite
def small_boxes(draw: st.DrawFn, total: int, stride: int = 12) -> Box:
    """A box within so many elements."""
    rank = draw(st.integers(0, 3))
    extents, strides, rest = [], [], total - 1
    for _ in range(rank):
        strides.append(draw(st.integers(0, stride)))
        extents.append(draw(st.integers(1, min(6, 1 + rest // max(strides[-1], 1)))))
        rest -= (extents[-1] - 1) * strides[-1]
    return Box(draw(st.integers(0, rest)), tuple(extents), tuple(strides))


def filled(parts: Any, out: NDArray[np.int64]) -> NDArray[np.int64]:
    """What the parts of a box come to, each written in its own place, none twice."""
    out[...] = -1
    for box, part in parts:
        assert part.shape == box.extents
        assert (part == -1).all()
        part[...] = numbers(box)
    return out


@untimed
@given(st.data(), st.integers(1, 9), st.integers(0, 400))
def test_pieces_and_parts_are_the_box(data: st.DataObject, most: int, bound: int) -> None:
    """Cut by size or at a bound, a box has the same elements, and no part is more than asked."""
    box = data.draw(small_boxes(400))
    expected, out = numbers(box), np.empty(box.extents, np.int64)
    assert np.array_equal(box.indices().reshape(box.extents), expected)
    assert box.last == expected.max()
    assert box.size == expected.size
    cut = list(pieces(box, out, most))
    assert all(piece.size <= most for piece, _ in cut)
    assert np.array_equal(np.concatenate([numbers(p).reshape(-1) for p, _ in cut]), box.indices())
    assert np.array_equal(filled(cut, out), expected)
    halves = list(parted(box, out, bound))
    assert all(part.last < bound or part.start >= bound for part, _ in halves)
    assert np.array_equal(filled(halves, out), expected)


@untimed
@given(st.data(), st.lists(st.integers(1, 7), min_size=1, max_size=4))
@example(None, [4, 3])
def test_boxes_go_through_any_transposition(data: Any, under: list[int]) -> None:
    """Any box of a transposed, flipped tensor is its elements, wherever they lie below.

    A run falls into few boxes, however long it is.
    """
    rank, total = len(under), math.prod(under)
    axes = list(range(rank))[::-1] if data is None else data.draw(st.permutations(range(rank)))
    flipped = [] if data is None else sorted(data.draw(st.sets(st.sampled_from(range(rank)))))
    real = np.flip(np.arange(total).reshape(under).transpose(axes), flipped)
    strides = tuple(step // 8 for step in real.strides)
    base = int(real.reshape(-1)[0])
    if data is None:
        box = Box.run(0, total)
    elif data.draw(st.booleans()):
        start = data.draw(st.integers(0, total - 1))
        box = Box.run(start, data.draw(st.integers(1, total - start)))
    else:
        box = data.draw(small_boxes(total))
    out = np.empty(box.extents, np.int64)
    found = [ordered(*part) for part in through(box, out, real.shape, strides, base)]
    assert all(stride >= 0 for part, _ in found for stride in part.strides)
    assert np.array_equal(filled(found, out), real.reshape(-1)[box.indices()].reshape(box.extents))
    if box.is_run:
        assert len(found) <= max(2 * rank - 1, 1)


def test_what_follows_each_other_on_both_sides_is_one_axis() -> None:
    """Axes of 1 go, those that go on in stream and memory are merged, and out decides the order."""
    out = np.zeros((2, 1, 3, 4), np.int64)
    box, view = ordered(Box(7, (2, 1, 3, 4), (24, 99, 8, 2)), out)
    assert box == Box(7, (24,), (2,))
    assert np.shares_memory(view, out)
    box, view = ordered(Box(7, (3, 4), (4, 1)), np.zeros((4, 3)).T)
    assert box == Box(7, (4, 3), (1, 4))
    assert view.flags.c_contiguous
    assert ordered(Box(7, (3,), (-2,)), np.zeros(3))[0] == Box(3, (3,), (2,))


# Draws of boxes, by every engine

_EXTENTS = st.sampled_from((1, 2, 3, 4, 7, 8, 9, 31, 64, 65, 300, 513, 1024, 1025, 3000))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """Boxes of up to some thousand elements, wherever counters of 64 bits reach."""
    extents, strides, size = [], [], 1
    for _ in range(draw(st.integers(1, 4))):
        extents.append(draw(_EXTENTS))
        size *= extents[-1]
        if size > 8000:
            extents.pop()
            break
        strides.append(
            draw(st.one_of(st.integers(0, 9), st.integers(0, 5000), st.integers(0, 2**40)))
        )
    if draw(st.booleans()):
        strides[-1] = 1
    at = st.sampled_from((0, 2**31, 2**32, 2**33, 2**34, 2**40, 2**59))
    start = max(draw(at) + draw(st.integers(-4000, 4000)), 0)
    return Box(start, tuple(extents), tuple(strides))


def law(drawn: tuple[Distribution, Dtype], box: Box) -> bytes:
    """Elements of a box by the definition: each word's block encrypted by itself."""
    distribution, dtype = drawn
    ecb = Cipher(algorithms.AES128(derive_key(3, "w")), modes.ECB()).encryptor()
    flat = [int(number) for number in box.indices()]
    stream = ecb.update(b"".join((number // 4).to_bytes(16, "big") for number in flat))
    words = np.frombuffer(stream, "<u4").reshape(-1, 4)[range(len(flat)), [n % 4 for n in flat]]
    values = distribution.draw(np.ascontiguousarray(words))
    with np.errstate(over="ignore"):
        return values.astype(NUMPY_DTYPES[dtype.code]).tobytes()


@untimed
@given(draws(), boxes())
@example((Normal(0.0, 1.0), DTYPES["F32"]), Box(2**34 - 3, (2, 3, 700), (2**40, 4096, 1)))
@example((Normal(0.0, 1.0), DTYPES["BF16"]), Box(5, (3, 513, 7), (2**33, 8, 1)))
@example((Normal(0.0, 1.0), DTYPES["F64"]), Box(1, (1025,), (3,)))
@example((Normal(0.0, 1.0), DTYPES["F16"]), Box(2**34 - 192, (3, 21, 64), (2**40, 512, 1)))
@example((Normal(0.0, 1.0), DTYPES["F32"]), Box(2**34 - 190, (2, 30, 96), (2**40, 514, 1)))
def test_any_box_is_the_law_s(drawn: tuple[Distribution, Dtype], box: Box) -> None:
    """Whatever the strides and however far, in every dtype, an element is that of its word.

    By every engine of this machine.
    """
    distribution, dtype = drawn
    expected = law(drawn, box)
    for engine in ENGINES:
        out = np.zeros(box.extents, dtype.storage)
        get_engine(engine).draw_box(3, "w", distribution, dtype, box, out)
        assert out.tobytes() == expected, engine


@every_engine
@untimed
@given(boxes(), st.data())
def test_the_buffer_may_lie_anyhow(engine: str, box: Box, data: st.DataObject) -> None:
    """In any memory order, with gaps, backwards, unaligned: elements are where they belong."""
    rank = len(box.extents)
    axes = data.draw(st.permutations(range(rank)))
    shape = [2 * box.extents[axis] for axis in axes]
    room = np.zeros(4 * math.prod(shape) + 1, np.uint8)[data.draw(st.integers(0, 1)) :]
    whole = room[: 4 * math.prod(shape)].view("<f4").reshape(shape).transpose(np.argsort(axes))
    steps = [data.draw(st.sampled_from((-2, -1, 1, 2))) for _ in range(rank)]
    cut = tuple(
        slice(e - 1, None, s) if s == -1 else slice(None, e if s == 1 else None, s)
        for e, s in zip(box.extents, steps, strict=True)
    )
    out = whole[cut]
    drawn = Normal(0.0, 1.0), DTYPES["F32"]
    get_engine(engine).draw_box(3, "w", *drawn, box, out)
    assert out.tobytes() == law(drawn, box)
    assert np.count_nonzero(room.view()[: 4 * math.prod(shape)].view("<f4")) <= box.size


@every_engine
def test_ends_of_the_stream(engine: str) -> None:
    """Nothing is drawn of no elements, and what 63 bits do not count is refused."""
    drawn = Normal(0.0, 1.0), DTYPES["F32"]
    draw = get_engine(engine).draw_box
    draw(3, "w", *drawn, Box(2**63, (0, 3), (1, 2**62)), np.empty((0, 3), "<f4"))
    with pytest.raises(EngineError, match="63 bits"):
        draw(3, "w", *drawn, Box(0, (3,), (INDEX_MAX // 2 + 1,)), np.empty(3, "<f4"))
