"""Which scheme to use, why, and what has been measured about it."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from seedbed.advice.evidence import Evidence, measured
from seedbed.compare import Activation, Norm, numbers_of

LayerKind = Literal[
    "linear", "conv", "depthwise_conv", "recurrent", "embedding", "attention", "output"
]
Init = str | dict[str, Any]

ACTIVATIONS: tuple[str, ...] = get_args(Activation)


class Question(BaseModel):
    """What a weight is for."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    layer: LayerKind = Field("linear", description="The layer that the weight belongs to.")
    activation: Activation = Field(
        "relu", description="What follows the layer, after the norm if there is one."
    )
    norm: Norm = Field("none", description="Between layer and activation, or before the layer.")
    residual: bool = Field(
        default=False, description="Whether the layer is in a branch that is added to its input."
    )


class Option(BaseModel):
    """A scheme that can be asked for."""

    init: Init = Field(description="As a spec's `init` takes it.")
    when: str


class Advice(BaseModel):
    """What to use for a layer."""

    layer: LayerKind
    activation: Activation
    norm: Norm
    residual: bool
    init: Init = Field(description="As a spec's `init` takes it.")
    why: list[str] = Field(description="Reasons, the most important first.")
    normal_or_uniform: str = Field(description="What the shape of the distribution does here.")
    alternatives: list[Option]
    evidence: list[Evidence]
    example: str = Field(description="Path for GET of such a tensor.")
    document: str = Field("docs/normal-vs-uniform.md", description="The whole story.")


_HE = "He, Zhang, Ren, Sun 2015, arXiv:1502.01852"
_GLOROT = "Glorot, Bengio 2010, AISTATS"
_SAXE = "Saxe, McClelland, Ganguli 2014, arXiv:1312.6120"
_SCHOENHOLZ = "Schoenholz et al. 2017, Deep Information Propagation, arXiv:1611.01232"
_SELU = "Klambauer et al. 2017, arXiv:1706.02515"
_YANG = "Yang et al. 2019, A Mean Field Theory of Batch Normalization, arXiv:1902.08129"
_BATCH_NORM = "Ioffe, Szegedy 2015, arXiv:1502.03167"
_ARORA = "Arora, Li, Lyu 2018, arXiv:1812.03981"
_FIXUP = "Zhang, Dauphin, Ma 2019, Fixup, arXiv:1901.09321"

_EXAMPLES: dict[str, str] = {
    "conv": "256x256x3x3", "depthwise_conv": "256x1x3x3", "embedding": "32000x256",
    "output": "10x256",
}  # fmt: skip


def advise(question: Question) -> Advice:
    """What to use, why, and what supports it."""
    init, why, alternatives, evidence = _by_layer(question)
    if question.norm != "none" and question.layer != "embedding":
        norm_why, norm_evidence = _of_norm(question)
        why = [*norm_why, *why]
        evidence = [*norm_evidence, *evidence]
    if question.residual:
        branch_why, branch_options = _of_residual(question)
        why = [*branch_why, *why]
        alternatives = [*alternatives, *branch_options]
        if init == "he_normal" and question.norm == "none":
            init = "lecun_normal"  # measured: see the evidence
            alternatives = [
                Option(init="he_normal", when="plain networks, or branches that begin at zero"),
                *alternatives,
            ]
    return Advice(
        **question.model_dump(),
        init=init,
        why=why,
        normal_or_uniform=_of_shape(question),
        alternatives=alternatives,
        evidence=[*evidence, *measured(question.norm, residual=question.residual)],
        example=_example(init, question),
    )


