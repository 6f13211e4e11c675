"""Draws of one tensor as bytes, by the compiled kernels or by the definition.

All engines give the same bytes. `numpy` is the definition. Each other one is a level (`levels`):
the definition compiled for an instruction set, most of them with the keystream made in the same
code, so that a whole chunk is one call without the GIL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from seedbed.errors import EngineError
from seedbed.stream.aesctr import APART, scratch, words_of
from seedbed.stream.boxes import Box, merged, ordered, pieces
from seedbed.stream.build import build, fingerprint
from seedbed.stream.compiled import Kernels, find, is_compiled, keep
from seedbed.stream.distributions import Distribution
from seedbed.stream.dtypes import DTYPES, Dtype
from seedbed.stream.householder import (
    Check,
    Doubles,
    Gram,
    Reflect,
    gram_with_numpy,
    orthogonal,
    reflect_with_numpy,
)
from seedbed.stream.keys import VALUES, derive_key
from seedbed.stream.levels import LEVELS, Level, host_levels
from seedbed.stream.scaled import Codes, Form, Pairs, Words, weave

Elements = NDArray[Any]
Fill = Callable[[bytes, Distribution, Form, Box, Elements], None]
"""Writes the elements of a box: key, distribution, form, box, aligned array in order."""

Weave = Callable[[Codes, Sequence[int], int, Words], None]
"""Writes words of codes that stand above each other: codes, rows of a word's slots, bits, words."""

NUMPY = "numpy"
AUTO = "auto"
ENGINES = (AUTO, *(level.name for level in LEVELS), NUMPY)


def _user_caches() -> tuple[Path, ...]:
    try:
        return (platformdirs.user_cache_path("seedbed"),)
    except RuntimeError:  # a user without a home, as in some containers
        return ()


CACHES = (Path(__file__).parent / "__compiled__", *_user_caches())
"""Where compiled kernels are looked for and kept: beside the code, else in the user's cache."""

INDEX_MAX = 2**63 - 1

_NUMPY_BLOCK = 1 << 14  # the definition makes a dozen temporaries, which should stay in cache

_APART_ELEMENTS = 1 << 16  # drawn at a time where they do not lie together


@dataclass(frozen=True, slots=True)
class Engine:
    """A way to draw, and its name."""

    name: str
    fill: Fill
    gram: Gram = gram_with_numpy
    reflect: Reflect = reflect_with_numpy
    weave: Weave = weave
    """Puts codes of several rows together."""
    pairs: Fill | None = None
    """Writes `Pairs` of a box; without it they are drawn as codes, and packed."""
    why: str = ""
    """Why it is this one, where a faster one was wanted."""

    def draw(
        self,
        seed: int,
        tensor: str,
        distribution: Distribution,
        dtype: Dtype,
        start: int,
        out: memoryview,
        lane: str = VALUES,
    ) -> None:
        """Write elements `[start, start + n)` of a tensor's draws into `out`, n·size bytes."""
        target = np.frombuffer(out, dtype.storage)
        box = Box.run(start, len(target))
        self.draw_box(seed, tensor, distribution, dtype, box, target, lane)

    def draw_box(
        self,
        seed: int,
        tensor: str,
        distribution: Distribution,
        form: Form | Pairs,
        box: Box,
        out: Elements,
        lane: str = VALUES,
    ) -> None:
        """Write the elements of a box of a tensor's draws into `out`, of its extents, anywhere.

        An element costs one block of the keystream, or a quarter where four follow each other.
        """
        if not out.size:
            return
        if box.last >= INDEX_MAX:
            raise EngineError(f"element {box.last} is further than 63 bits count")
        key = derive_key(seed, tensor, lane)
        if isinstance(form, Pairs):
            if self.pairs and is_compiled(form) and out.flags.c_contiguous:
                self.pairs(key, distribution, form, merged(box), out)
                return
            codes = np.empty(box.extents, np.uint8)
            self.draw_box(seed, tensor, distribution, form.scaled, box, codes, lane)
            out[...] = form.together(codes)
            return
        if not box.is_run:
            box, out = ordered(box, out)
        if form.is_complex:
            self._draw_pairs(key, distribution, box, out)
            return
        if not is_compiled(form) and self.name != NUMPY:
            self._encode_here(key, distribution, form, box, out)
            return
        if out.flags.c_contiguous and out.flags.aligned:
            self.fill(key, distribution, form, box, out)
            return
        for piece, part in pieces(box, out, _APART_ELEMENTS):
            drawn = np.empty(piece.extents, form.storage)
            self.fill(key, distribution, form, piece, drawn)
            part[...] = drawn

    def _encode_here(
        self, key: bytes, distribution: Distribution, form: Form, box: Box, out: Elements
    ) -> None:
        """Draw as float32, and let the definition make the form of it: of those that are rare."""
        for piece, part in pieces(box, out, _APART_ELEMENTS):
            drawn = np.empty(piece.extents, np.float32)
            self.fill(key, distribution, DTYPES["F32"], piece, drawn)
            part[...] = form.encode(drawn)

    def _draw_pairs(self, key: bytes, distribution: Distribution, box: Box, out: Elements) -> None:
        """Element *i* of draws 2i and 2i + 1, the real and the imaginary part."""
        for piece, part in pieces(box, out, _APART_ELEMENTS):
            drawn = np.empty((*piece.extents, 2), np.float32)
            strides = (*(2 * stride for stride in piece.strides), 1)
            pairs = Box(2 * piece.start, drawn.shape, strides)
            self.fill(key, distribution, DTYPES["F32"], *ordered(pairs, drawn))
            part[...] = drawn.view(np.complex64)[..., 0]

    def orthogonal(
        self, gaussian: NDArray[np.float32], threads: int = 1, check: Check = lambda: None
    ) -> Doubles:
        """The Haar-distributed orthogonal matrix of a tall Gaussian one; see `householder`."""
        return orthogonal(gaussian, self.gram, self.reflect, threads, check)


