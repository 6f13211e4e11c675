"""Which scheme to use, why, and what has been measured about it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

LayerKind = Literal[
    "linear", "conv", "depthwise_conv", "recurrent", "embedding", "attention", "output"
]


class Evidence(BaseModel):
    """One reason to believe the advice."""

    claim: str
    kind: Literal["measured", "derived", "paper"]
    source: str = Field(description="Table of the result file, or the paper, or the formula.")
    numbers: dict[str, float | int | str | None] = Field(
        default_factory=dict, description="What was measured: effect, interval, seeds, …"
    )


class Option(BaseModel):
    """A scheme that can be asked for."""

    init: str | dict[str, Any] = Field(description="As a spec's `init` takes it.")
    when: str


class Advice(BaseModel):
    """What to use for a layer."""

    layer: LayerKind
    activation: str
    norm: str
    residual: bool
    init: str | dict[str, Any] = Field(description="As a spec's `init` takes it.")
    why: list[str] = Field(description="Reasons, the most important first.")
    normal_or_uniform: str = Field(description="What the shape of the distribution does here.")
    alternatives: list[Option]
    evidence: list[Evidence]
    example: str = Field(description="Path for GET of such a tensor, 256×256 or like it.")
    document: str = Field("docs/normal-vs-uniform.md", description="The whole story.")
