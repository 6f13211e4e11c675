"""Measured evidence, in the words of an answer."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, TypeAdapter

_MEASURED = Path(__file__).parent / "evidence.json"
"""What the study found, by kind of network; written by `scripts/study_doc.py`."""


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
    kind = "residual" if residual else "mlp"
    return _of_study()[f"{kind}_bn" if norm == "batch" else kind]


@cache
def _of_study() -> dict[str, list[Evidence]]:
    return TypeAdapter(dict[str, list[Evidence]]).validate_python(
        json.loads(_MEASURED.read_text(encoding="utf-8"))
    )
