"""What is suggested for a weight, before what is around it is looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from seedbed.advice.evidence import Evidence

Init = str | dict[str, Any]

GLOROT = "Glorot, Bengio 2010, AISTATS"
SAXE = "Saxe, McClelland, Ganguli 2014, arXiv:1312.6120"


class Option(BaseModel):
    """A scheme that can be asked for."""

    init: Init = Field(description="As a spec's `init` takes it.")
    when: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A scheme, and what speaks for it.

    Attributes:
        init: as a spec takes it.
        why: the reason.
        alternatives: and when they suit better.
        evidence: of papers and theory.
        mind: what is easily missed, if anything.
    """

    init: Init
    why: str
    alternatives: tuple[Option, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    mind: str | None = None


def rounded(value: float | None) -> float | None:
    """Six significant digits."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
