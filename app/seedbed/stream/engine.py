"""Draws of one tensor as bytes: keystream and encoding, a block at a time.

Two encoders give the same bytes: the compiled one, and the definition in NumPy for machines where
Numba cannot be imported.
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

Encode = Callable[[Distribution, Dtype, NDArray[np.uint32], NDArray[np.uint8]], None]
EngineName = Literal["auto", "numba", "numpy"]

BLOCK_ELEMENTS = 1 << 18
"""Elements of one keystream call and one kernel call, both without the GIL.

Smaller blocks make threads queue for the GIL between calls; larger ones leave the cache.
"""

_NUMPY_BLOCK = 1 << 14  # the definition makes a dozen temporaries, which should stay in cache

_local = threading.local()


@dataclass(frozen=True, slots=True)
class Engine:
    """An encoder and its name."""

    name: str
    encode: Encode

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
        key = derive_key(seed, tensor, lane)
        target = np.frombuffer(out, np.uint8)
        size = dtype.size_bytes
        count = len(target) // size
        words = _scratch()
        for done in range(0, count, BLOCK_ELEMENTS):
            step = min(BLOCK_ELEMENTS, count - done)
            block = keystream(key, start + done, step, words)
            self.encode(distribution, dtype, block, target[done * size : (done + step) * size])


def _scratch() -> NDArray[np.uint32]:
    """This thread's buffer for keystream words."""
    words: NDArray[np.uint32] | None = getattr(_local, "words", None)
    if words is None:
        words = _local.words = scratch(BLOCK_ELEMENTS)
    return words


def encode_with_numpy(
    distribution: Distribution, dtype: Dtype, words: NDArray[np.uint32], out: NDArray[np.uint8]
) -> None:
    """The definition, block by block."""
    elements = out.view(dtype.storage)
    for i in range(0, len(words), _NUMPY_BLOCK):
        part = slice(i, i + _NUMPY_BLOCK)
        elements[part] = dtype.encode(distribution.draw(words[part]))


@cache
def get_engine(name: EngineName = "auto") -> Engine:
    """The encoder of this name; `auto` is the compiled one if Numba can be imported.

    Raises:
        EngineError: Numba was asked for by name and cannot be used.
    """
    if name != "numpy":
        try:
            from seedbed.stream import kernels  # costs half a second; only here when wanted
        except ImportError as error:
            if name == "numba":
                raise EngineError(f"Numba cannot be used: {error}") from error
        else:
            return Engine("numba", kernels.encode)
    return Engine("numpy", encode_with_numpy)


def warm(engine: Engine) -> None:
    """Draw once from every distribution in every floating dtype, so that all code is compiled."""
    for dtype in DTYPES.values():
        for distribution in (Uniform(0, 1), Normal(0, 1), TruncatedNormal(0, 1), LogUniform(1, 2)):
            if dtype.is_float:
                engine.draw(0, "", distribution, dtype, 0, memoryview(bytearray(dtype.size_bytes)))
