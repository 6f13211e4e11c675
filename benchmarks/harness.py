"""Rivals measured in turn, and the tables that come of it.

A machine's speed drifts, by its neighbours and its heat. So rivals are not measured one after the
other but once each in every round, and what counts is the ratio of their medians over the rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmarks.processes import Others

Sample = TypeVar("Sample")

_PAUSE_SECONDS = 0.05
"""Between samples: threads of the rival before may still spin, sockets may still close."""

_QUIET_SHARE = 0.05
"""Of all cores, that others may have in a round that counts; a system at rest has about 1 %."""

_LOOK_SECONDS = 0.2
"""How long the machine is looked at before a round."""


@dataclass(slots=True)
class Bench:
    """How to run a section, and how much the machine had to do beside it.

    Attributes:
        quick: small sizes and few rounds, to see that all works; the figures mean little.
        patience_seconds: how long rounds may be repeated in all that other processes disturbed.
        torchvision_python: an interpreter that has torchvision, if there is one.
        disturbances: share of all cores that others had, in each round that was counted.
    """

    quick: bool = False
    patience_seconds: float = 0.0
    torchvision_python: Path | None = None
    disturbances: list[float] = field(default_factory=list)

    def alternate(
        self, rivals: Mapping[str, Callable[[], Sample]], rounds: int
    ) -> dict[str, list[Sample]]:
        """Samples of each rival: one a round, after a round that is not counted.

        Each round begins with another rival, so that none always comes after the same.
        """
        samples: dict[str, list[Sample]] = {name: [] for name in rivals}
        names = list(rivals)
        for i in range((min(rounds, 2) if self.quick else rounds) + 1):
            order = names[i % len(names) :] + names[: i % len(names)]
            for name, sample in self._undisturbed(rivals, order).items():
                if i:
                    samples[name].append(sample)
        return samples

    def _undisturbed(
        self, rivals: Mapping[str, Callable[[], Sample]], order: Sequence[str]
    ) -> dict[str, Sample]:
        """One round, again if others disturbed it and there is patience left."""
        while True:
            self._wait_for_quiet()
            others = Others()
            samples = {}
            for name in order:
                time.sleep(_PAUSE_SECONDS)
                samples[name] = rivals[name]()
            share, seconds = others.share()
            if share <= _QUIET_SHARE or self.patience_seconds <= 0:
                self.disturbances.append(share)
                return samples
            self.patience_seconds -= seconds

    def _wait_for_quiet(self) -> None:
        """Return as soon as others leave the cores alone, or patience has run out."""
        while self.patience_seconds > 0:
            others = Others()
            time.sleep(_LOOK_SECONDS)
            share, seconds = others.share()
            if share <= _QUIET_SHARE:
                return
            self.patience_seconds -= seconds

    def disturbed(self) -> str:
        """In words, how much others disturbed the rounds that were counted."""
        if not self.disturbances:
            return "nobody watched other processes"
        middle, most = statistics.median(self.disturbances), max(self.disturbances)
        return f"other processes had {middle:.0%} of the cores, in the worst round {most:.0%}"


@dataclass(frozen=True, slots=True)
class Measured:
    """A median, and half of the range that has the middle half of the samples."""

    median: float
    spread: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Measured:
        """Of samples in any unit."""
        ordered = list(values)
        low, _, high = statistics.quantiles(ordered, n=4, method="inclusive")
        return cls(statistics.median(ordered), (high - low) / 2)

    def text(self, digits: int = 3) -> str:
        """`3.41 ±2 %`."""
        share = self.spread / self.median if self.median else 0
        return f"{number(self.median, digits)} ±{share:.0%}".replace("%", " %")


def number(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, without an exponent."""
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e" in text or abs(float(text)) >= 1000 else text


def ratio(value: float) -> str:
    """`4.3×`."""
    return f"{number(value, 2 if value < 10 else 3)}×"


@dataclass(frozen=True, slots=True)
class Table:
    """Text in rows.

    Attributes:
        title: what it shows.
        columns: headings.
        rows: cells.
        note: how to read it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        """For the documentation and for the terminal alike."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        lines = [
            self._line(self.columns, widths),
            "|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|",
            *(self._line(row, widths) for row in self.rows),
        ]
        note = f"{self.note}\n\n" if self.note else ""
        return f"**{self.title}**\n\n{note}" + "\n".join(lines) + "\n"

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        padded = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that was to be reached, and what was.

    Attributes:
        what: it is about.
        wanted: in words.
        reached: measured, in words.
        met: whether that is enough.
    """

    what: str
    wanted: str
    reached: str
    met: bool


def targets_table(targets: Iterable[Target]) -> Table:
    """Targets, and whether they are met."""
    rows = [(t.what, t.wanted, t.reached, "yes" if t.met else "**no**") for t in targets]
    return Table("Targets", ("what", "target", "measured", "met"), rows)
