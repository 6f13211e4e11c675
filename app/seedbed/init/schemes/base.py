"""What every scheme is: a frozen model tagged by its name, with what the catalogue says of it.

Shapes are in PyTorch's order, (out, in, *kernel), and so are fans; `framework` layouts are
transpositions of these same values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, field_validator

from seedbed.errors import ShapeError
from seedbed.init.fill import Fill

Shape = tuple[int, ...]

Aliases = Mapping[str, Mapping[str, Any]]
"""Other names of a scheme, each with the parameters that it implies."""


def named(*plain: str, **meaning: Mapping[str, Any]) -> Aliases:
    """Aliases: the plain ones imply nothing, the others what stands beside them."""
    return MappingProxyType({**{name: {} for name in plain}, **meaning})


Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Convention = Literal["torch", "keras", "jax", "mlx", "burn"]
Nonlinearity = Literal[
    "linear", "conv1d", "conv2d", "conv3d",
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "sigmoid", "tanh", "relu", "leaky_relu", "selu",
]  # fmt: skip


def noted(**notes: str) -> Mapping[str, str]:
    """What a framework, or who uses an alias, does differently."""
    return MappingProxyType(notes)


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
            "*kernel); give 1-D tensors zeros, ones, constant, uniform or normal, or the fans as "
            "numbers",
            ("shape",),
        )
    kernel = math.prod(shape[2:])
    return Fans(shape[1] * kernel, shape[0] * kernel)


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


class Meaning(NamedTuple):
    """What a framework means by the names of these schemes.

    Attributes:
        truncated: whether its he_, glorot_ and lecun_normal are cut at 2 parent σ and rescaled.
        normal_truncated: whether variance scaling's `normal` is, too.
        he_gain: of He without a gain; by the nonlinearity if None.
        gain_required: whether He must be given one.
    """

    truncated: bool = False
    normal_truncated: bool = False
    he_gain: float | None = None
    gain_required: bool = False


CONVENTIONS: dict[Convention, Meaning] = {
    "torch": Meaning(),
    "keras": Meaning(truncated=True, normal_truncated=True),
    "jax": Meaning(truncated=True),
    "mlx": Meaning(he_gain=1.0),
    "burn": Meaning(gain_required=True),
}


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


def require_rank(shape: Shape, scheme: str, least: int, most: int | None = None) -> None:
    """Refuse a shape with too few or too many dimensions for a scheme.

    Raises:
        ShapeError: with what the scheme takes.
    """
    if len(shape) >= least and (most is None or len(shape) <= most):
        return
    wanted = str(least) if most == least else f"at least {least}"
    raise ShapeError(
        f"shape {list(shape)} has {len(shape)} dimension{'s' * (len(shape) != 1)}; "
        f"{scheme} needs {wanted}",
        ("shape",),
    )


def _name_in_schema(schema: dict[str, Any], scheme: type[Scheme]) -> None:
    """Let JSON Schema say what a request must: an object names its scheme.

    By its canonical name: other names have a schema of their own, so that generators of clients
    make one class of each scheme, and no enum whose members differ in case alone.
    """
    name = scheme.model_fields["scheme"].default
    schema["properties"]["scheme"] = {"type": "string", "const": name, "title": "Scheme"}
    schema["required"] = ["scheme", *schema.get("required", [])]


class Scheme(BaseModel):
    """A rule that fills a tensor of any shape it accepts.

    Class attributes describe it in the catalogue: `aliases` are other names it answers to, with
    the parameters that they imply, `formula` and `latex` say in one line what is drawn, `paper`
    where it comes from, `notes` what a framework does differently; `example` has a value of each
    parameter without a default.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        json_schema_extra=_name_in_schema,
    )

    scheme: str
    aliases: ClassVar[Aliases] = named()
    formula: ClassVar[str]
    latex: ClassVar[str]
    paper: ClassVar[str | None] = None
    notes: ClassVar[Mapping[str, str]] = noted()
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    @field_validator("*")
    @classmethod
    def _one_zero(cls, value: Any) -> Any:
        """A parameter −0.0 as 0.0: the two are equal, and equal specs draw equal bytes."""
        return 0.0 if isinstance(value, float) and value == 0 else value

    @classmethod
    def without_example(cls) -> list[str]:
        """Parameters without a default of which `example` has no value."""
        fields = cls.model_fields.items()
        required = [name for name, field in fields if field.is_required() and name != "scheme"]
        return [name for name in required if name not in cls.example]

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Names of its parameters, in the order in which people are shown them."""
        return tuple(name for name in cls.model_fields if name != "scheme")

    @classmethod
    def with_implied(
        cls, implied: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Parameters under an alias: what is given, and what the alias implies beside it."""
        return {**implied, **parameters}

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        """What fills a tensor of this shape.

        Args:
            shape: in PyTorch's order.
            fans: those of the layer that the tensor belongs to, where the shape alone misleads.

        Raises:
            ShapeError: the shape is none that the scheme can fill.
            ParameterProblem: the parameters do not go together.
        """
        raise NotImplementedError

    def fans(self, shape: Shape, known: Fans | None = None) -> Fans | None:
        """The fans that `fill` uses, for schemes that use any; arguments as there."""
        return None

    @property
    def weight(self) -> int:
        """How many plain schemes it takes as long to plan as."""
        return 1

    @property
    def listed(self) -> int:
        """Numbers that the spec lists one by one; a setting bounds them."""
        return 0

    def canonical(self) -> str | dict[str, Any]:
        """The shortest JSON that means this: the bare name, or only what differs from defaults."""
        parameters = {
            name: short(value)
            for name, field in type(self).model_fields.items()
            if name != "scheme" and (value := getattr(self, name)) != field.default
        }
        return {"scheme": self.scheme, **parameters} if parameters else self.scheme

    @cached_property
    def spelling(self) -> str:
        """`canonical` as text: schemes fill alike exactly if spelled alike (0 equals −0.0)."""
        return json.dumps(
            self.canonical(), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )


def short(value: Any) -> Any:
    """A parameter as JSON, the schemes in it as short as they can be."""
    if isinstance(value, tuple):
        return [short(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    canonical = getattr(value, "canonical", None)
    return value if canonical is None else canonical()
