"""Measured evidence: what the result file says, in the words of an answer."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from seedbed.study.analysis import Results, committed
from seedbed.study.statistics import Effect


class Evidence(BaseModel):
    """One reason to believe the advice."""

    claim: str
    kind: Literal["measured", "derived", "paper"]
    source: str = Field(description="Table of the result file, or the paper, or the formula.")
    numbers: dict[str, float | int | str | None] = Field(
        default_factory=dict, description="What was measured: effect, interval, seeds, …"
    )


def measured(norm: str, *, residual: bool) -> list[Evidence]:
    """What the study measured in networks like these; of layer norm there is nothing."""
    results = committed()
    kind = "residual" if residual else "mlp"
    network = f"{kind}_bn" if norm == "batch" else kind
    words = _words(results, network)
    found = [
        Evidence(
            claim=f"Uniform against normal draws of equal variance, {words}: accuracy in "
            "percentage points, mean over the rules by fans that learned.",
            kind="measured",
            source=f"seedbed/study/results.json, grid, {network}",
            numbers=_numbers(results.pooled("uniform", network)),
        )
    ]
    arms = ("he_normal", "glorot_normal", "lecun_normal")
    cells = {arm: results.scale(network, arm) for arm in arms}
    found.append(
        Evidence(
            claim=f"Accuracy in per cent, each at its best learning rate, {words}.",
            kind="measured",
            source=f"seedbed/study/results.json, grid, {network}",
            numbers={
                name: round(value, 2)
                for arm, cell in cells.items()
                for name, value in (
                    (arm, cell.mean),
                    (f"{arm}_low", cell.ends[0]),
                    (f"{arm}_high", cell.ends[1]),
                    ("seeds", len(cell.accuracy)),
                )
            },
        )
    )
    return found


def _words(results: Results, network: str) -> str:
    design = results.experiment("grid")["architectures"][network]
    kind = "residual" if network.startswith("residual") else "plain"
    norm = "batch norm" if network.endswith("_bn") else "no norm"
    return f"{kind} ReLU networks of {design['depth']} layers with {norm} on digits"


def _numbers(effect: Effect) -> dict[str, float | int | str | None]:
    return {
        "effect": round(effect.mean, 3),
        "low": round(effect.low, 3),
        "high": round(effect.high, 3),
        "at_most": round(effect.bound, 3),
        "seeds": effect.seeds,
    }
