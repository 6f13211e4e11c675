"""Which scheme to use, why, and what has been measured about it."""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from seedbed.advice.activations import for_activation
from seedbed.advice.evidence import Evidence, measured
from seedbed.advice.layers import DEPTHWISE, LAYERS, LayerKind
from seedbed.advice.suggestion import Init, Option, Suggestion, rounded
from seedbed.compare import Activation, Norm, numbers_of


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
    suggestion = _of_weight(question)
    init, alternatives, evidence = suggestion.init, suggestion.alternatives, suggestion.evidence
    why = tuple(reason for reason in (suggestion.why, suggestion.mind) if reason)
    if question.norm != "none" and question.layer != "embedding":
        norm_why, norm_evidence = _of_norm(question)
        why = (*norm_why, *why)
        evidence = (*norm_evidence, *evidence)
    if question.residual:
        branch_why, branch_option = _of_residual(question)
        why = (branch_why, *why)
        alternatives = (*alternatives, branch_option)
        if init == "he_normal" and question.norm == "none":
            init = "lecun_normal"  # measured: see the evidence
            plain = Option(init="he_normal", when="plain networks, or branches that begin at zero")
            alternatives = (plain, *alternatives)
    return Advice(
        **question.model_dump(),
        init=init,
        why=list(why),
        normal_or_uniform=_of_shape(question),
        alternatives=list(alternatives),
        evidence=[*evidence, *measured(question.norm, residual=question.residual)],
        example=_example(init, question),
    )


def _of_weight(question: Question) -> Suggestion:
    """What the layer asks for, or else the activation after it."""
    if question.layer in LAYERS:
        return LAYERS[question.layer]
    suggestion = for_activation(question.activation)
    if question.layer == "depthwise_conv":
        return replace(suggestion, mind=DEPTHWISE)
    return suggestion


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
                numbers={"growth": rounded(growth)},
            )
        )
    return why, evidence


def _of_residual(question: Question) -> tuple[str, Option]:
    """What a skip connection changes."""
    if question.norm == "none":
        why = (
            "Each branch adds its variance to the stream: with ReLU and He's, it doubles at every "
            "block. In residual networks without norm LeCun's and Glorot's variance learned "
            "better here. Or let the last weight of each branch begin at zero."
        )
        return why, Option(init="zeros", when=f"the last weight of each branch ({_FIXUP})")
    why = "A stream of normed branches grows by a sum, not a product: depth asks for nothing more."
    option = Option(
        init="zeros",
        when="the scale γ of the last norm in each branch, so that blocks begin as the identity",
    )
    return why, option


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
    fields = {"scheme": init} if isinstance(init, str) else dict(init)
    shape = _EXAMPLES.get(question.layer, "256x256")
    query = "&".join(["seed=42", *(f"{k}={v}" for k, v in fields.items() if k != "scheme")])
    return f"/v1/tensors/{fields['scheme']}/{shape}.safetensors?{query}"
