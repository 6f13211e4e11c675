"""What the advice of the service says was measured, from the result file."""

from __future__ import annotations

from typing import Any

from study.analysis import Results
from study.statistics import Effect

NETWORKS = ("mlp", "mlp_bn", "residual", "residual_bn")


def evidence(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Claims with their numbers, by network."""
    return {network: [_shape(results, network), _scales(results, network)] for network in NETWORKS}


def _shape(results: Results, network: str) -> dict[str, Any]:
    """What uniform draws do in place of normal ones."""
    return {
        "claim": f"Uniform against normal draws of equal variance, {_words(results, network)}: "
        "accuracy in percentage points, mean over the rules by fans that learned.",
        "kind": "measured",
        "source": f"study/results.json, grid, {network}",
        "numbers": _numbers(results.pooled("uniform", network)),
    }


def _scales(results: Results, network: str) -> dict[str, Any]:
    """How accurate each rule for the variance became."""
    numbers: dict[str, float | int] = {}
    for arm in ("he_normal", "glorot_normal", "lecun_normal"):
        cell = results.scale(network, arm)
        numbers[arm] = round(cell.mean, 2)
        numbers[f"{arm}_low"], numbers[f"{arm}_high"] = (round(end, 2) for end in cell.ends)
        numbers["seeds"] = len(cell.accuracy)
    return {
        "claim": "Accuracy in per cent, each at its best learning rate, "
        f"{_words(results, network)}.",
        "kind": "measured",
        "source": f"study/results.json, grid, {network}",
        "numbers": numbers,
    }


def _words(results: Results, network: str) -> str:
    design = results.experiment("grid")["architectures"][network]
    kind = "residual" if network.startswith("residual") else "plain"
    norm = "batch norm" if network.endswith("_bn") else "no norm"
    return f"{kind} ReLU networks of {design['depth']} layers with {norm} on digits"


def _numbers(effect: Effect) -> dict[str, float | int]:
    return {
        "effect": round(effect.mean, 3),
        "low": round(effect.low, 3),
        "high": round(effect.high, 3),
        "at_most": round(effect.bound, 3),
        "seeds": effect.seeds,
    }
