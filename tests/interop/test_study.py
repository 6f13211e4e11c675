"""The study's training against plain PyTorch, and a small re-run against its results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from study import agreement, choose, run_study
from study.data import Data, load
from study.design import ARMS, Architecture, Experiment, weights_of
from study.train import Replicas, train

pytestmark = pytest.mark.interop

HE, UNIFORM = (next(a for a in ARMS if a.name == n) for n in ("he_normal", "he_uniform"))

SMALL = {
    "mlp": Architecture("mlp", 3, 8, batch_norm=False),
    "mlp_bn": Architecture("mlp", 3, 8, batch_norm=True),
    "residual": Architecture("residual", 5, 8, batch_norm=False),
    "residual_bn": Architecture("residual", 5, 8, batch_norm=True),
    "resnet": Architecture("resnet", 7, 4, batch_norm=False),
    "resnet_bn": Architecture("resnet", 7, 4, batch_norm=True),
}


def data_for(architecture: Architecture) -> Data:
    """Random images, few."""
    rng = np.random.Generator(np.random.Philox(1))
    shape = (1, 8, 8) if architecture.kind == "resnet" else (12,)
    x = rng.normal(size=(48, *shape)).astype(np.float32)
    y = rng.integers(0, 10, 48)
    return Data(x[:32], y[:32], x[32:], y[32:])


def experiment(architecture: Architecture, seeds: int, rates: tuple[float, ...]) -> Experiment:
    """Two epochs of four steps."""
    return Experiment("x", "", "digits", (HE,), (architecture,), rates, seeds, 2, 8)


@pytest.mark.parametrize("name", SMALL)
def test_replicas_do_not_see_each_other(name: str) -> None:
    """A network trained beside others, at several rates, is the one trained alone, to rounding."""
    architecture = SMALL[name]
    data = data_for(architecture)
    together = train(experiment(architecture, 3, (0.01, 0.05)), architecture, HE, data)
    alone = train(experiment(architecture, 1, (0.05,)), architecture, HE, data)
    np.testing.assert_allclose(together.curve[3], alone.curve[0], rtol=1e-3)
    np.testing.assert_allclose(together.test_loss[3], alone.test_loss[0], rtol=1e-3)
    assert not np.allclose(together.curve[0], together.curve[1])


def reference(architecture: Architecture, inputs: int) -> Any:
    """A plain network of torch's modules, with Seedbed's weights of seed 0."""
    import torch
    from torch import nn

    raw = weights_of(HE, shapes := architecture.weights(inputs, 10), 0)
    layers: list[Any] = []
    for name, shape in shapes.items():
        norm = architecture.batch_norm and name != "head.weight"
        linear = nn.Linear(shape[1], shape[0], bias=not norm)
        values = np.frombuffer(raw[name], "<f4").reshape(shape).copy()
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(values))
            if not norm:
                linear.bias.zero_()
        layers.append(linear)
        if name != "head.weight":
            layers += [nn.BatchNorm1d(shape[0])] * norm + [nn.ReLU()]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("name", ["mlp", "mlp_bn"])
def test_training_is_torchs(name: str) -> None:
    """Losses step by step are those of nn.Module, nn.CrossEntropyLoss and optim.SGD."""
    import torch

    architecture = SMALL[name]
    data = data_for(architecture)
    given = experiment(architecture, 1, (0.05,))
    found = train(given, architecture, HE, data)
    model = reference(architecture, 12)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    means = []
    for epoch in range(given.epochs):
        order = np.random.Generator(np.random.Philox([0, epoch])).permutation(32)
        losses = []
        for step in range(4):
            chosen = order[step * 8 : step * 8 + 8]
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(
                model(torch.from_numpy(data.train[chosen])),
                torch.from_numpy(data.train_classes[chosen]),
            )
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(np.mean(losses))
    np.testing.assert_allclose(found.curve[0], means, rtol=1e-4)
    model.eval()
    with torch.no_grad():
        logits = model(torch.from_numpy(data.test))
    test_loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.test_classes))
    # torch's running variance has a divisor one less: a seventh, with batches of eight.
    near = 0.1 if architecture.batch_norm else 1e-3
    assert found.test_loss[0] == pytest.approx(test_loss.item(), rel=near)


def test_gain_and_rate_undo_each_other() -> None:
    """Behind batch norm, weights times g at g² times the rate learn alike; else they do not."""
    architecture = SMALL["mlp_bn"]
    data = data_for(architecture)
    given = experiment(architecture, 2, (0.05,))
    plain, same, more = (
        train(given, architecture, arm, data).curve
        for arm in (HE, replace(HE, gain=4.0, compensate=True), replace(HE, gain=4.0))
    )
    np.testing.assert_allclose(plain, same, rtol=0.02)
    assert not np.allclose(plain, more, rtol=0.02)


def test_weights_are_seedbeds() -> None:
    """What a network starts from is the file, seed by seed."""
    architecture = SMALL["residual_bn"]
    replicas = Replicas(architecture, UNIFORM, [5, 7], 12, 10)
    raw = weights_of(UNIFORM, architecture.weights(12, 10), 7)
    for name, stacked in replicas.weights.items():
        assert stacked[1].detach().numpy().tobytes() == raw[name]


def test_digits_are_what_they_are() -> None:
    """1,797 digits of 64 pixels in ten classes, standardised by the training set."""
    data = load("digits")
    assert (data.train.shape, data.test.shape) == ((1437, 64), (360, 64))
    assert data.train.mean() == pytest.approx(0.0, abs=1e-5)
    assert set(data.train_classes) == set(data.test_classes) == set(range(10))


def test_a_small_run_agrees_with_the_results() -> None:
    """Some cells, trained again from the first seeds, are within the committed intervals."""
    found = run_study(None, choose(["grid"]), quick=True)
    rows = [*agreement(found)]
    assert len(rows) == 16
    assert [str(row) for row in rows if not row.agrees] == []
