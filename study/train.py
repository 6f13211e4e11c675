"""Many networks trained at once: one for each seed and learning rate, as one batched product.

A network's arithmetic does not depend on the others beside it, but for rounding: every tensor has a
leading axis of replicas, matrix products are batched, convolutions grouped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.data import Data, MissingDataError
from study.design import Architecture, Arm, Experiment, weights_of

MOMENTUM = 0.9
EPSILON = 1e-5
STATISTICS_MOMENTUM = 0.1


@dataclass(frozen=True)
class Outcome:
    """What became of some replicas; every array has an element a replica.

    Attributes:
        accuracy: share of test examples classified rightly at the end.
        test_loss: mean cross-entropy of the test examples at the end, in nats.
        train_loss: mean cross-entropy of the last epoch's batches, in nats.
        speed_loss: the same over all batches: the lower, the faster it learned.
        first_loss: mean over the first epoch.
        diverged: whether a loss was not finite.
        curve: (replicas, epochs) mean loss of each epoch.
    """

    accuracy: NDArray[np.float64]
    test_loss: NDArray[np.float64]
    train_loss: NDArray[np.float64]
    speed_loss: NDArray[np.float64]
    first_loss: NDArray[np.float64]
    diverged: NDArray[np.bool_]
    curve: NDArray[np.float64]


def torch_or_refuse() -> Any:
    """PyTorch, set to one thread and without denormals.

    Raises:
        MissingDataError: it is not installed.
    """
    try:
        import torch  # noqa: PLC0415 (only the study needs it)
    except ImportError as error:
        raise MissingDataError("the study trains with PyTorch: pip install torch") from error
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # weights of 0.01 fade into them, and they are slow
    return torch


class Replicas:
    """Networks of one architecture, stacked.

    Args:
        architecture: of all of them.
        arm: how they start.
        seeds: of the weights, one a replica.
        inputs: features, or channels.
        classes: of the data.
    """

    def __init__(
        self, architecture: Architecture, arm: Arm, seeds: Sequence[int], inputs: int, classes: int
    ) -> None:
        self.torch = torch_or_refuse()
        self.architecture = architecture
        self.count = len(seeds)
        self.weights: dict[str, Any] = {}
        self.extras: dict[str, Any] = {}
        self.statistics: dict[str, tuple[Any, Any]] = {}
        self.training = True
        shapes = architecture.weights(inputs, classes)
        drawn = {seed: weights_of(arm, shapes, seed) for seed in dict.fromkeys(seeds)}
        for name, shape in shapes.items():
            stacked = np.stack([np.frombuffer(drawn[s][name], "<f4").reshape(shape) for s in seeds])
            if name != "head.weight":
                stacked = stacked * np.float32(arm.gain)
            self.weights[name] = self._parameter(self.torch.from_numpy(stacked.copy()))
            norm = architecture.batch_norm and name != "head.weight"
            units = self._norm_units(name, shape) if norm else shape[0]
            self.extras[f"{name}.shift"] = self._parameter(self.torch.zeros(self.count, units))
            if norm:
                self.extras[f"{name}.scale"] = self._parameter(self.torch.ones(self.count, units))
                self.statistics[name] = (
                    self.torch.zeros(self.count, units),
                    self.torch.ones(self.count, units),
                )

    def _norm_units(self, name: str, shape: tuple[int, ...]) -> int:
        """Features that the norm of a weight sees: dense residual blocks norm what comes in."""
        dense_residual = self.architecture.kind == "residual" and name.startswith("layers")
        return shape[1] if dense_residual else shape[0]

    @staticmethod
    def _parameter(tensor: Any) -> Any:
        return tensor.requires_grad_()

    def parameters(self) -> dict[str, Any]:
        """Everything that is learned, by name."""
        return {**self.weights, **self.extras}

    def __call__(self, x: Any) -> Any:
        """Logits (replicas, batch, classes) of x (replicas, batch, *features)."""
        kind = self.architecture.kind
        if kind == "resnet":
            return self._resnet(x)
        relu = self.torch.relu
        names = [name for name in self.weights if name.startswith("layers")]
        if kind != "residual":
            for name in names:
                x = relu(self._after(name, self._dense(name, x)))
            return self._dense("head.weight", x, shift=True)
        x = self._dense("stem.weight", x, shift=not self.architecture.batch_norm)
        for first, second in zip(names[::2], names[1::2], strict=True):
            h = self._residual_layer(first, x)
            x = x + self._residual_layer(second, h)
        return self._dense(
            "head.weight", relu(self._after("stem.weight", x, shift=False)), shift=True
        )

    def _residual_layer(self, name: str, x: Any) -> Any:
        """First the norm, then the activation, then weights."""
        x = self._norm(name, x) if self.architecture.batch_norm else x
        return self._dense(name, self.torch.relu(x), shift=not self.architecture.batch_norm)

    def _dense(self, name: str, x: Any, *, shift: bool = False) -> Any:
        product = self.torch.bmm(x, self.weights[name].transpose(1, 2))
        return product + self.extras[f"{name}.shift"][:, None] if shift else product

    def _after(self, name: str, x: Any, *, shift: bool = True) -> Any:
        """What follows weights: a norm, or a bias alone."""
        if self.architecture.batch_norm:
            return self._norm(name, x)
        return x + self.extras[f"{name}.shift"][:, None] if shift else x

    def _norm(self, name: str, x: Any) -> Any:
        """Batch norm of x (replicas, batch, units)."""
        mean, variance = self._moments(name, x)
        scale = self.extras[f"{name}.scale"] * self.torch.rsqrt(variance + EPSILON)
        shift = self.extras[f"{name}.shift"] - mean * scale
        return x * scale[:, None] + shift[:, None]

    def _moments(self, name: str, x: Any) -> tuple[Any, Any]:
        """Mean and variance over the batch, or those of the past when not training."""
        if not self.training:
            return self.statistics[name]
        variance, mean = self.torch.var_mean(x, 1, correction=0)
        with self.torch.no_grad():
            for old, new in zip(self.statistics[name], (mean, variance), strict=True):
                old.lerp_(new, STATISTICS_MOMENTUM)
        return mean, variance

    def _resnet(self, x: Any) -> Any:
        """Channels of all replicas side by side: (batch, replicas·channels, height, width)."""
        torch = self.torch
        x = x.transpose(0, 1).flatten(1, 2)
        x = torch.relu(self._conv("stem.weight", x))
        for stage in range(3):
            stride = 2 if stage else 1
            h = torch.relu(self._conv(f"stages.{stage}.conv1.weight", x, stride))
            h = self._conv(f"stages.{stage}.conv2.weight", h)
            if stage:
                x = self._conv(f"stages.{stage}.shortcut.weight", x, stride)
            x = torch.relu(x + h)
        pooled = x.mean((2, 3)).unflatten(1, (self.count, -1)).transpose(0, 1)
        return self._dense("head.weight", pooled, shift=True)

    def _conv(self, name: str, x: Any, stride: int = 1) -> Any:
        """Convolution and what follows it."""
        weight = self.weights[name]
        y = self.torch.nn.functional.conv2d(
            x, weight.flatten(0, 1), stride=stride, padding=weight.shape[-1] // 2, groups=self.count
        )
        shift = self.extras[f"{name}.shift"].flatten()
        if not self.architecture.batch_norm:
            return y + shift[:, None, None]
        mean, variance = self.statistics[name]
        return self.torch.nn.functional.batch_norm(
            y, mean.view(-1), variance.view(-1), self.extras[f"{name}.scale"].flatten(), shift,
            self.training, STATISTICS_MOMENTUM, EPSILON,
        )  # fmt: skip


def train(experiment: Experiment, architecture: Architecture, arm: Arm, data: Data) -> Outcome:
    """Train every (learning rate, seed) of an arm; replicas are in that order."""
    seeds = [seed for _ in experiment.rates for seed in range(experiment.seeds)]
    rates = np.repeat(experiment.rates, experiment.seeds)
    replicas = Replicas(architecture, arm, seeds, data.train.shape[1], data.classes)
    torch = replicas.torch
    steps = len(data.train) // experiment.batch
    optimizer = Optimizer(torch, replicas, rates, arm, experiment.optimizer)
    x, y = torch.from_numpy(data.train), torch.from_numpy(data.train_classes)
    losses = np.empty((replicas.count, experiment.epochs, steps))
    for epoch in range(experiment.epochs):
        order = _orders(seeds, epoch, len(data.train))
        for step in range(steps):
            chosen = torch.from_numpy(
                order[:, step * experiment.batch : (step + 1) * experiment.batch]
            )
            each = torch.nn.functional.cross_entropy(
                replicas(x[chosen]).flatten(0, 1), y[chosen].flatten(), reduction="none"
            )
            each = each.view(replicas.count, -1).mean(1)
            each.sum().backward()
            losses[:, epoch, step] = each.detach().numpy()
            optimizer.step()
    accuracy, test_loss = _evaluate(replicas, data)
    curve = losses.mean(2)
    return Outcome(
        accuracy=accuracy,
        test_loss=test_loss,
        train_loss=curve[:, -1],
        speed_loss=curve.mean(1),
        first_loss=curve[:, 0],
        diverged=~(np.isfinite(losses).all((1, 2)) & np.isfinite(test_loss)),
        curve=curve,
    )


def _orders(seeds: Sequence[int], epoch: int, count: int) -> NDArray[np.int64]:
    """The order of the examples: by seed and epoch alone, so that all arms see the same."""
    drawn = {
        seed: np.random.Generator(np.random.Philox([seed, epoch])).permutation(count)
        for seed in dict.fromkeys(seeds)
    }
    return np.stack([drawn[seed] for seed in seeds])


def _evaluate(replicas: Replicas, data: Data) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Accuracy and mean loss on the test examples."""
    torch = replicas.torch
    replicas.training = False
    x, y = torch.from_numpy(data.test), torch.from_numpy(data.test_classes)
    right = np.zeros(replicas.count)
    loss = np.zeros(replicas.count)
    with torch.no_grad():
        for start in range(0, len(x), 512):
            part, classes = x[start : start + 512], y[start : start + 512]
            logits = replicas(part.expand(replicas.count, *part.shape))
            wanted = classes.expand(replicas.count, -1)
            hits = (logits.argmax(2) == wanted) & torch.isfinite(logits).all(2)
            right += hits.sum(1).numpy()
            each = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), wanted.flatten(), reduction="none"
            )
            loss += each.view(replicas.count, -1).sum(1).numpy()
    return right / len(x), loss / len(x)


