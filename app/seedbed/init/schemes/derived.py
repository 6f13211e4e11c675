"""Draws put through a function: gates and rates of recurrent and state-space models.

The functions are of `stream.elementary`, which is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from seedbed.init.fill import Fill
from seedbed.init.fills import Derived, Doubles
from seedbed.init.schemes.base import Fans, Scheme, Shape, named, noted
from seedbed.init.schemes.chains import Steps
from seedbed.stream import LogUniform, Uniform, elementary


class MambaDtBias(Scheme):
    """Bias of Mamba's step sizes: softplus of it is log-uniform on (dt_min, dt_max)."""

    scheme: Literal["mamba_dt_bias"] = "mamba_dt_bias"
    aliases = named("mamba2_dt_bias")
    formula = "dt + ln(−expm1(−dt)), dt = max(exp U(ln dt_min, ln dt_max), floor)"
    latex = r"\Delta + \ln(1 - e^{-\Delta}),\ \ln \Delta \sim \mathcal{U}"
    paper = "Gu, Dao 2023, Mamba: Linear-Time Sequence Modeling with Selective State Spaces"

    dt_min: float = Field(0.001, gt=0.0, description="Least step.")
    dt_max: float = Field(0.1, gt=0.0, description="Largest step.")
    floor: float = Field(1e-4, ge=1e-30, description="Steps below are raised to it.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        floored = Steps((("clamp", self.floor, None), ("inverse_softplus",)))
        return Derived(LogUniform(self.dt_min, self.dt_max), floored)


class ChronoBias(Scheme):
    """Biases of LSTM gates for dependencies up to t_max: ln U(1, t_max − 1), or its negative."""

    scheme: Literal["chrono_bias"] = "chrono_bias"
    formula = "ln U(1, t_max − 1) for the forget gate, −ln U(1, t_max − 1) for the input gate"
    latex = r"\pm \ln \mathcal{U}(1, T_\mathrm{max} - 1)"
    paper = "Tallec, Ollivier 2018, Can recurrent neural networks warp time?, arXiv:1804.11188"
    notes = noted(
        input="The paper sets the input gate's bias to minus the forget gate's; a tensor of "
        "another name has draws of its own, of the same distribution."
    )
    example = {"t_max": 100.0}

    t_max: float = Field(gt=2.0, description="Longest dependency, in steps.")
    gate: Literal["forget", "input"] = Field("forget", description="Which gate's bias it is.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        sign = 1.0 if self.gate == "forget" else -1.0
        return Derived(Uniform(1.0, self.t_max - 1.0), Steps((("log",), ("mul", sign))))


class _Ring(Scheme):
    """Moduli on a ring r_min … r_max, uniform in area: modulus² ~ U(r_min², r_max²)."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        inner, outer = self.radii()
        if not inner < outer:
            raise PydanticCustomError("ring", "r_min must be below r_max")
        return self

    def radii(self) -> tuple[float, float]:
        """The inner and the outer radius."""
        raise NotImplementedError

    def squares(self) -> Uniform:
        """The distribution of the squared modulus."""
        inner, outer = self.radii()
        return Uniform(inner * inner, outer * outer)


class LruNuLog(_Ring):
    """Moduli of an LRU's eigenvalues, stored as ν with modulus exp(−exp ν)."""

    scheme: Literal["lru_nu_log"] = "lru_nu_log"
    aliases = named("lru_ring")
    formula = "ln(−½ ln s), s ~ U(r_min², r_max²)"
    latex = r"\ln(-\tfrac{1}{2} \ln s),\ s \sim \mathcal{U}(r_\mathrm{min}^2, r_\mathrm{max}^2)"
    paper = "Orvieto et al. 2023, Resurrecting Recurrent Neural Networks for Long Sequences"

    r_min: float = Field(0.0, ge=0.0, lt=1.0, description="Inner radius.")
    r_max: float = Field(1.0, gt=0.0, le=1.0, description="Outer radius.")

    def radii(self) -> tuple[float, float]:
        return self.r_min, self.r_max

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return Derived(self.squares(), Steps((("log",), ("mul", -0.5), ("log",))))


class LruThetaLog(Scheme):
    """Phases of an LRU's eigenvalues, stored as their logarithm."""

    scheme: Literal["lru_theta_log"] = "lru_theta_log"
    formula = "ln U(0, max_phase)"
    latex = r"\ln \mathcal{U}(0, \theta_\mathrm{max})"
    paper = "attributed to Orvieto et al. 2023, Resurrecting Recurrent Neural Networks"

    max_phase: float = Field(
        6.283185307179586, gt=0.0, description="Largest phase, in radians; 2π by default."
    )

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return Derived(Uniform(0.0, self.max_phase), Steps((("log",),)))


@dataclass(frozen=True)
class _InverseSoftplusOfMinusLog:
    """ln(1/a − 1) for a = √draw: the inverse softplus of −ln a."""

    def of(self, draws: Doubles) -> Doubles:
        a = np.sqrt(draws)
        return elementary.log((1.0 - a) / a)

    def reach(self, low: float, high: float) -> tuple[float, float]:
        last, first = self.of(np.array([low, high]))
        return float(first), float(last)


class RgLru(_Ring):
    """Recurrent parameter Λ of Griffin's RG-LRU: a = sigmoid(−Λ), a² ~ U(r_min², r_max²)."""

    scheme: Literal["rglru"] = "rglru"
    formula = "ln(1/a − 1), a² ~ U(r_min², r_max²)"
    latex = r"\ln(1/a - 1),\ a^2 \sim \mathcal{U}(r_\mathrm{min}^2, r_\mathrm{max}^2)"
    paper = "De et al. 2024, Griffin: Mixing Gated Linear Recurrences with Local Attention"

    r_min: float = Field(0.9, gt=0.0, lt=1.0, description="Least decay.")
    r_max: float = Field(0.999, gt=0.0, lt=1.0, description="Largest decay.")

    def radii(self) -> tuple[float, float]:
        return self.r_min, self.r_max

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return Derived(self.squares(), _InverseSoftplusOfMinusLog())


SCHEMES = (MambaDtBias, ChronoBias, LruNuLog, LruThetaLog, RgLru)
