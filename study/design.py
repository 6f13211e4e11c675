"""What is trained: networks, schemes, learning rates, seeds. Pure data; the rest reads it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.init import SCHEMES
from seedbed.init.schemes import TRUNCATED_STD

Shape = Literal["normal", "truncated", "uniform"]
Json = str | dict[str, Any]

SHAPES: tuple[Shape, ...] = ("normal", "truncated", "uniform")
"""Of distributions; all of a scale have the same variance."""

SCALES = ("he", "glorot", "lecun", "alexnet")
"""Rules for the variance: 2/fan_in, 2/(fan_in + fan_out), 1/fan_in, 0.01²."""

ALEXNET_STD = 0.01


def init_of(scale: str, shape: Shape) -> Json:
    """A scale with a distribution of its variance, as a spec's `init`.

    The truncated ones are cut at two parent standard deviations and rescaled, as Keras' and JAX'.
    """
    if scale == "orthogonal":
        return {"scheme": "orthogonal", "gain": math.sqrt(2.0)}
    if scale != "alexnet":
        plain = f"{scale}_{'uniform' if shape == 'uniform' else 'normal'}"
        return {"scheme": plain, "convention": "keras"} if shape == "truncated" else plain
    if shape == "normal":
        return {"scheme": "normal", "std": ALEXNET_STD}
    if shape == "truncated":
        return {"scheme": "truncated_normal", "std": ALEXNET_STD / TRUNCATED_STD}
    bound = ALEXNET_STD * math.sqrt(3.0)
    return {"scheme": "uniform", "low": -bound, "high": bound}


@dataclass(frozen=True)
class Arm:
    """A way to start: every weight by this scheme.

    Attributes:
        name: in the result file.
        init: of a spec.
        scale: the rule for the variance.
        shape: of the distribution; `dense` for orthogonal matrices.
        gain: multiplies the weights before a norm once they are drawn.
        compensate: whether their learning rate is multiplied by gain².
    """

    name: str
    init: Json
    scale: str
    shape: str
    gain: float = 1.0
    compensate: bool = False


ARMS: tuple[Arm, ...] = (
    *(Arm(f"{c}_{s}", init_of(c, s), c, s) for c in SCALES for s in SHAPES),
    Arm("orthogonal", init_of("orthogonal", "normal"), "orthogonal", "dense"),
)
"""Every scale with every shape, and orthogonal matrices with He's gain."""


