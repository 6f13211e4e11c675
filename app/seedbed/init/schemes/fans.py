"""Schemes whose spread follows from fans: variance scaling, He, Glorot, LeCun."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from seedbed.init.fill import Fill
from seedbed.init.fills import Drawn
from seedbed.init.schemes.base import (
    CONVENTIONS,
    Convention,
    Fans,
    Mode,
    Nonlinearity,
    Shape,
    fan_of,
    gain_of,
    named,
    noted,
)
from seedbed.init.schemes.directed import ByFans
from seedbed.stream import Normal, TruncatedNormal, Uniform

TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal cut at ±2; Keras and JAX divide by this literal."""

TORCH_SLOPE = math.sqrt(5.0)
"""`a` of kaiming_uniform_ with which torch's Linear and Conv start: U(±1/√fan_in)."""


def uniform_of_std(std: float) -> Uniform:
    """The uniform about 0 with this standard deviation: bound √3·std."""
    bound = math.sqrt(3.0) * std
    return Uniform(-bound, bound)


def truncated_of_std(std: float) -> TruncatedNormal:
    """The normal about 0 cut at 2 parent standard deviations, with this one after the cut."""
    return TruncatedNormal(0.0, std / TRUNCATED_STD, -2.0, 2.0)


class FanScheme(ByFans):
    """A scheme whose standard deviation follows from fans."""

    shape_of_draws: ClassVar[Literal["normal", "uniform"]]

    convention: Convention = Field(
        "torch",
        description="Whose meaning: torch's normal is untruncated, that of keras and jax is cut at "
        "2 parent standard deviations and rescaled to the same standard deviation; mlx and burn "
        "are as torch, but for He's gain, which mlx takes for 1 and burn wants to be given.",
    )

    def std(self, fans: Fans) -> float:
        """The standard deviation of the values."""
        raise NotImplementedError

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        std = self.std(self.fans_used(shape, fans))
        if self.shape_of_draws == "uniform":
            return Drawn(uniform_of_std(std))
        cut = CONVENTIONS[self.convention].truncated
        return Drawn(truncated_of_std(std) if cut else Normal(0.0, std))


class VarianceScaling(FanScheme):
    """Variance scale / n, with n chosen by mode: the rule behind He, Glorot and LeCun."""

    scheme: Literal["variance_scaling"] = "variance_scaling"
    aliases = named(
        VarianceScaling={"convention": "keras"}, variance_scaling_={"distribution": "normal"}
    )
    formula = "variance scale / n, n = fan_in, fan_out, their mean or their geometric mean"
    latex = r"\sigma^2 = \mathrm{scale} / n"
    notes = noted(
        keras="distribution `normal` means truncated; the plain one is `untruncated_normal`.",
        jax="`normal` means plain; fan_geo_avg is JAX' alone.",
        timm="variance_scaling_ draws `normal` by default, which is plain.",
    )

    scale: float = Field(1.0, gt=0.0, description="Variance times n.")
    mode: Mode = Field("fan_in", description="Which fan n is.")
    distribution: Literal["normal", "truncated_normal", "untruncated_normal", "uniform"] = Field(
        "truncated_normal",
        description="Shape of the draws. `normal` means untruncated, but truncated under the "
        "keras convention, as there.",
    )

    def std(self, fans: Fans) -> float:
        return math.sqrt(self.scale / fan_of(self.mode, fans))

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        std = self.std(self.fans_used(shape, fans))
        if self.distribution == "uniform":
            return Drawn(uniform_of_std(std))
        plain = self.distribution == "untruncated_normal" or (
            self.distribution == "normal" and not CONVENTIONS[self.convention].normal_truncated
        )
        return Drawn(Normal(0.0, std) if plain else truncated_of_std(std))


_HE_NOTES = noted(
    torch="kaiming_* default to leaky_relu with slope 0, whose gain is √2; normals are whole.",
    keras="Normals are cut at 2.274 σ; there is no gain: use variance_scaling, scale = gain².",
    jax="As Keras.",
    mlx="The gain is 1 unless given, which makes it LeCun.",
    burn="The gain must be given, fans come from the layer.",
    candle="As PyTorch, but without leaky_relu.",
    paddle="As PyTorch with relu; matrices are stored [in, out] there.",
)


