"""Known schemes in transformed draws: their quantiles, by torch."""

from __future__ import annotations

from typing import Any

import torch

from seedbed.recording import Call, Draw, Expression, Init, quantiles
from seedbed.recording import transformed as recognised
from seedbed.torch.laws import Drawn
from seedbed.torch.values import reality

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
        return part

    with reality():
        values: torch.Tensor = of(expression)
        return values


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
    x = quantiles(law.base)
    if x is None or not _is_smooth(law.expression):
        return None
    with reality():
        try:
            y = evaluated(law.expression, torch.from_numpy(x)).double().numpy()
        except (RuntimeError, TypeError):
            return None
    return recognised(law.base, y)