@dataclass(frozen=True)
class Architecture:
    """A network that is trained.

    Attributes:
        kind: `mlp` (plain), `residual` (dense blocks of two, normed before the activation),
            `resnet` (three stages of 3×3 blocks, normed after the convolution) or `keras` (two
            hidden layers).
        depth: hidden layers of weights of `mlp`; of `residual` the most that there may be: a stem
            and as many blocks of two as fit.
        width: units of a hidden layer; channels of a ResNet's first stage.
        batch_norm: whether there is one before every activation.
    """

    kind: Literal["mlp", "residual", "resnet", "keras"]
    depth: int
    width: int
    batch_norm: bool

    @property
    def name(self) -> str:
        """In the result file."""
        return f"{self.kind}{'_bn' if self.batch_norm else ''}"

    def weights(self, inputs: int, classes: int) -> dict[str, tuple[int, ...]]:
        """Weights by name, in the order in which they act; `inputs` are features or channels."""
        width = self.width
        if self.kind == "resnet":
            return dict(self._resnet(inputs, classes))
        hidden = self.depth if self.kind != "residual" else (self.depth - 1) // 2 * 2
        shapes: dict[str, tuple[int, ...]] = {}
        if self.kind == "residual":
            shapes["stem.weight"] = (width, inputs)
        for i in range(hidden):
            shapes[f"layers.{i}.weight"] = (width, width if shapes else inputs)
        shapes["head.weight"] = (classes, width)
        return shapes

    def _resnet(self, inputs: int, classes: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        width = self.width
        yield "stem.weight", (width, inputs, 3, 3)
        for stage in range(3):
            out = width * 2**stage
            into = out // 2 if stage else out
            yield f"stages.{stage}.conv1.weight", (out, into, 3, 3)
            yield f"stages.{stage}.conv2.weight", (out, out, 3, 3)
            if stage:
                yield f"stages.{stage}.shortcut.weight", (out, into, 1, 1)
        yield "head.weight", (classes, 4 * width)


@dataclass(frozen=True)
class Experiment:
    """Some arms in some architectures, each with every learning rate and every seed.

    Attributes:
        name: in the result file.
        question: that it answers.
        data: name of the data set.
        arms: ways to start.
        architectures: that are trained.
        rates: learning rates.
        seeds: how many; seed s draws the weights and orders the examples of every arm alike.
        epochs: passes over the training examples.
        batch: examples of a step.
        optimizer: SGD with momentum 0.9, or RMSprop with decay 0.9.
        quick: arms, architectures and rates that a quick re-run has, and its number of seeds.
    """

    name: str
    question: str
    data: Literal["digits", "fashion", "fashion_flat"]
    arms: tuple[Arm, ...]
    architectures: tuple[Architecture, ...]
    rates: tuple[float, ...]
    seeds: int
    epochs: int
    batch: int
    optimizer: Literal["sgd", "rmsprop"] = "sgd"
    quick: Mapping[str, Any] = field(default_factory=dict)


DEPTH = 20

_BY_NAME = {arm.name: arm for arm in ARMS}

GRID = Experiment(
    name="grid",
    question="Does the shape of the distribution matter, and does the scale, in deep networks?",
    data="digits",
    arms=ARMS,
    architectures=tuple(
        Architecture(kind, DEPTH, 64, norm)
        for kind in ("mlp", "residual")
        for norm in (False, True)
    ),
    rates=(0.003, 0.01, 0.03),
    seeds=12,
    epochs=10,
    batch=64,
    quick={
        "arms": ("he_normal", "he_uniform", "glorot_normal", "alexnet_normal"),
        "architectures": ("mlp", "residual_bn"),
        "rates": (0.003, 0.03),
        "seeds": 6,
    },
)

RESNET = Experiment(
    name="resnet",
    question="He-normal throughout a ResNet, as its authors had it, against other starts.",
    data="fashion",
    arms=tuple(
        _BY_NAME[name]
        for name in ("he_normal", "he_truncated", "he_uniform", "glorot_normal", "glorot_uniform")
    ),
    architectures=(
        Architecture("resnet", 7, 8, batch_norm=True),
        Architecture("resnet", 7, 8, batch_norm=False),
    ),
    rates=(0.03,),
    seeds=12,
    epochs=3,
    batch=64,
)

KERAS = Experiment(
    name="keras",
    question="Glorot-uniform against Glorot-normal, as in issue 52 of Keras' tracker.",
    data="fashion_flat",
    arms=tuple(
        _BY_NAME[name]
        for name in ("glorot_uniform", "glorot_normal", "glorot_truncated", "lecun_uniform")
    ),
    architectures=(Architecture("keras", 2, 128, batch_norm=False),),
    rates=(0.001,),
    seeds=32,
    epochs=3,
    batch=128,
    optimizer="rmsprop",
)

_GAINS = (0.25, 0.5, 1.0, 2.0, 4.0)

SCALE = Experiment(
    name="scale",
    question="What the scale of the weights before a batch norm does: effective learning rate.",
    data="digits",
    arms=tuple(
        Arm(
            f"gain_{gain:g}{'_compensated' if compensate else ''}",
            _BY_NAME["he_normal"].init,
            "he",
            "normal",
            gain,
            compensate,
        )
        for compensate in (False, True)
        for gain in _GAINS
    ),
    architectures=(Architecture("mlp", DEPTH, 64, batch_norm=True),),
    rates=(0.01,),
    seeds=12,
    epochs=12,
    batch=64,
)

EXPERIMENTS = (GRID, RESNET, KERAS, SCALE)


def spec_of(arm: Arm, shapes: Mapping[str, tuple[int, ...]], seed: int) -> CheckpointSpec:
    """The checkpoint that a network starts from."""
    given = {"scheme": arm.init} if isinstance(arm.init, str) else arm.init
    scheme = SCHEMES[given["scheme"]].model_validate(given)
    return CheckpointSpec.model_validate(
        {
            "seed": seed,
            "tensors": [
                {"name": name, "shape": shape, "init": scheme} for name, shape in shapes.items()
            ],
        }
    )


def weights_of(arm: Arm, shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, bytes]:
    """Weights as float32 in little-endian order, from Seedbed's own file, before any gain."""
    file = VirtualFile(spec_of(arm, shapes, seed))
    return {
        tensor.name: bytes(file.read(file.offset(i), file.offset(i) + tensor.size_bytes))
        for i, tensor in enumerate(file.tensors)
    }