def _unless_gain(schema: dict[str, Any]) -> None:
    """Leave the default out of JSON Schema: it is none beside a gain, and some clients send all."""
    schema["description"] += f" {schema.pop('default')} unless there is a gain."


class He(FanScheme):
    """Standard deviation gain / √n, n = fan_in by default."""

    paper = "He, Zhang, Ren, Sun 2015, Delving Deep into Rectifiers, arXiv:1502.01852"
    notes = _HE_NOTES

    mode: Literal["fan_in", "fan_out"] = Field("fan_in", description="Which fan n is.")
    nonlinearity: Nonlinearity = Field(
        "leaky_relu",
        description="Sets the gain; with the default slope a = 0 it is ReLU's √2.",
        json_schema_extra=_unless_gain,
    )
    a: float = Field(
        0.0,
        description="Negative slope of leaky_relu; no effect on the others.",
        json_schema_extra=_unless_gain,
    )
    gain: float | None = Field(
        None, gt=0.0, description="The gain itself, instead of nonlinearity and a."
    )

    @model_validator(mode="after")
    def _one_source_of_gain(self) -> Self:
        if self.gain is not None and self.model_fields_set & {"nonlinearity", "a"}:
            raise PydanticCustomError(
                "gain_twice", "give either gain, or nonlinearity and a, not both"
            )
        meaning = CONVENTIONS[self.convention]
        if self.gain is None and meaning.gain_required:
            raise PydanticCustomError(
                "gain_missing",
                "under the convention {convention} the gain has to be given",
                {"convention": self.convention},
            )
        told = (self.nonlinearity, self.a) != ("leaky_relu", 0.0)
        if meaning.he_gain is not None and told:
            raise PydanticCustomError(
                "gain_only",
                "{convention} knows no nonlinearity and no a; give gain",
                {"convention": self.convention},
            )
        return self

    @classmethod
    def with_implied(
        cls, implied: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A gain that is given stands instead of the slope that an alias implies."""
        if parameters.get("gain") not in (None, "null"):  # text has no null of its own
            implied = {k: v for k, v in implied.items() if k not in ("nonlinearity", "a")}
        return {**implied, **parameters}

    def std(self, fans: Fans) -> float:
        gain = CONVENTIONS[self.convention].he_gain if self.gain is None else self.gain
        if gain is None:
            gain = gain_of(self.nonlinearity, self.a)
        return gain / math.sqrt(fan_of(self.mode, fans))


class HeNormal(He):
    """He normal: standard deviation gain / √n, gain √2 for ReLU."""

    scheme: Literal["he_normal"] = "he_normal"
    aliases = named(
        "kaiming_normal", "kaiming_normal_", "KaimingNormal", HeNormal={"convention": "keras"}
    )
    formula = "N(0, gain² / n)"
    latex = r"\mathcal{N}(0, \mathrm{gain}^2 / n)"
    shape_of_draws = "normal"


class HeUniform(He):
    """He uniform: bound gain·√(3 / n), gain √2 for ReLU."""

    scheme: Literal["he_uniform"] = "he_uniform"
    aliases = named(
        "kaiming_uniform",
        "kaiming_uniform_",
        "KaimingUniform",
        "HeUniform",
        torch_linear={"a": TORCH_SLOPE},
        lora_A={"a": TORCH_SLOPE},
        mamba_dt_weight={"a": TORCH_SLOPE},
    )
    formula = "U(−b, b), b = gain·√(3 / n)"
    latex = r"\mathcal{U}(-b, b),\ b = \mathrm{gain}\sqrt{3 / n}"
    shape_of_draws = "uniform"
    notes = noted(
        **_HE_NOTES,
        lora_A="PEFT and loralib start A at U(±1/√fan_in); Keras and Flax at plain he_uniform.",
        torch_linear="What torch's Linear, Conv and ConvTranspose start their weights with.",
    )


class Glorot(FanScheme):
    """Standard deviation gain·√(2 / (fan_in + fan_out))."""

    paper = (
        "Glorot, Bengio 2010, Understanding the difficulty of training deep feedforward "
        "neural networks"
    )

    gain: float = Field(1.0, gt=0.0, description="Multiplies the standard deviation.")

    @property
    def needs(self) -> tuple[str, ...]:
        return ("fan_in", "fan_out")

    def std(self, fans: Fans) -> float:
        return self.gain * math.sqrt(2.0 / ((fans.fan_in + fans.fan_out) or 1))


class GlorotNormal(Glorot):
    """Glorot (Xavier) normal: variance gain²·2 / (fan_in + fan_out)."""

    scheme: Literal["glorot_normal"] = "glorot_normal"
    aliases = named(
        "xavier_normal", "xavier_normal_", "XavierNormal", GlorotNormal={"convention": "keras"}
    )
    formula = "N(0, gain²·2 / (fan_in + fan_out))"
    latex = r"\mathcal{N}(0, 2\,\mathrm{gain}^2 / (n_\mathrm{in} + n_\mathrm{out}))"
    shape_of_draws = "normal"
    notes = noted(
        torch="xavier_normal_ is a whole normal.",
        keras="GlorotNormal is cut at 2.274 σ, and has no gain.",
        jax="glorot_normal and xavier_normal are cut at 2.274 σ.",
    )


class GlorotUniform(Glorot):
    """Glorot (Xavier) uniform: bound gain·√(6 / (fan_in + fan_out))."""

    scheme: Literal["glorot_uniform"] = "glorot_uniform"
    aliases = named(
        "xavier_uniform", "xavier_uniform_", "XavierUniform", "GlorotUniform", "torch_mha_in"
    )
    formula = "U(−b, b), b = gain·√(6 / (fan_in + fan_out))"
    latex = r"\mathcal{U}(-b, b),\ b = \mathrm{gain}\sqrt{6 / (n_\mathrm{in} + n_\mathrm{out})}"
    shape_of_draws = "uniform"
    notes = noted(
        keras="The default of nearly every layer; there is no gain.",
        torch="MultiheadAttention's fused in_proj_weight [3d, d] has b = √(6 / 4d).",
    )


class LeCun(FanScheme):
    """Standard deviation gain / √fan_in, gain 1."""

    paper = "attributed to LeCun, Bottou, Orr, Müller 1998, Efficient BackProp"

    gain: float = Field(1.0, gt=0.0, description="Multiplies the standard deviation.")
    mode: Literal["fan_in", "fan_out"] = Field("fan_in", description="Which fan n is.")

    def std(self, fans: Fans) -> float:
        return self.gain / math.sqrt(fan_of(self.mode, fans))


class LecunNormal(LeCun):
    """LeCun normal: variance 1 / fan_in."""

    scheme: Literal["lecun_normal"] = "lecun_normal"
    aliases = named(
        "flax_embedding",
        "mlx_embedding",
        LecunNormal={"convention": "keras"},
        lecun_normal_={"convention": "jax"},
    )
    formula = "N(0, gain² / n)"
    latex = r"\mathcal{N}(0, \mathrm{gain}^2 / n)"
    shape_of_draws = "normal"
    notes = noted(
        torch="There is none; kaiming_normal_ with nonlinearity linear is equal.",
        keras="LecunNormal is cut at 2.274 σ.",
        jax="lecun_normal is cut at 2.274 σ; Flax starts Dense and Conv with it.",
        timm="lecun_normal_ is cut, as JAX'.",
        flax="Embed starts with N(0, 1/d), which is this for a tensor [vocabulary, d].",
    )


class LecunUniform(LeCun):
    """LeCun uniform: bound √(3 / fan_in)."""

    scheme: Literal["lecun_uniform"] = "lecun_uniform"
    aliases = named("LecunUniform")
    formula = "U(−b, b), b = gain·√(3 / n)"
    latex = r"\mathcal{U}(-b, b),\ b = \mathrm{gain}\sqrt{3 / n}"
    shape_of_draws = "uniform"
    notes = noted(torch="There is none; kaiming_uniform_ with nonlinearity linear is equal.")


SCHEMES = (
    VarianceScaling,
    HeNormal,
    HeUniform,
    GlorotNormal,
    GlorotUniform,
    LecunNormal,
    LecunUniform,
)