class Optimizer:
    """SGD with momentum, or RMSprop, with a learning rate for each replica."""

    def __init__(
        self, torch: Any, replicas: Replicas, rates: NDArray[np.float64], arm: Arm, kind: str
    ) -> None:
        self._torch = torch
        self._kind = kind
        self._parameters = replicas.parameters()
        self._state = {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        self._rates: dict[str, Any] = {}
        for name, parameter in self._parameters.items():
            before_norm = name in replicas.weights and name != "head.weight"
            factor = arm.gain**2 if arm.compensate and before_norm else 1.0
            rate = torch.from_numpy((rates * factor).astype(np.float32))
            self._rates[name] = -rate.view(-1, *[1] * (parameter.dim() - 1))

    def step(self) -> None:
        """Move along the gradients, and forget them."""
        with self._torch.no_grad():
            for name, parameter in self._parameters.items():
                gradient, parameter.grad = parameter.grad, None
                if gradient is None:  # the bias of weights before a norm
                    continue
                state = self._state[name]
                if self._kind == "sgd":
                    state.mul_(MOMENTUM).add_(gradient)
                    parameter.addcmul_(state, self._rates[name])
                else:
                    state.mul_(0.9).addcmul_(gradient, gradient, value=0.1)
                    gradient.div_(state.sqrt().add_(1e-7))
                    parameter.addcmul_(gradient, self._rates[name])


def as_records(outcome: Outcome, experiment: Experiment) -> Mapping[str, Any]:
    """The outcome as nested lists (rates, seeds), rounded to what is meaningful."""
    shape = (len(experiment.rates), experiment.seeds)

    def table(values: NDArray[Any], digits: int) -> list[list[float | None]]:
        rounded = [
            None if not np.isfinite(v) else round(float(v), digits) for v in values.reshape(-1)
        ]
        return [rounded[i * shape[1] : (i + 1) * shape[1]] for i in range(shape[0])]

    return {
        "accuracy": table(outcome.accuracy, 5),
        "test_loss": table(outcome.test_loss, 4),
        "train_loss": table(outcome.train_loss, 4),
        "speed_loss": table(outcome.speed_loss, 4),
        "diverged": [int(row.sum()) for row in outcome.diverged.reshape(shape)],
    }
