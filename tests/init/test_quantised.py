"""Packed codes, by every engine, against codes that are put together one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.init import MatrixCache, Named, Packed, Quantised, Source, Straddling
from seedbed.init import quantised as module
from seedbed.init.fills import Constant, Derived, Drawn
from seedbed.init.schemes.chains import Steps
from seedbed.init.views import Sliced
from seedbed.quantization.bnb import FP4, NF4
from seedbed.stream import (
    DTYPES,
    Box,
    Levels,
    LogUniform,
    Normal,
    Pairs,
    Scaled,
    TruncatedNormal,
    Uniform,
    Whole,
    get_engine,
    host_levels,
)
from tests.strategies import untimed

ENGINES = ["numpy", *(level.name for level in host_levels())]

DISTRIBUTIONS = [
    Normal(0.01, 0.05), Uniform(-1.0, 0.5), TruncatedNormal(0.0, 0.3, -2.0, 2.0),
    LogUniform(0.001, 1.0),
]  # fmt: skip

FP4_DISTINCT = [code for code in range(16) if code == 0 or FP4[code] != 0]
GRIDS = {
    2: [Whole(-2, 1, 2)],
    3: [Whole(-4, 3, 4)],
    4: [
        DTYPES["F4"], Whole(-8, 7, 8), Whole(-3, 12, 3), Levels(NF4, tuple(range(16))),
        Levels(tuple(sorted(FP4[code] for code in FP4_DISTINCT)),
               tuple(sorted(FP4_DISTINCT, key=lambda code: FP4[code]))),
    ],
    8: [Whole(-128, 127, 128), Whole(-128, 127, 0), DTYPES["F8_E4M3"], DTYPES["F8_E5M2"]],
}  # fmt: skip
WORDS = {"U8": ("<u1", 8), "I32": ("<i4", 32)}


@st.composite
def packings(draw: st.DrawFn) -> tuple[Packed, str]:
    """Codes of some weight, in words of some order, and the words' dtype."""
    bits = draw(st.sampled_from([*GRIDS]))
    code = draw(st.sampled_from([*WORDS]))
    count = WORDS[code][1] // bits
    grid: Any = draw(st.sampled_from(GRIDS[bits]))
    distribution = draw(st.sampled_from(DISTRIBUTIONS))
    fill: Any = draw(
        st.sampled_from(
            [Drawn(distribution), Derived(distribution, Steps((("mul", -1.0),))), Constant(0.25)]
        )
    )
    fill = Sliced(fill, draw(st.integers(0, 9)))
    reach = max(map(abs, fill.reach))
    scale = float(np.float32(1.01 * reach / min(abs(grid.lowest), grid.highest)))
    codes = Quantised(Named(fill, "w"), Scaled(scale, grid))
    rows, columns = draw(st.integers(1, 20)), draw(st.integers(1, 40))
    order = draw(st.sampled_from([1, -1])) if count > 1 else 1
    slots = [*range(count)][::order]
    if draw(st.booleans()):
        slots = draw(st.permutations(slots))
    if draw(st.booleans()):  # along rows
        strides = columns * count, count
    else:  # down them
        strides = count * columns, 1
        slots = [slot * columns for slot in slots]
    return Packed(codes, (rows, columns), strides, tuple(slots), bits), code


