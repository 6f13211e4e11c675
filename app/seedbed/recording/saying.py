"""Laws in the language of specs: the one place that knows how each is spelt.

An init as JSON, or what the language has no words for. When specs learn a word, it is said here and
nowhere else.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seedbed.init import SCHEMES
from seedbed.recording.distributions import Distribution, LogUniform, Normal, Truncated, Uniform

Init = str | dict[str, Any]

CODES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
"""Seedbed's name of a dtype, by NumPy's, which JAX and Keras have too."""

_LARGEST = float(np.finfo(np.float32).max)
_LARGE = 3.38e38
"""Beyond it are the ends of F32 and BF16 alone, whose shortest decimals are outside of them."""

Kind = Literal["dtype", "unfilled", "literal", "parts", "copy", "law"]


@dataclass(frozen=True, slots=True)
class Unsaid:
    """What no spec says yet, or what no spec could say.

    Attributes:
        kind: `dtype`, `unfilled` (nobody filled the memory), `literal` (known numbers that no
            scheme gives), `parts` (several laws side by side), `copy`, or `law` (random, and no
            scheme draws it).
        reason: in words.
    """

    kind: Kind
    reason: str


def constant(number: complex, *, rounded: bool) -> Init | Unsaid:
    """The init of one value everywhere; `rounded` to float32 or less, so that it has few digits."""
    if isinstance(number, complex):
        return Unsaid("literal", f"the constant {number}")
    if isinstance(number, float) and _LARGEST < abs(number) < math.inf:
        return Unsaid("literal", f"the constant {number}, which no float32 holds")
    if not math.isfinite(number):
        return {"scheme": "constant", "value": _spelled(number)}
    if number in (0, 1) and math.copysign(1, number) > 0:
        return "ones" if number else "zeros"
    if rounded:
        exact = float(np.float32(number))
        number = exact if abs(exact) > _LARGE else float(str(np.float32(number)))  # the shortest
    return {"scheme": "constant", "value": number}


def closed(d: Distribution) -> Init:
    """The init of independent draws."""
    match d:
        case Uniform(low, high):
            return {"scheme": "uniform", "low": low, "high": high}
        case Normal(mean, std):
            return {"scheme": "normal", "mean": mean, "std": std}
        case LogUniform(low, high):
            return {"scheme": "log_uniform", "low": low, "high": high}
        case Truncated(mean, std, lower, upper):
            bounds = {"lower": lower, "upper": upper}
            finite = {key: x if math.isfinite(x) else None for key, x in bounds.items()}
            return {
                "scheme": "truncated_normal", "mean": mean, "std": std, **finite,
                "bounds": "absolute",
            }  # fmt: skip


def whole(kind: str, parameters: tuple[float, ...]) -> Init | Unsaid:
    """The init of a matrix that is drawn as a whole."""
    if kind == "orthogonal":
        gain = abs(parameters[0])  # a uniform matrix is as likely as its negative
        return {"scheme": "orthogonal", "gain": gain} if gain else "zeros"
    if kind == "sparse":
        return {"scheme": "sparse", "sparsity": parameters[0], "std": parameters[1]}
    return Unsaid("law", "Q of a Gaussian matrix, whose columns' signs are not made uniform")


def orthogonal(
    gain: float,
    shape: Sequence[int],
    rows: Sequence[int],
    columns: Sequence[int],
    batch: Sequence[int] = (),
) -> Init | Unsaid:
    """The init of orthogonal matrices.

    Args:
        gain: of either sign.
        shape: of the tensor.
        rows: axes of a matrix's rows; those of 1 may be left out, here as below.
        columns: axes of its columns; which side is which makes no difference to the distribution.
        batch: axes along which they are a stack.
    """
    init = whole("orthogonal", (gain,))
    if isinstance(init, Unsaid | str):
        return init
    free = [axis for axis in range(len(shape)) if axis not in batch]
    sides = [sorted(side) for side in (rows, columns)]
    if not batch and len(shape) > 1 and any(side == [0] for side in sides):
        return init
    # The side that is said in fewer axes; of two, the last one, as frameworks have outputs.
    out = min(sides, key=lambda side: (len(side), [-axis for axis in side]))
    if batch:
        init["batch_axis"] = batch[0] if len(batch) == 1 else list(batch)
    if out != free[:1]:
        init["out_axis"] = out[0] if len(out) == 1 else out
    return init


PARTS = 64
"""Parts of a tensor that a spec may name."""


def side_by_side(axis: int, parts: Sequence[tuple[int, Init]]) -> Init | Unsaid:
    """The init of several parts along an axis, each with its size."""
    if len(parts) > PARTS:
        return Unsaid("parts", f"{len(parts):,} parts along axis {axis}")
    if any(isinstance(init, dict) and init["scheme"] == "parts" for _, init in parts):
        return Unsaid("parts", f"parts within parts, along axis {axis}")
    stops = list(itertools.accumulate(size for size, _ in parts))
    boxes = [
        {"box": [*[None] * axis, [stop - size, stop]], "init": init}
        for (size, init), stop in zip(parts, stops, strict=True)
    ]
    return {"scheme": "parts", "parts": boxes}


def _spelled(number: float) -> float | str:
    """A number as an init has it."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else f"{'-' * (number < 0)}Infinity"