def _by_layer(question: Question) -> tuple[Init, list[str], list[Option], list[Evidence]]:
    """What the layer asks for, whatever is around it."""
    layer = question.layer
    if layer == "embedding":
        return (
            {"scheme": "normal", "std": 0.02},
            [
                (
                    "A row is looked up, not summed over: its spread is the signal's own, whatever "
                    "the size of the vocabulary, so fans do not apply."
                ),
            ],
            [
                Option(init="normal", when="PyTorch's default, N(0, 1): without a norm after it"),
                Option(
                    init={"scheme": "variance_scaling", "mode": "fan_in", "distribution": "normal"},
                    when="Flax' default, std 1/√width: rows of length about 1",
                ),
            ],
            [],
        )
    if layer == "recurrent":
        return (
            "orthogonal",
            [
                ("The same matrix acts at every step: with all singular values 1 it neither "
                "stretches nor shrinks the state. This is for the recurrent weight; give the "
                "input's weight glorot_uniform."),
            ],
            [Option(init="glorot_uniform", when="the weight that reads the input")],
            [Evidence(claim="Orthogonal weights keep lengths at any depth.", kind="paper",
                      source=_SAXE)],
        )  # fmt: skip
    if layer == "attention":
        return (
            "glorot_uniform",
            [
                ("No activation follows the projections, and their fans are equal: Glorot, LeCun "
                "and std 1/√width are the same here."),
                ("Of a fused weight [3·width, width] take the fans of one projection: over the "
                "whole the bound would be √2 too small, as PyTorch's is."),
            ],
            [
                Option(init={"scheme": "normal", "std": 0.02},
                       when="transformers of width near 1/0.02² = 2,500, as GPT-2 has it"),
            ],
            [Evidence(claim="Variance 2/(fan_in + fan_out) is a compromise between both "
                            "directions.", kind="paper", source=_GLOROT)],
        )  # fmt: skip
    if layer == "output":
        return (
            "lecun_normal",
            [("Nothing follows but the loss: variance 1/fan_in gives logits of the size of the "
             "features.")],
            [Option(init="zeros", when="to begin at the uniform prediction; only its gradient is "
                                       "kept from the layers below, for one step")],
            [],
        )  # fmt: skip
    init, why, alternatives, evidence = _by_activation(question)
    if layer == "depthwise_conv":
        why.append(
            "Each output sums over the kernel only: 9 numbers for 3×3. Take care that fan_in is "
            "that, as it is for PyTorch's shapes; Keras' DepthwiseConv2D counts all channels."
        )
    return init, why, alternatives, evidence


def _by_activation(question: Question) -> tuple[Init, list[str], list[Option], list[Evidence]]:
    """What keeps the mean square of signals and gradients, layer after layer."""
    name = question.activation
    numbers = numbers_of(name)
    derived = Evidence(
        claim=f"Gain 1/√E[φ(z)²], z standard normal, for {name}.",
        kind="derived",
        source="Gaussian quadrature, seedbed.compare.theory",
        numbers={
            "gain": _rounded(numbers.gain), "critical_sigma_w": _rounded(numbers.critical_sigma_w)
        },
    )  # fmt: skip
    dense = Option(
        init={"scheme": "orthogonal", "gain": _gain_of(name)},
        when="deep networks without norms: the same variance, and no direction lost on the way",
    )
    if name in ("relu", "leaky_relu"):
        return (
            "he_normal",
            [("Half of the variance is lost at each rectifier; variance 2/fan_in puts it back, and "
             "keeps gradients too.")],
            [Option(init="he_uniform", when="no value beyond 2.45/√fan_in may occur"), dense],
            [derived, Evidence(claim="30 layers converge with it and stall with Glorot's.",
                               kind="paper", source=_HE)],
        )  # fmt: skip
    if name in ("gelu", "silu", "softplus"):
        gain = _rounded(numbers.gain)
        return (
            {"scheme": "he_normal", "gain": gain},
            [(f"The gain of {name} is {gain}, not ReLU's 1.41421: it keeps the mean square of "
             "pre-activations at 1.")],
            [Option(init="he_normal", when="few layers, or norms between them: what most do"),
             dense],
            [derived],
        )  # fmt: skip
    if name in ("selu", "elu"):
        return (
            "lecun_normal",
            ["Variance 1/fan_in: SELU's constants were chosen for it."
             if name == "selu"
             else "ELU is as steep as the identity at 0: variance 1/fan_in is its edge of chaos."],
            [dense],
            [derived, Evidence(claim="Self-normalising with variance 1/fan_in.", kind="paper",
                               source=_SELU)],
        )  # fmt: skip
    if name in ("tanh", "erf"):
        gain = _gain_of(name)
        exact = {"scheme": "lecun_normal"} if gain == 1.0 else {"scheme": "he_normal", "gain": gain}
        return (
            "lecun_normal" if gain == 1.0 else exact,
            [(f"σ_w = {gain:.6g} is the edge of chaos: below it two inputs become alike and "
             "gradients vanish, above it they part and gradients explode.")],
            [Option(init="glorot_uniform", when="layers whose two fans are about equal: the same"),
             dense],
            [derived, Evidence(claim="Depth that can be trained is longest at the edge of chaos.",
                               kind="paper", source=_SCHOENHOLZ)],
        )  # fmt: skip
    if name == "sigmoid":
        return (
            "glorot_uniform",
            [("A sigmoid's mean of ½ and slope of at most ¼ fade signals with any of the schemes; "
             "tanh is the same function without that mean.")],
            [Option(init={"scheme": "glorot_uniform", "gain": 4.0},
                    when="to make up for the slope of ¼")],
            [derived, Evidence(claim="Sigmoids saturate the top layer early.", kind="paper",
                               source=_GLOROT)],
        )  # fmt: skip
    return (
        "lecun_normal",
        ["Without an activation the variance 1/fan_in keeps the mean square."],
        [dense],
        [derived, Evidence(claim="Learning time of deep linear networks does not grow with depth "
                                 "if weights are orthogonal.", kind="paper", source=_SAXE)],
    )  # fmt: skip


