"""The initialisation schemes: what each name means for a shape.

A scheme is a frozen model tagged by its name; its fields are its parameters, in the JSON body, in
the query string, on the command line and in the catalogue alike. To add one, write its class here
and name it in `SCHEMES` at the foot of the file.

Shapes are in PyTorch's order, (out, in, *kernel), and so are fans; `framework` layouts are
transpositions of these same values.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from seedbed.errors import ShapeError
from seedbed.init import fills
from seedbed.init.dense import Dense
from seedbed.init.fills import Drawn, Fill
from seedbed.stream import DTYPES, Normal, Summary, TruncatedNormal, Uniform
from seedbed.stream import LogUniform as LogUniformDistribution

Shape = tuple[int, ...]
Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Convention = Literal["torch", "keras", "jax"]
Nonlinearity = Literal[
    "linear", "conv1d", "conv2d", "conv3d",
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "sigmoid", "tanh", "relu", "leaky_relu", "selu",
]  # fmt: skip

TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal cut at ±2; Keras and JAX divide by this literal."""


class Fans(NamedTuple):
    """How many inputs an output sums over, and how many outputs an input feeds."""

    fan_in: int
    fan_out: int


def fans_of(shape: Shape) -> Fans:
    """Fans of a weight of shape (out, in, *kernel).

    As `torch.nn.init._calculate_fan_in_and_fan_out`: the kernel's size multiplies both, groups and
    transposition are not known.

    Raises:
        ShapeError: fewer than two dimensions, for which fans are not defined.
    """
    if len(shape) < 2:
        raise ShapeError(
            f"shape {list(shape)} has no fans: this scheme needs at least 2 dimensions (out, in, "
            "*kernel); give 1-D tensors zeros, ones, constant, uniform or normal",
            ("shape",),
        )
    kernel = math.prod(shape[2:])
    return Fans(shape[1] * kernel, shape[0] * kernel)


def gain_of(nonlinearity: Nonlinearity, a: float) -> float:
    """Gain for a nonlinearity, as `torch.nn.init.calculate_gain`; `a` is leaky_relu's slope."""
    if nonlinearity == "tanh":
        return 5.0 / 3.0
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + a * a))
    if nonlinearity == "selu":
        return 0.75
    return 1.0


def _name_in_schema(schema: dict[str, Any], scheme: type[Scheme]) -> None:
    """Let JSON Schema say what a request must: an object names its scheme, by whatever name."""
    names = [scheme.model_fields["scheme"].default, *scheme.aliases]
    schema["properties"]["scheme"] = {"type": "string", "enum": names, "title": "Scheme"}
    schema["required"] = ["scheme", *schema.get("required", ())]


