"""Paired comparisons over seeds: effects with intervals, corrected for how many there are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seedbed.compare.student import half_width, t_cdf

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """The mean difference of two arms over the same seeds.

    Attributes:
        mean: of the differences.
        low: lower end of its 95 % interval.
        high: upper end.
        p: of Student's paired test that it is 0.
        bound: no larger effect, to either side, is compatible with the data at the 5 % level: the
            further end of the 90 % interval, as in two one-sided tests (TOST).
        seeds: how many.
        wins: share of the seeds with a difference above 0; of ties half.
    """

    mean: float
    low: float
    high: float
    p: float
    bound: float
    seeds: int
    wins: float


def effect_of(differences: Values) -> Effect:
    """What differences, one a seed, say of their mean."""
    count = len(differences)
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    half, narrow = half_width(differences), half_width(differences, 0.90)
    if deviation == 0:
        p = 1.0 if mean == 0 else 0.0
    else:
        p = 2 * (1 - t_cdf(abs(mean) * math.sqrt(count) / deviation, count - 1))
    wins = float(((differences > 0) + 0.5 * (differences == 0)).mean())
    return Effect(mean, mean - half, mean + half, max(p, 0.0), abs(mean) + narrow, count, wins)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected by Holm's method: the chance of any false alarm among them stays below."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = highest
    return corrected


def corrected(effects: Mapping[str, Effect]) -> dict[str, float]:
    """Holm's p-values of a family of effects, by name."""
    return dict(zip(effects, holm([effect.p for effect in effects.values()]), strict=True))