def _gain_of(name: Activation) -> float:
    """√(fan_in·Var w) that suits an activation: of odd ones the critical one, else the gain."""
    numbers = numbers_of(name)
    if name in ("tanh", "erf", "elu", "linear"):
        return _rounded(numbers.critical_sigma_w) or 1.0
    return _rounded(numbers.gain) or 1.0


def _of_norm(question: Question) -> tuple[list[str], list[Evidence]]:
    """What a norm changes."""
    numbers = numbers_of(question.activation)
    batch = question.norm == "batch"
    growth = numbers.batch_norm_gradient_growth if batch else numbers.layer_norm_gradient_growth
    why = [
        (
            "A norm after the layer undoes any factor of its weight: the output does not depend on "
            "the scale. What the scale still sets is the effective learning rate, rate/‖W‖²: "
            "weights twice as large turn a quarter as fast."
        ),
    ]
    evidence = [
        Evidence(
            claim="BN((aW)u) = BN(Wu), and the gradient by aW is 1/a of that by W.",
            kind="paper",
            source=f"{_BATCH_NORM}; {_ARORA}",
        )
    ]
    if batch and growth is not None:
        why.append(
            f"Batch norm does not cure depth: in a plain network gradients grow {growth:.4g} "
            "times a layer in mean square at the start, whatever the scheme."
        )
        evidence.append(
            Evidence(
                claim="Growth of the gradient's mean square a layer: E[φ′²]/Var[φ].",
                kind="derived",
                source=_YANG,
                numbers={"growth": _rounded(growth)},
            )
        )
    return why, evidence


def _of_residual(question: Question) -> tuple[list[str], list[Option]]:
    """What a skip connection changes."""
    if question.norm == "none":
        why = (
            "Each branch adds its variance to the stream: with ReLU and He's, it doubles at every "
            "block. In residual networks without norm LeCun's and Glorot's variance learned "
            "better here. Or let the last weight of each branch begin at zero."
        )
        return [why], [Option(init="zeros", when=f"the last weight of each branch ({_FIXUP})")]
    why = "A stream of normed branches grows by a sum, not a product: depth asks for nothing more."
    option = Option(
        init="zeros",
        when="the scale γ of the last norm in each branch, so that blocks begin as the identity",
    )
    return [why], [option]


def _of_shape(question: Question) -> str:
    """Normal or uniform."""
    if question.layer == "embedding":
        return (
            "A row is used as it is, so the shape shows: a normal has rare entries five deviations "
            "out, a uniform none beyond 1.73. Nothing in the theory prefers one."
        )
    if question.layer == "depthwise_conv":
        return (
            "Either. A sum over 9 numbers is less Gaussian than one over hundreds: of a uniform's "
            "excess kurtosis of −1.2, times E φ⁴/(E φ²)²/9, something is left. The variance still "
            "decides how far signals get."
        )
    return (
        "Either: at equal variance there is hardly any difference; the measured evidence says how "
        "small it must be. A uniform or a truncated normal has no far values, which can matter for "
        "low precision; that is a reason to choose one."
    )


def _example(init: Init, question: Question) -> str:
    """A path for GET."""
    given = {"scheme": init} if isinstance(init, str) else dict(init)
    shape = _EXAMPLES.get(question.layer, "256x256")
    query = "&".join(["seed=42", *(f"{k}={v}" for k, v in given.items() if k != "scheme")])
    return f"/v1/tensors/{given['scheme']}/{shape}.safetensors?{query}"


def _rounded(value: float | None) -> float | None:
    """Six significant digits."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
