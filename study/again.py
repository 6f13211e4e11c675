"""Whether a re-run of a part agrees with the committed results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seedbed.compare.student import half_width
from study.analysis import Results, committed

CONFIDENCE = 0.99
"""Of both intervals. Weights and batches are the same again, so that only rounding differs: the
sixteen cells are closer than independent ones would be."""

LEAST = 1.0
"""Percentage points that are always allowed: with few seeds an interval may come out tiny."""


@dataclass(frozen=True)
class Agreement:
    """One cell, again.

    Attributes:
        cell: experiment, architecture, arm, rate.
        again: mean accuracy of the re-run, in per cent.
        before: of the committed results.
        allowed: how far apart they may be: both intervals' half widths, as a root of squares.
    """

    cell: str
    again: float
    before: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether they are that close."""
        return abs(self.again - self.before) <= self.allowed

    def __str__(self) -> str:
        verdict = "agrees" if self.agrees else "DIFFERS"
        return (
            f"{self.cell}: {self.again:.2f} %, before {self.before:.2f} %, "
            f"{verdict} (within {self.allowed:.2f})"
        )


def agreement(found: Mapping[str, Any], before: Results | None = None) -> Iterator[Agreement]:
    """Every cell of a re-run beside the committed one."""
    before = before or committed()
    again = Results(found)
    for name, experiment in found["experiments"].items():
        for architecture, cells in experiment["cells"].items():
            for arm in cells:
                for cell in again.cells(name, architecture, arm):
                    (old,) = (
                        c for c in before.cells(name, architecture, arm) if c.rate == cell.rate
                    )
                    halves = [half_width(c.accuracy, CONFIDENCE) for c in (cell, old)]
                    yield Agreement(
                        f"{name} {architecture} {arm} {cell.rate:g}",
                        cell.mean,
                        old.mean,
                        max(LEAST, math.hypot(*halves)),
                    )
