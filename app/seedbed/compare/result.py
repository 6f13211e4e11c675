"""The answer of a comparison: columns over the layers, measured and predicted."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from seedbed.compare.request import Activation, Network

Number = float | None
"""Null where there is none, or where it left the range of float64."""


class MetricDescription(BaseModel):
    """What a column holds, for those who draw it."""

    name: str
    title: str
    about: str
    scale: Literal["log", "linear"] = Field(description="The axis that suits it.")


class WeightDescription(BaseModel):
    """A weight of the network; a row of every column."""

    name: str = Field(description="Of the tensor.")
    shape: list[int] = Field(description="(out, in, *kernel)")
    fan_in: int
    fan_out: int


class ActivationTheory(BaseModel):
    """What Gaussian integrals say of an activation, for pre-activations of mean square 1."""

    activation: Activation
    gain: Number = Field(
        description="1/√E[φ(z)²]: weights of std gain/√fan_in keep the mean square of "
        "pre-activations at 1. He's √2 for ReLU."
    )
    critical_sigma_w: Number = Field(
        description="√(fan_in·Var w) at the edge of chaos without norm, where χ₁ = 1 at the fixed "
        "point of the mean square; null if the search found none."
    )
    batch_norm_gradient_growth: Number = Field(
        description="E[φ′²]/Var[φ]: growth of the gradient's mean square a layer under batch norm, "
        "in the limit of width and batch; π/(π − 1) for ReLU."
    )
    layer_norm_gradient_growth: Number = Field(
        description="E[φ′²]/E[φ²]: the same under layer norm."
    )


class Column(BaseModel):
    """A metric over the weights of the network, in their order."""

    value: list[Number] = Field(
        description="Mean over the seeds; of mean squares, the geometric mean, which at finite "
        "width is below theory's plain mean, by about exp(−5·depth/(2·width)) in ReLU networks "
        "(Hanin, Nica 2018, arXiv:1812.05994)."
    )
    low: list[Number] = Field(description="Lower end of the 95 % interval; null with one seed.")
    high: list[Number] = Field(description="Upper end.")
    theory: list[Number] | None = Field(
        description="In the limit of wide layers; null where there is no prediction."
    )


class JacobianResult(BaseModel):
    """The Jacobian of the last hidden layer by one input, norm statistics held fixed."""

    shape: list[int]
    mean_square: float | None = Field(description="Mean over seeds of ‖J‖²/inputs, geometric.")
    mean_square_low: Number
    mean_square_high: Number
    mean_square_theory: Number
    singular_values: dict[str, Number] = Field(
        description="Geometric mean over seeds of the quantiles 0, 0.25, 0.5, 0.75 and 1."
    )
    spectrum: list[Number] = Field(
        description="Singular values of the first seed, descending, at most 256 evenly chosen."
    )


class SchemeResult(BaseModel):
    """One scheme or spec."""

    label: str
    init: str | dict[str, Any] | None = Field(description="In canonical form; null for a spec.")
    spec_sha256: str = Field(description="Digest of the spec whose weights these are.")
    link: str | None = Field(
        None, description="Path of the first seed's weights; null if no URL can hold the spec."
    )
    sigma_w: Number = Field(
        description="√(fan_in·Var w) of a hidden layer: 1 for LeCun, √2 for He."
    )
    excess_kurtosis: Number = Field(
        description="Of the distribution: 0 for a normal, −1.2 for a uniform."
    )
    chi_1: Number = Field(
        description="Growth of the gradient's mean square a layer (or block) in theory, at the "
        "last layer: below 1 it vanishes, above 1 it explodes."
    )
    fixed_correlation: Number = Field(
        description="Where the correlation of two inputs goes as depth grows, in theory."
    )
    phase: Literal["ordered", "critical", "chaotic"] | None = Field(
        description="By χ₁: below, at or above 1 (within 0.01). Without norm, in plain networks."
    )
    columns: dict[str, Column] = Field(description="By the names in `metrics`.")
    jacobian: JacobianResult | None = Field(
        description="Null if input or output have more numbers than a setting allows."
    )
    notes: list[str] = Field(description="What a reader should know: overflow, no theory, …")


class CompareResult(BaseModel):
    """Schemes side by side, layer by layer.

    Weights are Seedbed's, to the byte; what is measured with them is linear algebra of the machine
    and the same elsewhere to rounding.
    """

    network: Network
    layers: list[WeightDescription]
    seeds: list[int | str]
    batch: int
    correlation: float
    confidence: float = Field(description="Of the intervals, by Student's t over seeds.")
    metrics: list[MetricDescription]
    activation_theory: ActivationTheory
    schemes: list[SchemeResult]
    flops: int = Field(description="Floating-point operations, as estimated beforehand.")


class Progress(BaseModel):
    """How far a comparison is: one step is one scheme with one seed."""

    type: Literal["progress"] = "progress"
    done: int
    total: int
    label: str | None = Field(None, description="What was measured last.")


class Finished(BaseModel):
    """The last line of a stream."""

    type: Literal["result"] = "result"
    result: CompareResult
