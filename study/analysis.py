"""The result file, read: the tables that the document, the advice and the tests take numbers from.

Accuracies are in per cent, effects in percentage points, both of test examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from seedbed.compare.student import interval
from study.design import SCALES, SHAPES
from study.run import RESULTS, read
from study.statistics import Effect, Values, corrected, effect_of

LEARNED = 50.0
"""A cell whose mean accuracy is below this, in per cent, has not learned."""

FAN_RULES = ("he", "glorot", "lecun")
"""Rules for the variance that know the layer's size; AlexNet's constant does not."""

CONTRASTS = ("uniform", "truncated")
"""Shapes that are compared with the normal."""


@dataclass(frozen=True)
class Cell:
    """An arm in an architecture at one learning rate: numbers a seed.

    Attributes:
        rate: the learning rate.
        accuracy: of test examples, in per cent.
        speed_loss: mean training loss over the whole run.
        train_loss: of the last epoch.
        diverged: seeds whose loss was not finite.
    """

    rate: float
    accuracy: Values
    speed_loss: Values
    train_loss: Values
    diverged: int

    @property
    def mean(self) -> float:
        """Of the accuracies."""
        return float(self.accuracy.mean())

    @property
    def ends(self) -> tuple[float, float]:
        """95 % interval of the mean accuracy."""
        _, low, high = interval(self.accuracy)
        return low or 0.0, high or 0.0


@dataclass(frozen=True)
class Contrast:
    """A shape against the normal, in one architecture and scale, both at one learning rate.

    Attributes:
        architecture: where.
        scale: rule for the variance.
        shape: compared with the normal.
        rate: at which all shapes together reached the lowest training loss.
        accuracy: of the normal, mean.
        effect: on accuracy.
        p: Holm's, over all contrasts of the table.
    """

    architecture: str
    scale: str
    shape: str
    rate: float
    accuracy: float
    effect: Effect
    p: float

    @property
    def learned(self) -> bool:
        """Whether there was anything to compare."""
        return self.accuracy >= LEARNED


class Results:
    """A result file."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.made_by: Mapping[str, Any] = found["made_by"]
        self._experiments: Mapping[str, Any] = found["experiments"]
        self.start: Mapping[str, Any] = found.get("start", {})

    def experiment(self, name: str) -> Mapping[str, Any]:
        """An experiment's design and raw outcomes."""
        given: Mapping[str, Any] = self._experiments[name]
        return given

    def cells(self, experiment: str, architecture: str, arm: str) -> list[Cell]:
        """An arm at each learning rate."""
        given = self._experiments[experiment]
        raw = given["cells"][architecture][arm]
        return [
            Cell(
                rate,
                100.0 * np.array(raw["accuracy"][i], np.float64),
                np.array(raw["speed_loss"][i], np.float64),
                np.array(raw["train_loss"][i], np.float64),
                raw["diverged"][i],
            )
            for i, rate in enumerate(given["rates"])
        ]

    def architectures(self, experiment: str) -> list[str]:
        """Their names, in order."""
        return [*self._experiments[experiment]["architectures"]]

    def best(self, experiment: str, architecture: str, *arms: str) -> int:
        """The rate, by index, at which the arms together have the lowest training loss.

        A run that diverged counts as the loss of chance.
        """
        tables = [self.cells(experiment, architecture, arm) for arm in arms]
        losses = [
            np.mean([np.nan_to_num(t[i].train_loss, nan=_CHANCE) for t in tables])
            for i in range(len(tables[0]))
        ]
        return int(np.argmin(losses))

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """Every shape against the normal, in every architecture and scale of the grid."""
        rows = []
        for architecture in self.architectures("grid"):
            for scale in SCALES:
                arms = [f"{scale}_{shape}" for shape in SHAPES]
                at = self.best("grid", architecture, *arms)
                cells = {arm: self.cells("grid", architecture, arm)[at] for arm in arms}
                normal = cells[f"{scale}_normal"]
                for shape in CONTRASTS:
                    other = cells[f"{scale}_{shape}"]
                    effect = effect_of(other.accuracy - normal.accuracy)
                    rows.append((architecture, scale, shape, normal, effect))
        ps = corrected({str(i): row[-1] for i, row in enumerate(rows)})
        return [
            Contrast(architecture, scale, shape, normal.rate, normal.mean, effect, ps[str(i)])
            for i, (architecture, scale, shape, normal, effect) in enumerate(rows)
        ]

    def pooled(
        self, shape: str, *architectures: str, scales: tuple[str, ...] = FAN_RULES
    ) -> Effect:
        """A shape against the normal, averaged for each seed over what has learned there.

        Args:
            shape: compared with the normal.
            architectures: over which; all if none are named.
            scales: over which rules for the variance.
        """
        wanted = architectures or tuple(self.architectures("grid"))
        return effect_of(np.mean([*self._differences(shape, wanted, scales)], axis=0))

    def _differences(
        self, shape: str, architectures: tuple[str, ...], scales: tuple[str, ...]
    ) -> Iterator[Values]:
        for row in self.contrasts:
            if row.shape != shape or row.scale not in scales:
                continue
            if row.architecture in architectures and row.learned:
                at = self.experiment("grid")["rates"].index(row.rate)
                arms = (f"{row.scale}_{which}" for which in (shape, "normal"))
                one, other = (self.cells("grid", row.architecture, arm)[at] for arm in arms)
                yield one.accuracy - other.accuracy

    def scale(self, architecture: str, arm: str) -> Cell:
        """An arm of the grid at its own best learning rate."""
        at = self.best("grid", architecture, arm)
        return self.cells("grid", architecture, arm)[at]

    def against(self, experiment: str, architecture: str, arm: str, base: str) -> Effect:
        """An arm against another, both at the best rate of the two together."""
        at = self.best(experiment, architecture, arm, base)
        one, other = (self.cells(experiment, architecture, name)[at] for name in (arm, base))
        return effect_of(one.accuracy - other.accuracy)


_CHANCE = float(np.log(10))


@cache
def committed() -> Results:
    """The result file that is part of the package."""
    return Results(read(RESULTS))
