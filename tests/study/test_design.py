from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from seedbed.files import VirtualFile
from study.design import ARMS, EXPERIMENTS, SCALES, SHAPES, init_of, spec_of, weights_of
from study.run import choose, design_of, digest_of, quick_of

FAN_IN, FAN_OUT = 300, 500

VARIANCES = {
    "he": 2 / FAN_IN,
    "glorot": 2 / (FAN_IN + FAN_OUT),
    "lecun": 1 / FAN_IN,
    "alexnet": 1e-4,
    "orthogonal": 2 / FAN_OUT,
}


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_arms_have_their_variance(arm: object) -> None:
    """Every shape of a scale has the scale's variance, in the plan and in the file's values."""
    given = next(a for a in ARMS if a is arm)
    shapes = {"w": (FAN_OUT, FAN_IN)}
    (plan,) = VirtualFile(spec_of(given, shapes, 3)).tensors
    assert math.isclose(plan.fill.summary().std ** 2, VARIANCES[given.scale], rel_tol=1e-6)
    values = np.frombuffer(weights_of(given, shapes, 3)["w"], "<f4").astype(np.float64)
    assert math.isclose((values**2).mean(), VARIANCES[given.scale], rel_tol=0.02)


def test_shapes_are_three() -> None:
    """The three shapes of a scale differ, in their kurtosis as they should."""
    for scale in SCALES:
        found = []
        for shape in SHAPES:
            arm = next(a for a in ARMS if (a.scale, a.shape) == (scale, shape))
            assert arm.init == init_of(scale, shape)
            (plan,) = VirtualFile(spec_of(arm, {"w": (30, 20)}, 0)).tensors
            found.append(plan.fill.summary().excess_kurtosis)
        assert found == pytest.approx([0.0, -0.6344, -1.2], abs=1e-3)


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.name)
def test_networks_can_be_drawn(experiment: object) -> None:
    """Every architecture's weights have unique names and a file for every arm."""
    given = next(e for e in EXPERIMENTS if e is experiment)
    for architecture in given.architectures:
        shapes = architecture.weights(7, 10)
        assert list(shapes)[-1] == "head.weight"
        for arm in given.arms:
            assert {t.name for t in VirtualFile(spec_of(arm, shapes, 1)).tensors} == set(shapes)


def test_layers_fit_together() -> None:
    """Each weight of the plain and residual networks reads what the one before it gives."""
    for architecture in EXPERIMENTS[0].architectures:
        shapes = [*architecture.weights(7, 10).values()]
        assert shapes[0][1] == 7
        assert all(a[0] == b[1] for a, b in itertools.pairwise(shapes))


def test_digest_knows_what_was_done() -> None:
    """Another number of seeds is another design; what a quick re-run repeats is not part of it."""
    grid = choose(["grid"])[0]
    assert digest_of(grid) != digest_of(quick_of(grid))
    assert set(design_of(grid)["arms"]) == {arm.name for arm in ARMS}
    assert all(arm in grid.arms for arm in quick_of(grid).arms)