def counted(values: NDArray[Any]) -> Init | None:
    """The init of numbers that count along an axis, if they do: to the bit, also floats."""
    if values.dtype.kind not in "iuf" or values.ndim == 0 or not values.size:
        return None
    for axis in range(values.ndim):
        line = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])[0]
        start, second = line[0].item(), line[min(1, len(line) - 1)].item()
        if not (math.isfinite(start) and math.isfinite(second)):
            continue
        step = second - start
        shape = [-1 if i == axis else 1 for i in range(values.ndim)]
        if not step or (values != np.array(line).reshape(shape)).any():
            continue
        # An element is one product and one sum of float64, rounded to float32.
        follows = np.array([start + step * n for n in range(len(line))], line.dtype)
        if line.tobytes() == follows.tobytes():
            said = {"start": start, "step": step, "axis": axis - values.ndim}
            plain = {"start": 0, "step": 1, "axis": -1}
            more = {key: number for key, number in said.items() if number != plain[key]}
            return {"scheme": "arange", **more} if more else "arange"
    return None


LISTED = 65_536
"""Numbers that a literal may list where nothing else is set."""


def listed(values: NDArray[Any]) -> Init | Unsaid:
    """The init of known numbers, one by one."""
    if values.size > LISTED:
        return Unsaid(
            "literal", f"{values.size:,} known numbers, of which {LISTED:,} can be listed"
        )
    if values.dtype == np.float64:
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float32)
        if not np.array_equal(narrow, values, equal_nan=True):
            return Unsaid("literal", f"{values.size:,} numbers that float32 does not hold")
    flat = values.reshape(-1).tolist()
    return {"scheme": "literal", "values": [_spelled(number) for number in flat]}


_ALIKE = frozenset(
    {"zeros", "ones", "constant", "uniform", "normal", "truncated_normal", "log_uniform", "chain"}
)
"""Schemes of which it does not matter how large a tensor is."""


def parts(
    boxes: Sequence[tuple[Sequence[tuple[int, int]], Init]], shape: Sequence[int]
) -> Init | Unsaid:
    """The init of a tensor of boxes that cover it; what most elements have is that of the rest."""
    sizes: dict[str, int] = {}
    for box, init in boxes:
        if (init if isinstance(init, str) else init["scheme"]) in _ALIKE:
            key = json.dumps(init)
            sizes[key] = sizes.get(key, 0) + math.prod(stop - start for start, stop in box)
    base = max(sizes, key=lambda key: sizes[key], default="")
    others = [(box, init) for box, init in boxes if json.dumps(init) != base]
    if len(others) > PARTS:
        return Unsaid("parts", f"{len(others):,} boxes, of which {PARTS} can be said")
    said = [
        {
            "box": [
                None if (start, stop) == (0, size) else [start, stop]
                for (start, stop), size in zip(box, shape, strict=True)
            ],
            "init": init,
        }
        for box, init in others
    ]
    if not said:
        whole: Init = json.loads(base)
        return whole
    return {"scheme": "parts", **({"init": json.loads(base)} if base else {}), "parts": said}


def chain(of: Distribution, steps: Sequence[Sequence[Any]]) -> Init | Unsaid:
    """The init of a draw put through functions, if each is defined for all that can reach it."""
    init = {"scheme": "chain", "of": closed(of), "steps": [list(step) for step in steps]}
    try:
        SCHEMES["chain"].model_validate_json(json.dumps(init)).fill((1,))
    except ValueError as error:
        return Unsaid("law", f"{of} put through functions: {error}")
    return init
