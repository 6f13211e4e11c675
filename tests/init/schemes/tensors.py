"""Whole tensors for the tests of single schemes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from seedbed.init import Init, MatrixCache, Scheme, Source
from seedbed.stream import DTYPES, get_engine

_adapter: TypeAdapter[Scheme] = TypeAdapter(Init)


def scheme_of(init: Any) -> Scheme:
    """What JSON means as an init."""
    return _adapter.validate_python(init)


def tensor_of(
    init: Any, shape: tuple[int, ...], *, seed: int = 7, name: str = "w", engine: str = "numpy"
) -> NDArray[np.float32]:
    """A tensor in F32."""
    source = Source(get_engine(engine), seed, name, DTYPES["F32"], MatrixCache(2**26, 1))
    out = np.empty(shape, np.float32)
    scheme_of(init).fill(shape).write(source, 0, out.reshape(-1).view(np.uint8).data)
    return out


def piece_of(init: Any, shape: tuple[int, ...], start: int, stop: int) -> NDArray[np.float32]:
    """Some elements of a tensor, which may be larger than this machine."""
    source = Source(get_engine("numpy"), 7, "w", DTYPES["F32"], MatrixCache(2**20, 1))
    out = np.empty(stop - start, np.float32)
    scheme_of(init).fill(shape).write(source, start, out.view(np.uint8).data)
    return out


def draws(elements: int, *, seed: int = 7, name: str = "w") -> NDArray[np.float64]:
    """The standard normals of the same stream."""
    return tensor_of("normal", (elements,), seed=seed, name=name).astype(np.float64)
