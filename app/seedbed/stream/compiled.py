"""Compiled kernels where they are used: found or made once, loaded, called.

Kernels are object files with a function each, which needs nothing from outside. llvmlite's linker
puts them into memory in a few milliseconds, and `ctypes` calls them without the GIL; Numba, which
made them, is not imported.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import EngineError
from seedbed.stream.aesctr import APART, round_keys, scratch, words_of
from seedbed.stream.boxes import Box, Indices, pieces
from seedbed.stream.distributions import Distribution, LogUniform, Normal, TruncatedNormal, Uniform
from seedbed.stream.dtypes import Dtype
from seedbed.stream.householder import PANEL, STRIPE, Doubles, Reflectors
from seedbed.stream.levels import Level
from seedbed.stream.scaled import Codes, Form, Levels, Pairs, Scaled, Whole, Words

Elements = NDArray[Any]

UNIFORM, NORMAL, TRUNCATED_NORMAL, LOG_UNIFORM = range(4)
"""Kinds of distribution, as kernels know them."""

FLOAT32, FLOAT64, BFLOAT16, NARROW_16, NARROW_8, WHOLE_8, LEVELS_8 = range(7)
NARROW_4, WHOLE_4, LEVELS_4 = range(7, 10)
"""Forms of an element; the last three of two elements in a byte."""

PIECE_WORDS = 1024
"""Elements that a kernel carries from key to bytes before it begins the next ones: 4 KB."""

APART_WORDS = 512
"""The same of elements that do not follow each other, each of which takes a block."""

TOGETHER = 8
"""So many elements that follow each other share blocks; for fewer, seeing that takes longer."""

_GROUP_BLOCKS = 16
"""Blocks that any level encrypts together: so many may be one too many."""

_DIGEST_BYTES = 32

_KEYSTREAM_WORDS = 1 << 18  # of OpenSSL's, at a time; see `Kernels._fill_from_words`

_RUNS_WORDS = _KEYSTREAM_WORDS // APART  # of short runs, in the same room

_SCATTERED_WORDS = 1 << 13  # of words apart, whose indices should stay in cache

_KINDS = {
    Uniform: UNIFORM,
    Normal: NORMAL,
    TruncatedNormal: TRUNCATED_NORMAL,
    LogUniform: LOG_UNIFORM,
}


class _Held:
    """An array whose address is taken: that costs more than a short call, so it is taken once.

    Whoever uses the address must hold this object as long.
    """

    __slots__ = ("_array", "address")

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self.address: int = array.ctypes.data


@lru_cache(maxsize=4096)
def pack_distribution(distribution: Distribution) -> tuple[int, _Held]:
    """A distribution as its kind and the bits of its parameters."""
    parameters = (np.asarray(p).view(np.uint32) for p in distribution.parameters)
    return _KINDS[type(distribution)], _Held(np.array([*parameters], np.uint32))


def is_compiled(form: Form) -> bool:
    """Whether kernels know a form; what they do not know is made of float32 draws."""
    if isinstance(form, Pairs):
        form = form.scaled
    grid = form.grid if isinstance(form, Scaled) else form
    if isinstance(grid, Dtype):
        return grid.zeros == 2 and not grid.is_complex
    if isinstance(grid, Levels):
        return len(grid.values) <= _LEVELS
    return isinstance(grid, Whole)


@lru_cache(maxsize=4096)
def pack_form(form: Form) -> tuple[int, _Held]:
    """A form as its number, and what rounding to it needs to know: the expressions of `dtypes`.

    Behind those are the scale, by which draws are divided unless it is 0, whether the first of a
    pair is in the upper half, and of levels the middles and the codes.
    """
    scale, turned = 0.0, 0
    grid: object = form
    if isinstance(form, Pairs):
        scale, grid, turned = form.scaled.scale, form.scaled.grid, int(form.turned)
    elif isinstance(form, Scaled):
        scale, grid = form.scale, form.grid
    constants, levels = [0] * 6, np.empty(0, np.uint32)
    if isinstance(grid, Whole):
        number, constants = WHOLE_8, [grid.zero, 0, 0, 0, 0, 0]
    elif isinstance(grid, Levels):
        middles, codes = grid.tables
        number, levels = LEVELS_8, np.zeros(2 * _LEVELS - 1, np.uint32)
        levels[: _LEVELS - 1] = _INFINITY
        levels[: len(middles)] = middles.view(np.uint32)
        levels[_LEVELS - 1 :][: len(codes)] = codes
    elif isinstance(grid, Dtype):
        number, constants = _rounding(grid)
    else:
        raise EngineError(f"no kernel writes {form.code}")
    if isinstance(form, Pairs):
        number = {NARROW_8: NARROW_4, WHOLE_8: WHOLE_4, LEVELS_8: LEVELS_4}[number]
    held = np.array([*constants, 0, turned, *levels], np.uint32)
    held[6:7].view(np.float32)[0] = scale
    return number, _Held(held)


_LEVELS = 16
"""As many as kernels have a middle to compare with between each two."""

_INFINITY = 0x7F800000


def _rounding(dtype: Dtype) -> tuple[int, list[int]]:
    """The number of a dtype, and its constants."""
    size = dtype.size_bytes
    m, bias = dtype.mantissa_bits, dtype.exponent_bias
    if not m:
        return (FLOAT32 if size == 4 else FLOAT64), [0] * 6
    constants = [
        23 - m,
        (1 << (22 - m)) - 1,
        (127 - bias) << m,
        (127 + 23 + 1 - bias - m) << 23,
        (128 - bias) << 23,
        32 - dtype.bits,
    ]
    return BFLOAT16 if dtype.code == "BF16" else NARROW_16 if size == 2 else NARROW_8, constants


class _Room(threading.local):
    """A thread's own buffers, as addresses.

    Words and draws of one piece; a keystream; of a box blocks, places in them, and their words.
    """

    def __init__(self) -> None:
        self._piece = np.empty(2 * PIECE_WORDS, np.uint32)
        self.words = self._piece.ctypes.data
        self.values = self.words + 4 * PIECE_WORDS
        self.keystream = np.empty(0, np.uint32)
        blocks = APART_WORDS + _GROUP_BLOCKS
        self._places = np.zeros(blocks + PIECE_WORDS, np.int64)
        self._blocks = np.empty(4 * blocks, np.uint32)
        place = self._places.ctypes.data
        self.box = place, place + 8 * blocks, self._blocks.ctypes.data


class _Steps(NamedTuple):
    """A box as the kernel goes through it: rows of elements, some of them at a time.

    Attributes:
        axes: extents and strides of the axes that are counted, and where counting begins.
        rows: of the last of those axes, in a step.
        width: elements of a row: those of all axes behind.
        run: elements of a row that follow each other, 0 if they are too few to count.
        table: distances of a step's elements from its first.
    """

    axes: Indices
    rows: int
    width: int
    run: int
    table: _Held


@lru_cache(maxsize=256)
def _steps(extents: tuple[int, ...], strides: tuple[int, ...]) -> _Steps:
    """As few steps as there is room for."""
    runs = strides[-1] == 1 and extents[-1] >= TOGETHER
    most = PIECE_WORDS if runs else APART_WORDS
    width, cut = 1, len(extents) - 1
    while cut and width * extents[cut] <= most:
        width *= extents[cut]
        cut -= 1
    rows = min(extents[cut], most // width)
    shape = (rows, *extents[cut + 1 :])
    counted = extents[: cut + 1], strides[: cut + 1], [0] * (cut + 1)
    table = Box(0, shape, strides[cut:]).indices()
    axes = np.array(counted, np.int64)
    return _Steps(axes, rows, width, shape[-1] if runs else 0, _Held(table))


class Kernels:
    """The kernels of some level, in memory.

    Args:
        level: that they were compiled for, which this machine must have.
        made: what `build` gives.
    """

    def __init__(self, level: Level, made: bytes) -> None:
        from llvmlite import binding

        self._nowhere = np.zeros(8, np.uint64)
        head, _, code = made.partition(b"\n")
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        machine = binding.Target.from_default_triple().create_target_machine()
        self._linker = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
        table, start = json.loads(head), 0
        for _name, _symbol, size in table:
            part = binding.ObjectFileRef.from_data(code[start : start + size])
            self._linker.add_object_file(part)
            start += size
        self._linker.finalize_object()
        symbols = {name: symbol for name, symbol, _size in table}
        integer, pointer = ctypes.c_int64, ctypes.c_void_p
        from_where = integer, integer, pointer, integer, integer
        types = {
            "fill": (*from_where, *[pointer] * 5),
            "weave": (pointer, *[integer] * 4, pointer, integer, pointer),
            "gram": (pointer, integer, pointer),
            "reflect": (pointer, pointer, integer, integer, *[pointer] * 3),
            "box": (*from_where, *[pointer] * 2, *[integer] * 3, *[pointer] * 10),
        }
        self._calls = {name: self._function(symbols[name], types[name]) for name in symbols}
        self.fused = level.vector_blocks > 0
        """Whether the keystream is made in the same code, of which pairs are made."""
        self._room = _Room()

    def fill(
        self, key: bytes, distribution: Distribution, wanted: Form, box: Box, out: Elements
    ) -> None:
        """Write the draws of a box into `out`, in order and aligned to the element's size.

        Of pairs, the box has an even number along its last axis, and the level a keystream.
        """
        kind, parameters = pack_distribution(distribution)
        form, narrow = pack_form(wanted)  # type: ignore[arg-type]  # all forms can be hashed
        room = self._room
        if not self.fused:
            self._fill_from_words(key, (kind, parameters, form, narrow), box, out)
            return
        keys = round_keys(key)  # held here: other threads may drive it out of the cache
        head = kind, form, keys.ctypes.data, box.start
        if box.is_run:
            self._calls["fill"](
                *head, box.size, parameters.address, narrow.address, room.words, room.values,
                out.ctypes.data,
            )  # fmt: skip
            return
        steps = _steps(box.extents, box.strides)
        axes = steps.axes.copy()  # the kernel counts in it
        extents, strides, index = (axes.ctypes.data + row * axes.strides[0] for row in range(3))
        self._calls["box"](
            *head, axes.shape[1], extents, strides, steps.rows, steps.width, steps.run,
            steps.table.address, parameters.address, narrow.address, index, *room.box, room.words,
            room.values, out.ctypes.data,
        )  # fmt: skip

    def _fill_from_words(
        self, key: bytes, packed: tuple[int, _Held, int, _Held], box: Box, out: Elements
    ) -> None:
        """The same where the keystream is OpenSSL's."""
        kind, parameters, form, narrow = packed
        room = self._room
        # Few, long calls: smaller blocks make threads queue for the GIL, larger leave the cache.
        if not len(room.keystream):
            room.keystream = scratch(_KEYSTREAM_WORDS)
        short = _RUNS_WORDS if box.strides[-1] == 1 else _SCATTERED_WORDS
        most = _KEYSTREAM_WORDS if box.is_run else short
        for piece, part in pieces(box, out, most):
            words = words_of(key, piece, room.keystream)
            self._calls["fill"](
                kind, form, words.ctypes.data, 0, part.size, parameters.address, narrow.address,
                room.words, room.values, part.ctypes.data,
            )  # fmt: skip

    def weave(self, codes: Codes, rows: Sequence[int], bits: int, out: Words) -> None:
        """`scaled.weave`, of codes in order and words that follow each other in each group."""
        groups, slots, columns = codes.shape
        places = np.array(rows, np.int64)
        self._calls["weave"](
            codes.ctypes.data, groups, columns, slots, bits, places.ctypes.data,
            out.strides[0] // out.itemsize, out.ctypes.data,
        )  # fmt: skip

    def gram(self, vectors: Doubles) -> Doubles:
        """`householder.Gram`."""
        out = np.empty((len(vectors), PANEL, PANEL))
        for panel, place in zip(vectors, out, strict=True):
            self._calls["gram"](panel.ctypes.data, len(panel), place.ctypes.data)
        return out

    def reflect(self, reflectors: Reflectors, stripe: Doubles, panels: int) -> None:
        """`householder.Reflect`."""
        room = np.empty((2, PANEL, STRIPE))
        self._calls["reflect"](
            reflectors.vectors.ctypes.data, reflectors.factors.ctypes.data, len(stripe), panels,
            stripe.ctypes.data, room[0].ctypes.data, room[1].ctypes.data,
        )  # fmt: skip

    def _function(self, symbol: str, arguments: Sequence[Any]) -> Callable[..., None]:
        """A kernel as a Python function, by Numba's calling convention.

        That is a status, then room for a result and for an exception, both unused here.
        """
        kind = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *arguments)
        function = kind(self._linker.get_function_address(symbol))
        room = self._nowhere.ctypes.data

        def call(*values: int) -> None:
            if function(room, room, *values):
                raise EngineError("a kernel has failed")

        return call


def find(level: Level, fingerprint: str, directories: Sequence[Path]) -> bytes | None:
    """What was compiled for a level before, from the first directory that has it undamaged."""
    for directory in directories:
        try:
            kept = (directory / _file_name(level, fingerprint)).read_bytes()
        except OSError:
            continue
        digest, made = kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES:]
        if hashlib.sha256(made).digest() == digest:  # what is damaged would end the process
            return made
    return None


def keep(level: Level, fingerprint: str, made: bytes, directories: Sequence[Path]) -> Path | None:
    """Write what was compiled to the first directory that lets us; None if none does."""
    for directory in directories:
        try:
            return _write(directory, _file_name(level, fingerprint), made)
        except OSError:
            continue
    return None


def _write(directory: Path, name: str, made: bytes) -> Path:
    """Write a kept kernel behind its digest, all at once or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor, text = tempfile.mkstemp(dir=directory)
    temporary = Path(text)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(made).digest() + made)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # who installs need not be who serves
        return temporary.replace(directory / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _file_name(level: Level, fingerprint: str) -> str:
    return f"{level.name}-{fingerprint}.o"
