"""What keeps the mean square of signals and gradients, layer after layer, for each activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seedbed.advice.evidence import Evidence
from seedbed.advice.suggestion import GLOROT, SAXE, Option, Suggestion, rounded
from seedbed.compare import Activation, numbers_of

_HE = "He, Zhang, Ren, Sun 2015, arXiv:1502.01852"
_SCHOENHOLZ = "Schoenholz et al. 2017, Deep Information Propagation, arXiv:1611.01232"
_SELU = "Klambauer et al. 2017, arXiv:1706.02515"


def for_activation(activation: Activation) -> Suggestion:
    """What suits a weight whose output goes through this activation."""
    return _SUGGESTIONS[activation](activation)


def _rectifier(activation: Activation) -> Suggestion:
    return Suggestion(
        "he_normal",
        "Half of the variance is lost at each rectifier; variance 2/fan_in puts it back, and "
        "keeps gradients too.",
        (
            Option(init="he_uniform", when="no value beyond 2.45/√fan_in may occur"),
            _orthogonal(activation),
        ),
        (
            _derived(activation),
            Evidence(
                claim="30 layers converge with it and stall with Glorot's.",
                kind="paper",
                source=_HE,
            ),
        ),
    )


def _smooth_rectifier(activation: Activation) -> Suggestion:
    gain = rounded(numbers_of(activation).gain)
    return Suggestion(
        {"scheme": "he_normal", "gain": gain},
        f"The gain of {activation} is {gain}, not ReLU's 1.41421: it keeps the mean square of "
        "pre-activations at 1.",
        (
            Option(init="he_normal", when="few layers, or norms between them: what most do"),
            _orthogonal(activation),
        ),
        (_derived(activation),),
    )


def _steep_as_identity(activation: Activation) -> Suggestion:
    return Suggestion(
        "lecun_normal",
        "Variance 1/fan_in: SELU's constants were chosen for it."
        if activation == "selu"
        else "ELU is as steep as the identity at 0: variance 1/fan_in is its edge of chaos.",
        (_orthogonal(activation),),
        (
            _derived(activation),
            Evidence(claim="Self-normalising with variance 1/fan_in.", kind="paper", source=_SELU),
        ),
    )


def _odd(activation: Activation) -> Suggestion:
    gain = _gain_of(activation)
    return Suggestion(
        "lecun_normal" if gain == 1.0 else {"scheme": "he_normal", "gain": gain},
        f"σ_w = {gain:.6g} is the edge of chaos: below it two inputs become alike and "
        "gradients vanish, above it they part and gradients explode.",
        (
            Option(init="glorot_uniform", when="layers whose two fans are about equal: the same"),
            _orthogonal(activation),
        ),
        (
            _derived(activation),
            Evidence(
                claim="Depth that can be trained is longest at the edge of chaos.",
                kind="paper",
                source=_SCHOENHOLZ,
            ),
        ),
    )


def _sigmoid(activation: Activation) -> Suggestion:
    return Suggestion(
        "glorot_uniform",
        "A sigmoid's mean of ½ and slope of at most ¼ fade signals with any of the schemes; "
        "tanh is the same function without that mean.",
        (
            Option(
                init={"scheme": "glorot_uniform", "gain": 4.0},
                when="to make up for the slope of ¼",
            ),
        ),
        (
            _derived(activation),
            Evidence(claim="Sigmoids saturate the top layer early.", kind="paper", source=GLOROT),
        ),
    )


def _linear(activation: Activation) -> Suggestion:
    return Suggestion(
        "lecun_normal",
        "Without an activation the variance 1/fan_in keeps the mean square.",
        (_orthogonal(activation),),
        (
            _derived(activation),
            Evidence(
                claim="Learning time of deep linear networks does not grow with depth if weights "
                "are orthogonal.",
                kind="paper",
                source=SAXE,
            ),
        ),
    )


_SUGGESTIONS: Mapping[Activation, Callable[[Activation], Suggestion]] = {
    "relu": _rectifier,
    "leaky_relu": _rectifier,
    "gelu": _smooth_rectifier,
    "silu": _smooth_rectifier,
    "softplus": _smooth_rectifier,
    "selu": _steep_as_identity,
    "elu": _steep_as_identity,
    "tanh": _odd,
    "erf": _odd,
    "sigmoid": _sigmoid,
    "linear": _linear,
}


def _orthogonal(activation: Activation) -> Option:
    """The alternative for depth."""
    return Option(
        init={"scheme": "orthogonal", "gain": _gain_of(activation)},
        when="deep networks without norms: the same variance, and no direction lost on the way",
    )


def _derived(activation: Activation) -> Evidence:
    """The numbers of the theory."""
    numbers = numbers_of(activation)
    return Evidence(
        claim=f"Gain 1/√E[φ(z)²], z standard normal, for {activation}.",
        kind="derived",
        source="Gaussian quadrature, seedbed.compare.theory",
        numbers={
            "gain": rounded(numbers.gain),
            "critical_sigma_w": rounded(numbers.critical_sigma_w),
        },
    )


def _gain_of(activation: Activation) -> float:
    """√(fan_in·Var w) that suits an activation: of odd ones the critical one, else the gain."""
    numbers = numbers_of(activation)
    if activation in ("tanh", "erf", "elu", "linear"):
        return rounded(numbers.critical_sigma_w) or 1.0
    return rounded(numbers.gain) or 1.0
