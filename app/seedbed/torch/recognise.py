"""Known schemes in what was computed: tables by their numbers, transformed draws by quantiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seedbed.recording import Call, Draw, Expression, LogUniform, Normal, Uniform
from seedbed.torch.laws import Drawn
from seedbed.torch.values import reality

Doubles = NDArray[np.float64]
Init = dict[str, Any]

_FAR = [10.0**-n for n in range(9, 3, -1)]
_MIDDLE = torch.linspace(0.0005, 0.9995, 1000, dtype=torch.float64).tolist()
_U = torch.tensor([*_FAR, *_MIDDLE, *(1 - x for x in reversed(_FAR))], dtype=torch.float64)
"""Probabilities at which a transformed draw is compared with a scheme's, far ends too."""

_SMOOTH = frozenset(
    (
        "add", "sub", "rsub", "mul", "div", "neg", "positive", "reciprocal", "pow", "square",
        "sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "erfinv",
        "special_erfinv", "sigmoid", "logit", "tanh", "atanh", "softplus",
        "clamp", "clamp_min", "clamp_max", "clip",
    )
)  # fmt: skip
"""Operations of which a few hundred values tell what they are between: no steps, no holes.

Clamps have a step, at an end where the expression rises or falls all along.
"""


def evaluated(expression: Expression, x: torch.Tensor) -> torch.Tensor:
    """The values of an expression where X has these."""

    def of(part: Any) -> Any:
        if isinstance(part, Draw):
            return x
        if isinstance(part, Call):
            function = getattr(torch.ops.aten, part.name)
            return function(*map(of, part.arguments), **{k: of(v) for k, v in part.options})
        if isinstance(part, float) and math.isfinite(part):
            return part
        return part

    with reality():
        values: torch.Tensor = of(expression)
        return values


def quantiles(law: Drawn) -> torch.Tensor | None:
    """Values of a transformed draw at 1,000 probabilities of its base, if there are such."""
    with reality():
        match law.base:
            case Uniform(low, high):
                x = low + _U * (high - low)
            case Normal(mean, std):
                x = mean + std * torch.special.ndtri(_U)
            case LogUniform(low, high):
                x = torch.exp(math.log(low) + _U * (math.log(high) - math.log(low)))
            case _:
                return None
        try:
            y = evaluated(law.expression, x)
        except (RuntimeError, TypeError):
            return None
        return y.double() if bool(torch.isfinite(y).all()) else None


def _line(z: torch.Tensor, u: torch.Tensor) -> tuple[float, float] | None:
    """(value at 0, value at 1) if z is linear in u."""
    slope = (z[-1] - z[0]) / (u[-1] - u[0])
    start = z[0] - slope * u[0]
    size = max(float(z.abs().max()), 1e-300)
    if not torch.allclose(z, start + slope * u, rtol=1e-6, atol=1e-7 * size):
        return None
    return float(start), float(start + slope)


def _is_smooth(expression: Any) -> bool:
    if not isinstance(expression, Call):
        return True
    options = dict(expression.options)
    return (
        expression.name in _SMOOTH
        and options.get("rounding_mode") is None
        and all(map(_is_smooth, expression.arguments))
    )


def transformed(law: Drawn) -> Init | None:
    """The scheme that a transformed draw is, if it is one; equal to 10⁻⁶ at 1,000 quantiles."""
    if not _is_smooth(law.expression):
        return None
    y = quantiles(law)
    if y is None or float(y[0]) == float(y[-1]):
        return None
    with reality():
        steps = y.diff()
        if not (bool((steps >= 0).all()) or bool((steps <= 0).all())):
            return None
        if isinstance(law.base, Normal):
            normal = _line(y, torch.special.ndtri(_U))
            line = _line(y, _U) if normal is None else None
            if normal is not None:
                middle = float(y[0] + y[-1]) / 2
                std = abs(float(y[-1] - y[0]) / float(2 * torch.special.ndtri(_U[-1])))
                return {"scheme": "normal", "mean": middle, "std": std}
            return None if line is None else _uniform(*sorted(line))
        rising = y if float(y[-1]) >= float(y[0]) else y.flip(0)
        for known in (_plain, _dt_bias, _logarithms, _ring, _gate):
            init = known(rising)
            if init is not None:
                return init
    return None


def _uniform(low: float, high: float) -> Init:
    return {"scheme": "uniform", "low": low, "high": high}


def _plain(y: torch.Tensor) -> Init | None:
    line = _line(y, _U)
    if line is not None:
        return _uniform(*line)
    if float(y[0]) > 0 and (line := _line(y.log(), _U)) is not None:
        return {"scheme": "log_uniform", "low": math.exp(line[0]), "high": math.exp(line[1])}
    return None


