"""Plain distributions: the same for every shape."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from seedbed.init.fill import Fill
from seedbed.init.fills import Drawn
from seedbed.init.schemes.base import Fans, Scheme, Shape, named, noted
from seedbed.stream import LogUniform as LogUniformDistribution
from seedbed.stream import Normal, TruncatedNormal, Uniform


class UniformScheme(Scheme):
    """Uniform on the open interval (low, high)."""

    scheme: Literal["uniform"] = "uniform"
    aliases = named(
        uniform_={"low": 0.0, "high": 1.0},
        RandomUniform={"low": -0.05, "high": 0.05},
        random_uniform={"low": -0.05, "high": 0.05},
        keras_embedding={"low": -0.05, "high": 0.05},
    )
    formula = "U(low, high)"
    latex = r"\mathcal{U}(\mathrm{low}, \mathrm{high})"
    notes = noted(
        torch="uniform_ is (0, 1) unless told otherwise.",
        keras="RandomUniform is (−0.05, 0.05), with which Embedding starts.",
        jax="uniform(scale) is (0, scale), 0.01 by default.",
        mlx="uniform() is (0, 1).",
        paddle="Uniform() is (−1, 1), as here.",
    )

    low: float = Field(-1.0, description="Lower bound, never drawn.")
    high: float = Field(1.0, description="Upper bound, never drawn.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return Drawn(Uniform(self.low, self.high))


class NormalScheme(Scheme):
    """Normal with a given mean and standard deviation."""

    scheme: Literal["normal"] = "normal"
    aliases = named(
        "gaussian",
        "Randn",
        normal_={"mean": 0.0, "std": 1.0},
        torch_embedding={"mean": 0.0, "std": 1.0},
        RandomNormal={"std": 0.05},
        random_normal={"std": 0.05},
        alexnet={"std": 0.01},
        bert={"std": 0.02},
        gpt2={"std": 0.02},
        hf_default={"std": 0.02},
        megatron={"std": 0.02},
        fourier_features={"std": 10.0},
    )
    formula = "N(mean, std²)"
    latex = r"\mathcal{N}(\mathrm{mean}, \mathrm{std}^2)"
    notes = noted(
        torch="normal_ is N(0, 1), with which Embedding starts.",
        keras="RandomNormal has std 0.05.",
        jax="normal() has std 0.01.",
        megatron="Residual outputs have std/√(2·layers); see examples/recipes.",
        fourier_features="Frequencies of random Fourier features; the spread is tuned, 10 in the "
        "paper's figure (attributed to Tancik et al. 2020).",
    )

    mean: float = Field(0.0, description="Mean.")
    std: float = Field(1.0, ge=0.0, description="Standard deviation (not the variance).")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return Drawn(Normal(self.mean, self.std))


class TruncatedNormalScheme(Scheme):
    """Normal cut to an interval; `std` is that of the parent, before the cut.

    With `bounds: "sigma"` (Keras, JAX, timm's `trunc_normal_tf_`) lower and upper count parent
    standard deviations from the mean; with `"absolute"` (torch's `trunc_normal_`) they are values.
    """

    scheme: Literal["truncated_normal"] = "truncated_normal"
    aliases = named(
        trunc_normal={"lower": -2.0, "upper": 2.0, "bounds": "absolute"},
        trunc_normal_={"lower": -2.0, "upper": 2.0, "bounds": "absolute"},
        trunc_normal_tf_={"bounds": "sigma"},
        TruncatedNormal={"std": 0.05, "bounds": "sigma"},
    )
    formula = "N(mean, std²) given that it lies between the bounds"
    latex = r"\mathcal{N}(\mathrm{mean}, \mathrm{std}^2) \mid \mathrm{lower} < x < \mathrm{upper}"
    notes = noted(
        torch="trunc_normal_ has values for bounds, −2 and 2: with std 0.02 it cuts nothing.",
        keras="TruncatedNormal has std 0.05 and cuts at 2 σ; the values' σ is 0.8796·std.",
        jax="truncated_normal() has std 0.01 and counts bounds in σ, as here.",
        timm="trunc_normal_ is torch's; trunc_normal_tf_ counts bounds in σ.",
    )

    mean: float = Field(0.0, description="Mean of the parent normal.")
    std: float = Field(1.0, gt=0.0, description="Standard deviation of the parent normal.")
    lower: float | None = Field(-2.0, description="Lower bound; null for none.")
    upper: float | None = Field(2.0, description="Upper bound; null for none.")
    bounds: Literal["sigma", "absolute"] = Field(
        "sigma", description="Whether bounds count standard deviations or are values."
    )

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        lower = -math.inf if self.lower is None else self.lower
        upper = math.inf if self.upper is None else self.upper
        if self.bounds == "absolute":
            lower, upper = (lower - self.mean) / self.std, (upper - self.mean) / self.std
        return Drawn(TruncatedNormal(self.mean, self.std, lower, upper))


class LogUniformScheme(Scheme):
    """exp of a uniform on (ln low, ln high): every octave equally likely."""

    scheme: Literal["log_uniform"] = "log_uniform"
    formula = "exp U(ln low, ln high)"
    latex = r"\exp\,\mathcal{U}(\ln \mathrm{low}, \ln \mathrm{high})"
    example = {"low": 0.25, "high": 4.0}

    low: float = Field(gt=0.0, description="Lower bound, positive, never drawn.")
    high: float = Field(gt=0.0, description="Upper bound, never drawn.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return Drawn(LogUniformDistribution(self.low, self.high))


SCHEMES = (UniformScheme, NormalScheme, TruncatedNormalScheme, LogUniformScheme)
