from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from study.again import agreement
from study.analysis import Results
from study.design import ARMS

SEEDS = 6
RATES = [0.01, 0.1]


def cell(accuracy: float, loss: float, *, shift: float = 0.0, wobble: float = 0.01) -> Any:
    """An arm whose second rate is worse."""
    noise = wobble * np.array([-1, 1, -2, 2, -1, 1])
    values = (accuracy + noise + shift).tolist()
    return {
        "accuracy": [values, [0.1] * SEEDS],
        "test_loss": [[loss] * SEEDS, [9.0] * SEEDS],
        "train_loss": [[loss] * SEEDS, [None] * SEEDS],
        "speed_loss": [[loss] * SEEDS, [None] * SEEDS],
        "diverged": [0, SEEDS],
    }


def results(shift: float) -> Results:
    """Uniform draws better by `shift`; AlexNet's scale does not learn."""
    cells = {
        arm.name: cell(
            0.1 if arm.scale == "alexnet" else 0.9,
            0.3,
            shift=shift if arm.shape == "uniform" and arm.scale != "alexnet" else 0.0,
        )
        for arm in ARMS
    }
    grid = {"rates": RATES, "seeds": SEEDS, "architectures": {"mlp": {}}, "cells": {"mlp": cells}}
    return Results({"made_by": {}, "experiments": {"grid": grid}})


def test_an_effect_is_found_and_none_is_not() -> None:
    """A shift of two points is found, exactly; without one nothing is."""
    found = results(0.02)
    assert found.pooled("uniform").mean == pytest.approx(2.0)
    assert found.pooled("truncated").mean == 0.0
    rows = {(row.scale, row.shape): row for row in found.contrasts}
    assert len(rows) == 8
    assert rows["he", "uniform"].p < 0.05 < rows["he", "truncated"].p
    assert all(row.p > 0.99 for row in results(0.0).contrasts)


def test_the_rate_is_chosen_by_training_loss() -> None:
    """Runs that diverged count as chance, and what did not learn is not pooled."""
    found = results(0.02)
    assert {row.rate for row in found.contrasts} == {0.01}
    assert [row.scale for row in found.contrasts if not row.learned] == ["alexnet", "alexnet"]
    assert found.scale("mlp", "he_normal").mean == pytest.approx(90.0)


def test_agreement_sees_a_difference() -> None:
    """A re-run agrees with itself and with noise, and not with results ten points away."""
    before = results(0.0)
    assert all(row.agrees for row in agreement(_file(before), before))
    off = _file(results(0.1))
    rows = [*agreement(off, before)]
    assert any(not row.agrees for row in rows)
    assert any("DIFFERS" in str(row) for row in rows)


def _file(found: Results) -> dict[str, Any]:
    return {"made_by": {}, "experiments": {"grid": found.experiment("grid")}}