def _dt_bias(y: torch.Tensor) -> Init | None:
    """Mamba's: softplus of it is log-uniform, perhaps with a floor."""
    rate = torch.nn.functional.softplus(y, threshold=700)
    least = float(rate.min())
    free = rate > least * (1 + 1e-6)
    if int(free.sum()) < 10 or not least > 0:
        return None
    line = _line(rate[free].log(), _U[free])
    if line is None:
        return None
    low, high = math.exp(line[0]), math.exp(line[1])
    floor = least if int(free.sum()) < len(y) - 1 else min(1e-4, low)
    return {"scheme": "mamba_dt_bias", "dt_min": low, "dt_max": high, "floor": floor}


def _logarithms(y: torch.Tensor) -> Init | None:
    line = _line(y.exp(), _U)
    if line is None:
        return None
    if abs(line[0] - 1) < 1e-6:
        return {"scheme": "chrono_bias", "t_max": line[1] + 1}
    return {"scheme": "lru_theta_log", "max_phase": line[1]} if abs(line[0]) < 1e-6 else None


def _ring(y: torch.Tensor) -> Init | None:
    """An LRU's: the square of exp(−exp(it)) is uniform."""
    line = _line(torch.exp(-2 * torch.exp(y)).flip(0), _U)
    if line is None or not -1e-9 <= line[0] < line[1] <= 1 + 1e-9:
        return None
    radii = {"r_min": max(line[0], 0.0) ** 0.5, "r_max": min(line[1], 1.0) ** 0.5}
    return {"scheme": "lru_nu_log", **radii}


def _gate(y: torch.Tensor) -> Init | None:
    """RG-LRU's: the square of sigmoid(−it) is uniform."""
    line = _line((torch.sigmoid(-y) ** 2).flip(0), _U)
    if line is None or not 0 < line[0] < line[1] < 1:
        return None
    return {"scheme": "rglru", "r_min": math.sqrt(line[0]), "r_max": math.sqrt(line[1])}


def known_table(real: torch.Tensor) -> Init | None:
    """The scheme that gives these numbers, to the rounding of float32 arithmetic."""
    if not real.dtype.is_floating_point or real.numel() < 2:
        return None
    with reality():
        x = real.double().numpy()
    if not np.isfinite(x).all():
        return None
    for known in (_sinusoid, _identity, _dirac, _along_axis, _slopes):
        init = known(x, real.dtype)
        if init is not None:
            return init
    return None


def _close(x: Doubles, want: Doubles, dtype: torch.dtype, rtol: float, atol: float = 1e-8) -> bool:
    """Whether numbers are these to the rounding of float32 arithmetic; narrower ones exactly."""
    if dtype.itemsize >= torch.float32.itemsize:
        return np.allclose(x, want, rtol=rtol, atol=atol)
    with reality():
        rounded = torch.from_numpy(want).to(torch.float32).to(dtype).double().numpy()
    return np.array_equal(x, rounded)


def _sinusoid(x: Doubles, dtype: torch.dtype) -> Init | None:
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
        if _close(x, want, dtype, rtol=0, atol=1e-6 + 6e-8 * n):
            return {"scheme": "sinusoidal", "layout": layout}
    return None


def _identity(x: Doubles, _dtype: torch.dtype) -> Init | None:
    gain = x.flat[0]
    if x.ndim != 2 or not gain or not np.array_equal(x, gain * np.eye(*x.shape)):
        return None
    return {"scheme": "eye", "gain": float(gain)}


def _dirac(x: Doubles, _dtype: torch.dtype) -> Init | None:
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


def _along_axis(x: Doubles, dtype: torch.dtype) -> Init | None:
    rows = x.reshape(-1, x.shape[-1])
    row, n = rows[0], x.shape[-1]
    if n < 2 or not np.array_equal(rows, np.broadcast_to(row, rows.shape)):
        return None
    following = np.arange(1, n + 1)
    if _close(row, np.log(following), dtype, rtol=3e-7, atol=1e-7):
        return {"scheme": "mamba_A_log"}
    if np.array_equal(row, -following):
        return {"scheme": "s4d_real"}
    if row[0] == 1 and 0 < row[1] < 1 and n > 1:
        theta = float(f"{row[1] ** -n:.5g}")
        if theta >= 1 and _close(row, theta ** (-np.arange(n) / n), dtype, rtol=2e-6):
            return {"scheme": "rope_inv_freq", "theta": theta}
    return None


def _slopes(x: Doubles, dtype: torch.dtype) -> Init | None:
    if x.ndim != 1:
        return None
    power = 1 << int(math.log2(len(x)))
    h = np.arange(len(x))
    late = 2.0 ** (-8 * (2 * (h - power) + 1) / (2 * power))
    want = np.where(h < power, 2.0 ** (-8 * (h + 1) / power), late)
    return {"scheme": "alibi_slopes"} if _close(x, want, dtype, rtol=1e-6) else None


Recogniser = Callable[[Doubles], Init | None]
