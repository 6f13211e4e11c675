"""The grid's arms before any training, measured as `POST /v1/compare` does."""

from __future__ import annotations

from typing import Any

from seedbed.compare import CompareRequest, Comparison
from seedbed.compare.result import Column, SchemeResult
from study.design import ARMS, DEPTH

WIDTH = 64
SEEDS = 48
FANS = (9, 64, 576)
"""Of a depthwise 3×3 kernel, of the grid's layers, of a 3×3 kernel on 64 channels."""

_LAST = ("activation_mean_square", "correlation", "dead_units")
_FIRST = ("gradient_mean_square", "relative_gradient")


def measure_start() -> dict[str, Any]:
    """Signals at the last layer, gradients at the first, and kurtosis by fan-in.

    Every entry is [mean, low, high, theory] over `SEEDS` seeds.
    """
    found: dict[str, Any] = {"networks": {}, "kurtosis": {}}
    for norm in ("none", "batch"):
        request = _request(depth=DEPTH, width=WIDTH, norm=norm)
        found["networks"][norm] = {
            scheme.label: _ends(scheme) for scheme in Comparison(request).run().schemes
        }
    for fan in FANS:
        request = _request(
            depth=1, width=256, inputs=fan, arms=("he_normal", "he_truncated", "he_uniform")
        )
        found["kurtosis"][str(fan)] = {
            scheme.label: _entry(scheme.columns["pre_activation_kurtosis"], 0)
            for scheme in Comparison(request).run().schemes
        }
    return found


def _request(*, arms: tuple[str, ...] = (), **network: Any) -> CompareRequest:
    schemes = [
        {"init": arm.init, "label": arm.name} for arm in ARMS if not arms or arm.name in arms
    ]
    return CompareRequest.model_validate(
        {"schemes": schemes, "network": network, "seeds": SEEDS, "batch": 64}
    )


def _ends(scheme: SchemeResult) -> dict[str, Any]:
    entries = {name: _entry(scheme.columns[name], -1) for name in _LAST}
    entries |= {name: _entry(scheme.columns[name], 0) for name in _FIRST}
    return entries


def _entry(column: Column, row: int) -> list[float | None]:
    parts = (column.value, column.low, column.high, column.theory or [None])
    return [_six(values[row if len(values) > 1 else 0]) for values in parts]


def _six(value: float | None) -> float | None:
    """Six significant digits: all that is the same on every machine, and more than is needed."""
    return None if value is None else float(f"{value:.6g}")
