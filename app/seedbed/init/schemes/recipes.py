"""Rules of single papers that are a spread of their own, by fans or by a number that is given.

Recipes that give different tensors different schemes are specs with rules: see examples/recipes.
"""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from seedbed.init.fill import Fill
from seedbed.init.fills import Drawn
from seedbed.init.schemes.base import Fans, Scheme, Shape, fan_of, named, noted
from seedbed.init.schemes.directed import ByFans
from seedbed.stream import Normal, Uniform


class SirenFirst(ByFans):
    """First layer of a SIREN: bound 1 / fan_in."""

    scheme: Literal["siren_first"] = "siren_first"
    formula = "U(−b, b), b = 1 / fan_in"
    latex = r"\mathcal{U}(-b, b),\ b = 1 / n_\mathrm{in}"
    paper = "Sitzmann et al. 2020, Implicit Neural Representations, arXiv:2006.09661"

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        bound = 1.0 / fan_of("fan_in", self.fans_used(shape, fans))
        return Drawn(Uniform(-bound, bound))


class Siren(ByFans):
    """Hidden layers of a SIREN: bound √(6 / fan_in) / omega."""

    scheme: Literal["siren"] = "siren"
    formula = "U(−b, b), b = √(6 / fan_in) / omega"
    latex = r"\mathcal{U}(-b, b),\ b = \sqrt{6 / n_\mathrm{in}} / \omega_0"
    paper = SirenFirst.paper

    omega: float = Field(30.0, gt=0.0, description="Frequency of the layer's sine.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        bound = math.sqrt(6.0 / fan_of("fan_in", self.fans_used(shape, fans))) / self.omega
        return Drawn(Uniform(-bound, bound))


class SmallInit(ByFans):
    """Small init: standard deviation √(2 / (5·fan_in)), fan_in the width of the model."""

    scheme: Literal["small_init"] = "small_init"
    formula = "N(0, std²), std = √(2 / (5·fan_in))"
    latex = r"\mathcal{N}(0, 2 / (5 n_\mathrm{in}))"
    paper = "attributed to Nguyen, Salazar 2019, Transformers without Tears"

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        fan = fan_of("fan_in", self.fans_used(shape, fans))
        return Drawn(Normal(0.0, math.sqrt(2.0 / (5.0 * fan))))


class WangInit(ByFans):
    """Output projections of GPT-J and GPT-NeoX: standard deviation 2 / (layers·√width).

    `width` is the model's; without it, it is fan_in, which is right for square projections.
    """

    scheme: Literal["wang_init"] = "wang_init"
    formula = "N(0, std²), std = 2 / (layers·√width); width is fan_in if not given"
    latex = r"\mathcal{N}(0, \sigma^2),\ \sigma = 2 / (L \sqrt{d})"
    paper = "attributed to Wang, Komatsuzaki 2021, GPT-J-6B"
    example = {"layers": 12}

    layers: int = Field(ge=1, le=10**6, description="Layers of the model.")
    width: int | None = Field(
        None, ge=1, le=2**53, description="Width of the model; null for fan_in."
    )

    @model_validator(mode="after")
    def _one_source_of_width(self) -> Self:
        if self.width is not None and self.is_directed:
            raise PydanticCustomError(
                "fans_twice", "width stands for fan_in: give it, or say what fan_in is, not both"
            )
        return self

    def fans(self, shape: Shape, known: Fans | None = None) -> Fans | None:
        return self.fans_used(shape, known) if self.width is None else None

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        width = self.width or fan_of("fan_in", self.fans_used(shape, fans))
        return Drawn(Normal(0.0, 2.0 / (self.layers * math.sqrt(width))))


class TorchBias(Scheme):
    """Biases of torch's Linear and Conv, and all of its RNNs: bound 1 / √fan_in.

    The fan is that of the layer's weight, which a bias does not show; of an RNN, its hidden size.
    """

    scheme: Literal["torch_bias"] = "torch_bias"
    aliases = named("torch_linear_bias", "torch_rnn", "torch_bilinear")
    formula = "U(−b, b), b = 1 / √fan_in"
    latex = r"\mathcal{U}(-b, b),\ b = 1 / \sqrt{n_\mathrm{in}}"
    notes = noted(
        torch="Linear and Conv: fan_in of the weight; Bilinear: in1_features; RNN, LSTM, GRU: "
        "hidden_size, for every parameter.",
        mlx="Linear as torch; Conv has no drawn bias.",
    )
    example = {"fan_in": 64}

    fan_in: int = Field(ge=1, le=2**53, description="Inputs of the layer; hidden size of an RNN.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        bound = 1.0 / math.sqrt(self.fan_in)
        return Drawn(Uniform(-bound, bound))


SCHEMES = (SirenFirst, Siren, SmallInit, WangInit, TorchBias)
