"""Known schemes in known numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from seedbed.recording.saying import Init, counted

Doubles: TypeAlias = NDArray[np.float64]
Rounding: TypeAlias = Callable[[NDArray[np.float32]], NDArray[Any]]
"""What becomes of numbers of float32 in a narrower dtype, in one that NumPy reckons with."""


def table(numbers: NDArray[Any], narrow: Rounding | None = None) -> Init | None:
    """The init of known numbers, if a scheme gives them.

    Args:
        numbers: as NumPy has them; those of narrow floats as float32.
        narrow: the rounding of a float dtype narrower than float32, None for others.
    """
    is_float = numbers.dtype.kind == "f"
    init = _known(numbers.astype(np.float64), narrow) if is_float else None
    return init or counted(numbers)


def _known(x: Doubles, narrow: Rounding | None) -> Init | None:
    """The scheme that gives these numbers, to the rounding of float32 arithmetic."""
    if x.size < 2 or not np.isfinite(x).all():
        return None
    for known in (_sinusoid, _identity, _dirac, _along_axis, _slopes):
        init = known(x, narrow)
        if init is not None:
            return init
    return None


def _close(
    x: Doubles, want: Doubles, narrow: Rounding | None, rtol: float, atol: float = 0.0
) -> bool:
    """Whether numbers are these to the rounding of float32 arithmetic; narrower ones exactly."""
    if narrow is None:
        return np.allclose(x, want, rtol=rtol, atol=atol)
    return np.array_equal(x, narrow(want.astype(np.float32)).astype(np.float64))


def _sinusoid(x: Doubles, narrow: Rounding | None) -> Init | None:
    if x.ndim != 2 or x.shape[1] % 2 or x.shape[1] < 4:
        return None
    n, d = x.shape
    position, half = np.arange(n)[:, None], np.arange(d // 2)
    for layout, steps in (("interleaved", d / 2), ("concatenated", d / 2 - 1)):
        angle = position * np.exp(-math.log(10000.0) * half / steps)
        want = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
        if layout == "interleaved":
            want = want.reshape(n, 2, d // 2).transpose(0, 2, 1).reshape(n, d)
        # angles of float32 are off by half an ulp of the position
        if _close(x, want, narrow, rtol=0, atol=1e-6 + 6e-8 * n):
            return {"scheme": "sinusoidal", "layout": layout}
    return None


def _identity(x: Doubles, _: Rounding | None) -> Init | None:
    gain = x.flat[0]
    if x.ndim != 2 or not gain or not np.array_equal(x, gain * np.eye(*x.shape)):
        return None
    return {"scheme": "eye", "gain": float(gain)}


def _dirac(x: Doubles, _: Rounding | None) -> Init | None:
    if x.ndim < 3 or np.count_nonzero(x) != np.count_nonzero(x == 1):
        return None
    centre = x[(slice(None), slice(None), *(n // 2 for n in x.shape[2:]))]
    if np.count_nonzero(centre) != np.count_nonzero(x):
        return None
    for groups in range(1, x.shape[0] + 1):
        if x.shape[0] % groups == 0:
            each = x.shape[0] // groups
            if np.array_equal(centre, np.tile(np.eye(each, x.shape[1]), (groups, 1))):
                return {"scheme": "dirac", "groups": groups}
    return None


def _along_axis(x: Doubles, narrow: Rounding | None) -> Init | None:
    rows = x.reshape(-1, x.shape[-1])
    row, n = rows[0], x.shape[-1]
    if n < 2 or not np.array_equal(rows, np.broadcast_to(row, rows.shape)):
        return None
    following = np.arange(1, n + 1)
    if _close(row, np.log(following), narrow, rtol=3e-7, atol=1e-7):
        return {"scheme": "mamba_A_log"}
    if np.array_equal(row, -following):
        return {"scheme": "s4d_real"}
    if row[0] == 1 and 0 < row[1] < 1 and n > 1:
        theta = float(f"{row[1] ** -n:.5g}")
        if theta >= 1 and _close(row, theta ** (-np.arange(n) / n), narrow, rtol=2e-6):
            return {"scheme": "rope_inv_freq", "theta": theta}
    return None


def _slopes(x: Doubles, narrow: Rounding | None) -> Init | None:
    if x.ndim != 1:
        return None
    power = 1 << int(math.log2(len(x)))
    h = np.arange(len(x))
    late = 2.0 ** (-8 * (2 * (h - power) + 1) / (2 * power))
    want = np.where(h < power, 2.0 ** (-8 * (h + 1) / power), late)
    return {"scheme": "alibi_slopes"} if _close(x, want, narrow, rtol=1e-6) else None
