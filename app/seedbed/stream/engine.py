"""Draws of one tensor as bytes: the keystream, and what a distribution and a dtype make of it.

Three engines give the same bytes. `numpy` is the definition. `numba` is its compiled form, on
OpenSSL's keystream. `fused` makes the keystream in the compiled code too, on processors with the
instructions for it, so that a whole chunk is one call without the GIL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import EngineError
from seedbed.stream.aesctr import keystream, scratch
from seedbed.stream.distributions import Distribution, LogUniform, Normal, TruncatedNormal, Uniform
from seedbed.stream.dtypes import DTYPES, Dtype
from seedbed.stream.keys import VALUES, derive_key

EngineName = Literal["auto", "fused", "numba", "numpy"]
Bytes = NDArray[np.uint8]
Fill = Callable[[bytes, Distribution, Dtype, int, Bytes], None]
"""Writes elements from an index on: key, distribution, dtype, index, aligned buffer."""

BLOCK_ELEMENTS = 1 << 18
"""Elements of one keystream call and one kernel call where these are two, both without the GIL.

Smaller blocks make threads queue for the GIL between calls; larger ones leave the cache.
"""

_NUMPY_BLOCK = 1 << 14  # the definition makes a dozen temporaries, which should stay in cache

_local = threading.local()


@dataclass(frozen=True, slots=True)
class Engine:
    """A way to draw, and its name."""

    name: str
    fill: Fill

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
        target = np.frombuffer(out, np.uint8)
        if not len(target):
            return
        key = derive_key(seed, tensor, lane)
        if target.ctypes.data % dtype.size_bytes:  # a range may start anywhere, kernels may not
            aligned = np.empty_like(target)
            self.fill(key, distribution, dtype, start, aligned)
            target[:] = aligned
        else:
            self.fill(key, distribution, dtype, start, target)


def _blocks(encode: Callable[[Distribution, Dtype, NDArray[np.uint32], Bytes], None]) -> Fill:
    """Fill block by block: OpenSSL's keystream, then an encoder of its words."""

    def fill(key: bytes, distribution: Distribution, dtype: Dtype, start: int, out: Bytes) -> None:
        size = dtype.size_bytes
        count = len(out) // size
        words = _scratch()
        for done in range(0, count, BLOCK_ELEMENTS):
            step = min(BLOCK_ELEMENTS, count - done)
            block = keystream(key, start + done, step, words)
            encode(distribution, dtype, block, out[done * size : (done + step) * size])

    return fill


def _scratch() -> NDArray[np.uint32]:
    """This thread's buffer for keystream words."""
    words: NDArray[np.uint32] | None = getattr(_local, "words", None)
    if words is None:
        words = _local.words = scratch(BLOCK_ELEMENTS)
    return words


def encode_with_numpy(
    distribution: Distribution, dtype: Dtype, words: NDArray[np.uint32], out: Bytes
) -> None:
    """The definition."""
    elements = out.view(dtype.storage)
    for i in range(0, len(words), _NUMPY_BLOCK):
        part = slice(i, i + _NUMPY_BLOCK)
        elements[part] = dtype.encode(distribution.draw(words[part]))


@cache
def get_engine(name: EngineName = "auto") -> Engine:
    """The engine of this name; `auto` is the fastest that this machine has.

    Raises:
        EngineError: one was asked for by name that this machine does not have.
    """
    if name != "numpy":
        try:
            from seedbed.stream import kernels  # only here: costs half a second
        except ImportError as error:
            if name != "auto":
                raise EngineError(f"Numba cannot be used: {error}") from error
        else:
            if name != "numba" and kernels.CAN_FUSE:
                return Engine("fused", kernels.fill)
            if name == "fused":
                raise EngineError("this processor has no AES instructions that Numba can use")
            return Engine("numba", _blocks(kernels.encode))
    return Engine("numpy", _blocks(encode_with_numpy))


def warm(engine: Engine) -> None:
    """Draw once from every distribution in every floating dtype, so that all code is compiled."""
    for dtype in DTYPES.values():
        for distribution in (Uniform(0, 1), Normal(0, 1), TruncatedNormal(0, 1), LogUniform(1, 2)):
            if dtype.is_float:
                engine.draw(0, "", distribution, dtype, 0, memoryview(bytearray(dtype.size_bytes)))