class Scheme(BaseModel):
    """A rule that fills a tensor of any shape it accepts.

    Class attributes describe it in the catalogue: `aliases` are other names it answers to,
    `formula` says in one line what is drawn, `paper` where it comes from.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        json_schema_extra=_name_in_schema,
    )

    scheme: str
    aliases: ClassVar[tuple[str, ...]] = ()
    formula: ClassVar[str]
    paper: ClassVar[str | None] = None

    @field_validator("*")
    @classmethod
    def _one_zero(cls, value: Any) -> Any:
        """A parameter −0.0 as 0.0: the two are equal, and equal specs draw equal bytes."""
        return 0.0 if isinstance(value, float) and value == 0 else value

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        """What fills a tensor of this shape.

        Args:
            shape: in PyTorch's order.
            fans: those of the layer that the tensor belongs to, where the shape alone misleads.

        Raises:
            ShapeError: the shape has no fans.
            ParameterProblem: the parameters do not go together.
        """
        raise NotImplementedError

    def fans(self, shape: Shape) -> Fans | None:
        """The fans that `fill` used, for schemes that use any."""
        return None

    def canonical(self) -> str | dict[str, Any]:
        """The shortest JSON that means this: the bare name, or only what differs from defaults."""
        given = {
            name: value
            for name, field in type(self).model_fields.items()
            if name != "scheme" and (value := getattr(self, name)) != field.default
        }
        return {"scheme": self.scheme, **given} if given else self.scheme

    @cached_property
    def spelling(self) -> str:
        """`canonical` as text: schemes fill alike exactly if spelled alike (0 equals −0.0)."""
        return json.dumps(
            self.canonical(), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )


class Zeros(Scheme):
    """Every element 0."""

    scheme: Literal["zeros"] = "zeros"
    aliases = ("zeros_", "zero", "Zeros")
    formula = "0"

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return fills.Constant(0)


class Ones(Scheme):
    """Every element 1."""

    scheme: Literal["ones"] = "ones"
    aliases = ("ones_", "one", "Ones")
    formula = "1"

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return fills.Constant(1)


_NUMBER_CHARS = 400
"""More than any finite float64 takes in full."""


def _as_number(value: object, info: ValidationInfo) -> object:
    """True and false as 1 and 0, and one spelling of each number.

    Whole numbers are integers as far as a dtype of integers reaches, and float64 beyond.
    From text (a query string, a command line) what JSON would read there.
    """
    mode: str = info.mode
    if mode == "string" and isinstance(value, str) and len(value) <= _NUMBER_CHARS:
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    try:
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise PydanticCustomError("number", "must be a finite number, true or false")
    except OverflowError as error:
        raise PydanticCustomError("number", "is past the range of float64") from error
    if not abs(value) < 2**64:
        return float(value)
    if value == 0 and math.copysign(1, value) < 0:
        return value
    return int(value) if value == int(value) else value


class Constant(Scheme):
    """Every element the same value, which integers and BOOL must hold exactly."""

    scheme: Literal["constant"] = "constant"
    aliases = ("constant_", "Constant", "full")
    formula = "value"

    value: Annotated[
        int | float, BeforeValidator(_as_number, json_schema_input_type=bool | int | float)
    ] = Field(description="The value; true and false mean 1 and 0.")

    @field_validator("*")
    @classmethod
    def _one_zero(cls, value: Any) -> Any:
        """Not here: a constant −0.0 has its sign."""
        return value

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return fills.Constant(self.value)


class UniformScheme(Scheme):
    """Uniform on the open interval (low, high)."""

    scheme: Literal["uniform"] = "uniform"
    aliases = ("uniform_", "RandomUniform", "random_uniform")
    formula = "U(low, high)"

    low: float = Field(-1.0, description="Lower bound, never drawn.")
    high: float = Field(1.0, description="Upper bound, never drawn.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return Drawn(Uniform(self.low, self.high))


class NormalScheme(Scheme):
    """Normal with a given mean and standard deviation."""

    scheme: Literal["normal"] = "normal"
    aliases = ("normal_", "RandomNormal", "random_normal", "gaussian")
    formula = "N(mean, std²)"

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
    aliases = ("trunc_normal", "trunc_normal_", "TruncatedNormal")
    formula = "N(mean, std²) given that it lies between the bounds"

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

    low: float = Field(gt=0.0, description="Lower bound, positive, never drawn.")
    high: float = Field(gt=0.0, description="Upper bound, never drawn.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        return Drawn(LogUniformDistribution(self.low, self.high))


class FanScheme(Scheme):
    """A scheme whose standard deviation follows from fans."""

    shape_of_draws: ClassVar[Literal["normal", "uniform"]]

    convention: Convention = Field(
        "torch",
        description="Whose meaning: torch's normal is untruncated, that of keras and jax is cut at "
        "2 parent standard deviations and rescaled to the same standard deviation.",
    )

    def std(self, fans: Fans) -> float:
        """The standard deviation of the values."""
        raise NotImplementedError

    def fans(self, shape: Shape) -> Fans:
        return fans_of(shape)

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        std = self.std(fans or self.fans(shape))
        if self.shape_of_draws == "uniform":
            return Drawn(uniform_of_std(std))
        return Drawn(Normal(0.0, std) if self.convention == "torch" else truncated_of_std(std))


def uniform_of_std(std: float) -> Uniform:
    """The uniform about 0 with this standard deviation: bound √3·std."""
    bound = math.sqrt(3.0) * std
    return Uniform(-bound, bound)


def truncated_of_std(std: float) -> TruncatedNormal:
    """The normal about 0 cut at 2 parent standard deviations, with this one after the cut."""
    return TruncatedNormal(0.0, std / TRUNCATED_STD, -2.0, 2.0)


def fan_of(mode: Mode, fans: Fans) -> float:
    """The number that `mode` picks; 1 for a tensor without elements, whose scale is moot."""
    if mode == "fan_in":
        fan = float(fans.fan_in)
    elif mode == "fan_out":
        fan = float(fans.fan_out)
    elif mode == "fan_avg":
        fan = (fans.fan_in + fans.fan_out) / 2.0
    else:
        fan = math.sqrt(fans.fan_in * fans.fan_out)
    return fan or 1.0


class VarianceScaling(FanScheme):
    """Variance scale / n, with n chosen by mode: the rule behind He, Glorot and LeCun."""

    scheme: Literal["variance_scaling"] = "variance_scaling"
    aliases = ("VarianceScaling",)
    formula = "variance scale / n, n = fan_in, fan_out, their mean or their geometric mean"

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
        std = self.std(fans or self.fans(shape))
        if self.distribution == "uniform":
            return Drawn(uniform_of_std(std))
        plain = self.distribution == "untruncated_normal" or (
            self.distribution == "normal" and self.convention != "keras"
        )
        return Drawn(Normal(0.0, std) if plain else truncated_of_std(std))


class He(FanScheme):
    """Standard deviation gain / √n, n = fan_in by default."""

    paper = "He, Zhang, Ren, Sun 2015, Delving Deep into Rectifiers, arXiv:1502.01852"

    mode: Literal["fan_in", "fan_out"] = Field("fan_in", description="Which fan n is.")
    nonlinearity: Nonlinearity = Field(
        "leaky_relu", description="Sets the gain; with the default slope a = 0 it is ReLU's √2."
    )
    a: float = Field(0.0, description="Negative slope of leaky_relu; no effect on the others.")
    gain: float | None = Field(
        None, gt=0.0, description="The gain itself, instead of nonlinearity and a."
    )

    @model_validator(mode="after")
    def _one_source_of_gain(self) -> Self:
        if self.gain is not None and self.model_fields_set & {"nonlinearity", "a"}:
            raise PydanticCustomError(
                "gain_twice", "give either gain, or nonlinearity and a, not both"
            )
        return self

    def std(self, fans: Fans) -> float:
        gain = gain_of(self.nonlinearity, self.a) if self.gain is None else self.gain
        return gain / math.sqrt(fan_of(self.mode, fans))


class HeNormal(He):
    """He normal: standard deviation gain / √n, gain √2 for ReLU."""

    scheme: Literal["he_normal"] = "he_normal"
    aliases = ("kaiming_normal", "kaiming_normal_", "HeNormal")
    formula = "N(0, gain² / n)"
    shape_of_draws = "normal"


class HeUniform(He):
    """He uniform: bound gain·√(3 / n), gain √2 for ReLU."""

    scheme: Literal["he_uniform"] = "he_uniform"
    aliases = ("kaiming_uniform", "kaiming_uniform_", "HeUniform")
    formula = "U(−b, b), b = gain·√(3 / n)"
    shape_of_draws = "uniform"


class Glorot(FanScheme):
    """Standard deviation gain·√(2 / (fan_in + fan_out))."""

    paper = (
        "Glorot, Bengio 2010, Understanding the difficulty of training deep feedforward "
        "neural networks"
    )

    gain: float = Field(1.0, gt=0.0, description="Multiplies the standard deviation.")

    def std(self, fans: Fans) -> float:
        return self.gain * math.sqrt(2.0 / ((fans.fan_in + fans.fan_out) or 1))


class GlorotNormal(Glorot):
    """Glorot (Xavier) normal: variance gain²·2 / (fan_in + fan_out)."""

    scheme: Literal["glorot_normal"] = "glorot_normal"
    aliases = ("xavier_normal", "xavier_normal_", "GlorotNormal")
    formula = "N(0, gain²·2 / (fan_in + fan_out))"
    shape_of_draws = "normal"


class GlorotUniform(Glorot):
    """Glorot (Xavier) uniform: bound gain·√(6 / (fan_in + fan_out))."""

    scheme: Literal["glorot_uniform"] = "glorot_uniform"
    aliases = ("xavier_uniform", "xavier_uniform_", "GlorotUniform")
    formula = "U(−b, b), b = gain·√(6 / (fan_in + fan_out))"
    shape_of_draws = "uniform"


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
    aliases = ("LecunNormal",)
    formula = "N(0, gain² / n)"
    shape_of_draws = "normal"


class LecunUniform(LeCun):
    """LeCun uniform: bound √(3 / fan_in)."""

    scheme: Literal["lecun_uniform"] = "lecun_uniform"
    aliases = ("LecunUniform",)
    formula = "U(−b, b), b = gain·√(3 / n)"
    shape_of_draws = "uniform"


@dataclass(frozen=True)
class _OrthogonalRecipe:
    """gain·Q, Q of shape (rows, columns) from a Gaussian draw of the taller orientation."""

    rows: int
    columns: int
    gain: float

    @property
    def reach(self) -> tuple[float, float]:
        """No element of a unit vector passes 1."""
        return -self.gain, self.gain

    def make(self, source: fills.Source) -> NDArray[np.float32]:
        """(rows, columns), orthonormal along the shorter side."""
        tall = max(self.rows, self.columns), min(self.rows, self.columns)
        gaussian = np.empty(tall, np.float32)
        source.engine.draw(
            source.seed, source.name, Normal(0.0, 1.0), DTYPES["F32"], 0,
            gaussian.reshape(-1).view(np.uint8).data,
        )  # fmt: skip
        q = self.gain * source.engine.orthogonal(gaussian, source.matrices.threads)
        return np.ascontiguousarray(q if self.rows >= self.columns else q.T, np.float32)

    def summary(self) -> Summary:
        """Of one element of a Haar-distributed matrix: variance gain²/n, n the longer side."""
        n = max(self.rows, self.columns)
        return Summary(0.0, self.gain / math.sqrt(n), *self.reach, 3.0 * n / (n + 2) - 3.0)


class Orthogonal(Scheme):
    """Haar-distributed orthogonal matrix (out, in·kernel): the shorter side is orthonormal."""

    scheme: Literal["orthogonal"] = "orthogonal"
    aliases = ("orthogonal_", "Orthogonal", "OrthogonalInitializer")
    formula = "gain·Q, Q Haar-distributed, QᵀQ = 1 or QQᵀ = 1"
    paper = (
        "attributed to Saxe, McClelland, Ganguli 2013, Exact solutions to the nonlinear dynamics "
        "of learning in deep linear neural networks"
    )

    gain: float = Field(1.0, gt=0.0, description="Multiplies the matrix.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        if len(shape) < 2:
            raise ShapeError(
                f"shape {list(shape)} is no matrix: an orthogonal one needs at least 2 dimensions",
                ("shape",),
            )
        rows, columns = shape[0], math.prod(shape[1:])
        return Dense(_OrthogonalRecipe(rows, columns, self.gain), rows * columns)


AnyScheme = (
    Zeros
    | Ones
    | Constant
    | UniformScheme
    | NormalScheme
    | TruncatedNormalScheme
    | LogUniformScheme
    | VarianceScaling
    | HeNormal
    | HeUniform
    | GlorotNormal
    | GlorotUniform
    | LecunNormal
    | LecunUniform
    | Orthogonal
)

SCHEMES: dict[str, type[Scheme]] = {
    scheme.model_fields["scheme"].default: scheme for scheme in get_args(AnyScheme)
}
"""Canonical name → class."""

_BY_NAME = {
    name: canonical
    for canonical, scheme in SCHEMES.items()
    for name in (canonical, *scheme.aliases)
}


_ALLOWED = sorted(SCHEMES)

_HINTED_CHARS = 64
"""A name that is longer is no misspelt scheme, and would take long to compare."""


def canonical_name(name: str) -> str:
    """The canonical name of a scheme, given that or an alias.

    Raises:
        PydanticCustomError: there is no such scheme; the message lists those that are close.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    close = difflib.get_close_matches(name, _BY_NAME, n=3) if len(name) <= _HINTED_CHARS else ()
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise PydanticCustomError(
        "scheme_unknown",
        "there is no scheme {given}{hint}",
        {"given": repr(name[:100]), "hint": hint, "allowed": _ALLOWED},
    )