@settings(untimed, max_examples=40)
@given(st.sampled_from([3, 5, 6, 7]), st.integers(1, 5), st.integers(1, 9), st.data())
def test_codes_that_straddle_words(bits: int, rows: int, units: int, data: st.DataObject) -> None:
    """32 codes are one little-endian integer of as many words, whichever way words are laid."""
    columns = 32 * units
    last = (1 << (bits - 1)) - 1
    grid = Whole(-last - 1, last, last + 1)
    codes = Quantised(Named(Drawn(Uniform(-1.0, 1.0)), "w"), Scaled(1.0 / last, grid))
    down = data.draw(st.booleans())
    packed = Straddling(codes, *((rows, (32, columns)) if down else (1, (32, 0))), bits)
    source = Source(get_engine("auto"), 7, "other", DTYPES["I32"], MatrixCache(0, 1))
    drawn = np.empty(rows * columns, np.uint8)
    codes.write_box(source, Box.run(0, len(drawn)), drawn)
    wanted = np.empty((rows, units * bits), "<u4")
    for row, unit in np.ndindex(rows, units):
        numbers = drawn.reshape(rows, columns)[row, 32 * unit : 32 * unit + 32].tolist()
        whole = sum(number << bits * k for k, number in enumerate(numbers))
        for word in range(bits):
            wanted[row, unit * bits + word] = whole >> 32 * word & 0xFFFFFFFF
    flat = (wanted.T if down else wanted).reshape(-1)

    start = data.draw(st.integers(0, len(flat) - 1))
    count = data.draw(st.integers(1, len(flat) - start))
    out = np.empty(count, "<i4")
    packed.write_box(source, Box.run(start, count), out)
    assert (out.view("<u4") == flat[start : start + count]).all()
    apart = np.empty((2, -(-count // 3)), "<i4")
    packed.write_box(source, Box(start, apart.shape, (0, 3)), apart)
    assert (apart.view("<u4") == flat[start : start + count : 3]).all()


@pytest.mark.parametrize("engine", ENGINES)
@settings(untimed, max_examples=40)
@given(packings(), st.sampled_from([1 << 20, 64, 1]), st.data())
def test_every_engine_packs_alike(
    engine: str, packing: tuple[Packed, str], codes: int, data: st.DataObject
) -> None:
    """Any elements are their codes, each a draw on the grid, shifted to its place."""
    packed, code = packing
    total = math.prod(packed.shape)
    start = data.draw(st.integers(0, total - 1))
    count = data.draw(st.integers(1, total - start))
    source = Source(get_engine(engine), 7, "other", DTYPES[code], MatrixCache(0, 1))  # type: ignore[index]
    out = np.empty(count, WORDS[code][0])
    with pytest.MonkeyPatch.context() as patch:  # tiles of which small tensors have many
        patch.setattr(module, "_CODES", codes)
        patch.setattr(module, "_RUN", min(codes, module._RUN))
        patch.setattr(module, "_STRIP", min(codes, 3))
        packed.write_box(source, Box.run(start, count), out)

    quantised: Any = packed.fill
    wide = Source(get_engine("numpy"), 7, "other", DTYPES["F32"], MatrixCache(0, 1))
    draws = np.empty(total * len(packed.slots), np.float32)
    quantised.fill.write_box(wide, Box.run(0, len(draws)), draws)
    codes = quantised.scaled.grid.encode(draws / np.float32(quantised.scaled.scale))
    for element, word in zip(range(start, start + count), out, strict=True):
        row, column = divmod(element, packed.shape[1])
        first = row * packed.strides[0] + column * packed.strides[1]
        parts = [int(codes[first + slot]) << packed.bits * k for k, slot in enumerate(packed.slots)]
        assert int(word) % 2 ** WORDS[code][1] == sum(parts)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("start", range(6))
def test_pairs_begin_anywhere_in_a_block(engine: str, start: int) -> None:
    """Two codes to a byte, of more than the kernels make at a time, also from an odd place on."""
    drawn, scaled = Normal(0.01, 0.05), Scaled(0.1, DTYPES["F4"])
    count = 5000
    codes, pairs = np.empty(count, np.uint8), np.empty(count // 2, np.uint8)
    get_engine("numpy").draw_box(7, "w", drawn, scaled, Box.run(start, count), codes)
    for box, out in (
        (Box.run(start, count), pairs),
        (Box(start, (5, 1000), (1000, 1)), pairs.reshape(5, 500)),
    ):
        pairs[:] = 0
        get_engine(engine).draw_box(7, "w", drawn, Pairs(scaled), box, out)
        assert (pairs == (codes[::2] | codes[1::2] << 4)).all()


@pytest.mark.parametrize(
    "name", ["gptq-4bit", "gptq-8bit", "awq-4bit", "mxfp4", "bnb-nf4", "w4a16"]
)
def test_large_weights_are_those_of_the_definition(name: str) -> None:
    """Tiles that are turned, with rows of any number of blocks that begin anywhere in one."""
    tensor = {"name": "layers.0.a.weight", "shape": [1096, 1408], "init": "normal"}
    if name == "mxfp4":
        tensor = {"name": "layers.0.experts.down_proj", "shape": [2, 608, 1032], "init": "normal"}
    last = {"name": "lm_head.weight", "shape": [1, 1], "init": "ones"}
    body = {"tensors": [tensor, last], "quantization": name}
    spec = CheckpointSpec.model_validate(body)
    files = [Checkpoint(spec, engine=get_engine(engine)).whole for engine in ("auto", "numpy")]
    size = files[0].size
    for start, stop in ((0, 99_999), (size // 3 + 1, size // 3 + 150_000), (size - 70_001, size)):
        made, wanted = (file.read(start, stop) for file in files)
        assert bytes(made) == bytes(wanted)
    whole = bytes(files[0].read(0, size))
    for cut in range(size // 2, size // 2 + 10):
        for length in (*range(1, 10), 77_777):
            assert bytes(files[0].read(cut, cut + length)) == whole[cut : cut + length]