def fill_with_numpy(
    key: bytes, distribution: Distribution, form: Form, box: Box, out: Elements
) -> None:
    """The definition, block by block."""
    room = scratch(_NUMPY_BLOCK if box.is_run else APART * _NUMPY_BLOCK)
    for piece, part in pieces(box, out, _NUMPY_BLOCK):
        words = words_of(key, piece, room)
        part[...] = form.encode(distribution.draw(words)).reshape(part.shape)


def get_engine(name: str = AUTO) -> Engine:
    """The engine of this name; `auto` is the fastest that this machine has.

    A kernel that was never compiled here is compiled first, which takes some seconds.

    Raises:
        EngineError: there is no such engine, or this machine cannot have it; `auto` always can.
    """
    if name not in ENGINES:
        raise EngineError(f"there is no engine {name!r}; there are {', '.join(ENGINES)}")
    if name == AUTO:
        return _fastest()
    if name == NUMPY:
        return _numpy()
    for level in host_levels():
        if level.name == name:
            return _compiled(level)
    raise EngineError(f"this machine lacks what the engine {name!r} needs")


@cache
def _fastest() -> Engine:
    levels = host_levels()
    if not levels:
        return _numpy("llvmlite cannot be imported")
    try:
        return _compiled(levels[0])
    except EngineError as error:
        return _numpy(str(error))


@cache
def _compiled(level: Level) -> Engine:
    kernels = Kernels(level, obtain(level))
    pairs = kernels.fill if kernels.fused else None
    return Engine(level.name, kernels.fill, kernels.gram, kernels.reflect, kernels.weave, pairs)


@cache
def _numpy(why: str = "") -> Engine:
    return Engine(NUMPY, fill_with_numpy, why=why)


def obtain(level: Level, directories: Sequence[Path] = CACHES) -> bytes:
    """The kernel of a level: one that was kept, or one that is compiled now and kept.

    Raises:
        EngineError: it was not kept and cannot be compiled.
    """
    made = find(level, fingerprint(), directories)
    return compile_and_keep(level, directories)[0] if made is None else made


def compile_and_keep(
    level: Level, directories: Sequence[Path] = CACHES
) -> tuple[bytes, Path | None]:
    """A kernel compiled anew, and where it was kept, if anywhere.

    Raises:
        EngineError: it cannot be compiled.
    """
    made = build(level)
    return made, keep(level, fingerprint(), made, directories)