def _spell_out(value: object) -> object:
    """A bare name as an object, and an alias as the canonical name."""
    if isinstance(value, str):
        return {"scheme": canonical_name(value)}
    if isinstance(value, dict) and isinstance(name := value.get("scheme"), str):
        return {**value, "scheme": canonical_name(name)}
    if isinstance(value, Scheme):
        return value
    raise PydanticCustomError(
        "scheme_form",
        "must be the name of a scheme, or an object with the name under scheme and its parameters "
        "beside it",
        {"allowed": _ALLOWED},
    )


_shared: dict[tuple[type[Scheme], str], Scheme] = {}
_SHARED_MAX = 4096


def _share(scheme: Scheme) -> Scheme:
    """One object for equal schemes: a hundred thousand tensors have a handful, spelled once."""
    key = (type(scheme), repr([*scheme.__dict__.values()]))  # repr, since 0.0 equals −0.0
    if len(_shared) >= _SHARED_MAX:
        _shared.clear()
    return _shared.setdefault(key, scheme)


Init = Annotated[
    Annotated[AnyScheme, Field(discriminator="scheme")],
    BeforeValidator(
        _spell_out,
        json_schema_input_type=Annotated[str, Field(json_schema_extra={"enum": [*_BY_NAME]})]
        | AnyScheme,
    ),
    AfterValidator(_share),
]
"""A scheme in a request: its name, or an object with the name under `scheme` and parameters."""
