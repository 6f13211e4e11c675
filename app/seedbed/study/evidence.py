"""Measured evidence: what the result file says, in the words of an answer."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Evidence(BaseModel):
    """One reason to believe the advice."""

    claim: str
    kind: Literal["measured", "derived", "paper"]
    source: str = Field(description="Table of the result file, or the paper, or the formula.")
    numbers: dict[str, float | int | str | None] = Field(
        default_factory=dict, description="What was measured: effect, interval, seeds, …"
    )


def measured(norm: str, *, residual: bool) -> list[Evidence]:
    """What the study measured in such networks."""
    del norm, residual
    return []
