"""What Keras' initialisers come to for a shape, in explicit numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from seedbed.recording import (
    PARTS,
    Init,
    Normal,
    Truncated,
    Uniform,
    Unsaid,
    closed,
    constant,
    orthogonal,
    side_by_side,
)

Shape = tuple[int, ...]

SMALL = 1 << 20
"""Elements beyond which a function is not called to see what it gives."""

_CUT = 0.87962566103423978
"""Standard deviation of a standard normal that is cut at two of its own."""


def said(initialiser: Any, shape: Shape, dtype: str) -> Init | Unsaid:
    """The init of a variable.

    Args:
        initialiser: as the variable has it: an object of `keras.initializers`, or a function.
        shape: of the variable.
        dtype: of the variable, by NumPy's name.
    """
    if not math.prod(shape):
        return "zeros"
    for kind, init in _KINDS.items():
        if isinstance(initialiser, kind) and type(initialiser).__call__ is kind.__call__:
            return init(initialiser, shape, dtype)
    return _called(initialiser, shape, dtype)


def seed_of(initialiser: Any) -> object:
    """What its numbers follow from: two initialisers of one seed draw the same."""
    return getattr(initialiser, "seed", None)


def _constant(value: Any, dtype: str) -> Init | Unsaid:
    array = np.asarray(value)
    if array.size != 1:
        return Unsaid("literal", f"{array.size:,} known numbers")
    is_float = "float" in dtype
    number = array.reshape(()).item()
    return constant(float(number) if is_float else number, rounded=is_float and dtype != "float64")


def _scaled(i: Any, shape: Shape, _: str) -> Init | Unsaid:
    """As `VarianceScaling.__call__`, with the fans of `compute_fans`."""
    fan_in, fan_out = _fans(i, shape)
    fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    scale = i.scale / max(1.0, fans[i.mode])
    match i.distribution:
        case "truncated_normal":
            std = math.sqrt(scale) / _CUT
            return closed(Truncated(0.0, std, -2 * std, 2 * std))
        case "untruncated_normal":
            return closed(Normal(0.0, math.sqrt(scale)))
        case "uniform":
            return closed(Uniform(-math.sqrt(3 * scale), math.sqrt(3 * scale)))
    return Unsaid("law", f"VarianceScaling of distribution {i.distribution!r}")


def _fans(i: Any, shape: Shape) -> tuple[int, int]:
    """Keras' reading of a shape: by the axes that EinsumDense names, else (*kernel, in, out)."""
    ins, outs = getattr(i, "input_axes", None), getattr(i, "output_axes", None)
    if ins is not None and outs is not None:
        return math.prod(shape[axis] for axis in ins), math.prod(shape[axis] for axis in outs)
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    kernel = math.prod(shape[:-2])
    return shape[-2] * kernel, shape[-1] * kernel


def _normal(i: Any, *_: object) -> Init | Unsaid:
    return closed(Normal(i.mean, i.stddev)) if i.stddev else constant(i.mean, rounded=True)


def _truncated(i: Any, *_: object) -> Init | Unsaid:
    if not i.stddev:
        return constant(i.mean, rounded=True)
    return closed(Truncated(i.mean, i.stddev, i.mean - 2 * i.stddev, i.mean + 2 * i.stddev))


def _uniform(i: Any, _: Shape, dtype: str) -> Init | Unsaid:
    if "float" not in dtype:
        return Unsaid("law", f"random whole numbers as {dtype}")
    if i.minval == i.maxval:
        return constant(i.minval, rounded=True)
    return closed(Uniform(i.minval, i.maxval))


def _orthogonal(i: Any, shape: Shape, _: str) -> Init | Unsaid:
    """A matrix (all but the last axis, last axis)."""
    *ahead, last = range(len(shape))
    return orthogonal(i.gain, shape, [axis for axis in ahead if shape[axis] > 1], [last])


def _identity(i: Any, shape: Shape, dtype: str) -> Init | Unsaid:
    if i.gain == 1:
        return "identity"
    return _called(i, shape, dtype)


_ALL = keras.initializers

_KINDS: Mapping[Any, Callable[[Any, Shape, str], Init | Unsaid]] = {
    _ALL.Zeros: lambda *_: "zeros",
    _ALL.Ones: lambda *_: "ones",
    _ALL.Constant: lambda i, _, dtype: _constant(i.value, dtype),
    _ALL.VarianceScaling: _scaled,
    _ALL.RandomNormal: _normal,
    _ALL.TruncatedNormal: _truncated,
    _ALL.RandomUniform: _uniform,
    _ALL.Orthogonal: _orthogonal,
    _ALL.Identity: _identity,
}


def _called(function: Any, shape: Shape, dtype: str) -> Init | Unsaid:
    """What a function gives that is none of Keras' own, if it gives the same twice."""
    name = getattr(function, "__qualname__", type(function).__name__)
    if not callable(function):
        return Unsaid("law", "given values by code, after its initialiser")
    if math.prod(shape) > SMALL:
        return Unsaid("law", f"{name} is not an initialiser that is known here")
    if seed_of(function) is not None:
        return Unsaid("law", f"{name}, whose numbers follow a seed, is not known here")
    with keras.device("cpu:0"):
        first, second = (
            np.asarray(keras.ops.convert_to_numpy(function(shape, dtype=dtype))) for _ in range(2)
        )
    if first.shape != shape or first.tobytes() != second.tobytes():
        return Unsaid("law", f"{name} draws, and is not an initialiser that is known here")
    flat = first.reshape(-1)
    if bool((flat == flat[0]).all()):
        return _constant(flat[0].astype(np.float64), dtype)
    return _in_runs(flat, dtype) if first.ndim == 1 else _literal(flat.size, name)


def _in_runs(flat: NDArray[Any], dtype: str) -> Init | Unsaid:
    """Constants side by side, as LSTM's forget bias is."""
    starts = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), flat.size]
    if len(starts) > PARTS:
        return _literal(flat.size, "a function")
    parts: list[tuple[int, Init]] = []
    for start, stop in itertools.pairwise(starts):
        init = _constant(flat[start].astype(np.float64), dtype)
        if isinstance(init, Unsaid):
            return init
        parts.append((stop - start, init))
    return side_by_side(0, parts)


def _literal(size: int, name: str) -> Unsaid:
    return Unsaid("literal", f"{size:,} known numbers of {name}")
