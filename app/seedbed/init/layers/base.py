"""What a layer is: named parameters, and how each framework stores them.

A layer's parameters are PyTorch's, in name, shape and order of elements, and so are the random
streams: `stem.weight` draws the same numbers in every framework. What differs is `stored`: names,
axes, the order of gates, two biases added into one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from seedbed.errors import SpecError
from seedbed.init.arrays import Array, joined
from seedbed.init.composition import Part, composed
from seedbed.init.fill import Fill
from seedbed.init.fills import Constant, Drawn
from seedbed.init.names import DIMENSION_MAX, FloatDtype, TensorName
from seedbed.init.schemes import SCHEMES, Fans, Init, Scheme
from seedbed.init.views import Named
from seedbed.stream import DtypeCode

Framework = Literal["torch", "keras", "flax", "nnx"]
Defaults = Framework
Shape = tuple[int, ...]

Size = Annotated[int, Field(ge=1, le=DIMENSION_MAX)]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a parameter that hold a constant, whatever fills the others."""

    start: int
    stop: int
    value: float

    def part(self, shape: Shape) -> Part:
        """Those rows of a parameter of this shape."""
        box = (range(self.start, self.stop), *map(range, shape[1:]))
        return Part(box, Constant(int(self.value) if self.value == int(self.value) else self.value))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a layer, as PyTorch has it.

    Attributes:
        name: within the layer.
        shape: in PyTorch's order.
        init: how it is filled unless the layer or a rule says otherwise.
        roles: other names that its layer's `init` may call it by.
        fans: by convention, where the shape alone misleads.
        dtype: its own, whatever the checkpoint's: of a counter, which is an integer.
        blocks: rows that are constant.
        gates: parts of the first axis that are initialised each on its own.
        same_as: name of what it is equal to, in place of `init`.
    """

    name: str
    shape: Shape
    init: Scheme
    roles: tuple[str, ...] = ()
    fans: Mapping[str, Fans] = field(default_factory=dict)
    dtype: DtypeCode | None = None
    blocks: tuple[Block, ...] = ()
    gates: int = 1
    same_as: str | None = None

    def fans_for(self, scheme: Scheme) -> Fans | None:
        """Fans that the shape would not give, for a scheme under its convention."""
        return self.fans.get(getattr(scheme, "convention", "torch"))

    def fill(self, scheme: Scheme, stream: str) -> Fill:
        """What fills all of it.

        Args:
            scheme: that was decided for it.
            stream: its full name.

        Raises:
            ShapeError: the scheme takes no such shape.
            ParameterProblem: the scheme's parameters do not go together.
        """
        rows = self.shape[0] // self.gates if self.shape else 1
        shape = (rows, *self.shape[1:]) if self.shape else ()
        fill = scheme.fill(shape, self.fans_for(scheme))
        if self.gates == 1 or isinstance(fill, Drawn | Constant):
            named: Fill = Named(fill, stream)
        else:  # elements depend on each other: each gate has a stream of its own
            count = math.prod(shape)
            named = joined(
                [(Named(fill, f"{stream}[{gate}]"), count) for gate in range(self.gates)]
            )
        if not self.blocks:
            return named
        return composed(self.shape, named, [block.part(self.shape) for block in self.blocks])


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor of a layer in the file.

    Attributes:
        name: within the layer, parts separated by `/`.
        array: its content.
        collection: of Flax's variables.
        suffix: to the layer's own name, where one layer of PyTorch is several elsewhere.
    """

    name: str
    array: Array
    collection: str = "params"
    suffix: str = ""


Arrays = Mapping[str, Array]


def _by_parameter(value: object) -> object:
    """A bare scheme as that of the weight."""
    if isinstance(value, str | Scheme) or (isinstance(value, dict) and "scheme" in value):
        return {"weight": value}
    return value


Inits = Annotated[
    dict[str, Init],
    BeforeValidator(_by_parameter, json_schema_input_type=Init | dict[str, Init]),
]
"""Scheme by parameter; a bare scheme is the weight's."""


def _name_in_schema(schema: dict[str, Any]) -> None:
    """Let JSON Schema say that a layer names its type."""
    schema["required"] = ["type", *schema.get("required", ())]


class Layer(BaseModel):
    """A layer of a network.

    `example` are arguments of a small one, for the catalogue; `lacks` says of a framework why it
    has no such layer.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        json_schema_extra=_name_in_schema,
    )

    type: str
    example: ClassVar[dict[str, Any]]
    lacks: ClassVar[Mapping[str, str]] = {}

    name: TensorName = Field(description="Prefix of its tensors' names: stem gives stem.weight.")
    init: Inits = Field(
        default_factory=dict,
        description="Schemes by parameter, as in PyTorch's names; a bare scheme is the weight's.",
    )
    same_as: TensorName | dict[str, TensorName] | None = Field(
        None,
        description="In place of init: the layer of this spec that this one is equal to, or the "
        'tensor by parameter: {"weight": "embed.weight"}.',
    )
    dtype: FloatDtype | None = Field(None, description="Overrides the checkpoint's dtype.")
    defaults: Defaults = Field(
        "torch", description="Whose default initialisation fills what `init` leaves out."
    )

    @field_validator("*")
    @classmethod
    def _one_zero(cls, value: Any) -> Any:
        """A number −0.0 as 0.0, which equals it."""
        return 0.0 if isinstance(value, float) and value == 0 else value

    @model_validator(mode="after")
    def _inits_are_of_parameters(self) -> Self:
        if self.init:
            self._require_parameters(self.init, self.takes)
        if isinstance(self.same_as, dict):
            self._require_parameters(
                self.same_as, [parameter.name for parameter in self.parameters()]
            )
            twice = next((key for key in self.same_as if key in self.init), None)
        else:
            twice = next(iter(self.init), None) if self.same_as is not None else None
        if twice is not None:
            raise PydanticCustomError(
                "init_twice", "{given} has init or same_as, not both", {"given": repr(twice[:100])}
            )
        return self

    def _require_parameters(self, names: Iterable[str], takes: Sequence[str]) -> None:
        for key in names:
            if key not in takes:
                raise PydanticCustomError(
                    "parameter_unknown",
                    "this {type} has no parameter {given} to initialise; it has {takes}",
                    {
                        "type": self.type,
                        "given": repr(key[:100]),
                        "takes": ", ".join(takes) or "none",
                        "allowed": list(takes),
                        "word": key[:100],
                    },
                )

    @property
    def takes(self) -> tuple[str, ...]:
        """What `init` may name: parameters, then what several of them are called together."""
        parameters = list(self.parameters())
        names = [parameter.name for parameter in parameters]
        roles = [role for parameter in parameters for role in parameter.roles]
        return tuple(dict.fromkeys([*names, *roles]))

    def parameters(self) -> Iterator[Parameter]:
        """PyTorch's, in the order of its `state_dict`."""
        raise NotImplementedError

    def stored(self, framework: Framework, arrays: Arrays) -> Iterator[Stored]:
        """The tensors of the file.

        Args:
            framework: whose names and layouts.
            arrays: the parameters by name.

        Raises:
            SpecError: the framework has no such layer.
        """
        if framework == "torch":
            yield from (Stored(name, array) for name, array in arrays.items())
            return
        if framework in self.lacks:
            raise SpecError(f"{framework} has no {self.type}: {self.lacks[framework]}", ("type",))
        yield from getattr(self, framework)(arrays)

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        """As Keras stores them."""
        raise NotImplementedError

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        """As Flax linen stores them."""
        raise NotImplementedError

    def nnx(self, arrays: Arrays) -> Iterator[Stored]:
        """As Flax nnx stores them: like linen unless said otherwise."""
        return self.flax(arrays)

    def chosen(self, parameter: Parameter) -> tuple[Scheme, str | None]:
        """The scheme of a parameter, and which key of `init` says so."""
        for key in (parameter.name, *parameter.roles):
            if key in self.init:
                return self.init[key], key
        return parameter.init, None

    def equal_of(self, parameter: str) -> str | None:
        """The name of what a parameter is equal to, if the layer says so."""
        if isinstance(self.same_as, str):
            return f"{self.same_as}.{parameter}"
        return self.same_as.get(parameter) if self.same_as else None

    def canonical(self) -> dict[str, Any]:
        """The shortest JSON that means this: what differs from defaults, schemes in short."""
        fields: dict[str, Any] = {}
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            if name == "init":
                if value:
                    fields[name] = {key: scheme.canonical() for key, scheme in value.items()}
            elif name in ("type", "name") or value != info.default:
                fields[name] = _short(value, info.annotation)
        return fields


def _short(value: Any, declared: Any) -> Any:
    """Sizes as one where that one means the same.

    So it does for one size, and for alike ones of which the field's type fixes how many there are.
    """
    if not isinstance(value, tuple):
        return value
    is_fixed = Ellipsis not in get_args(declared)
    if len(value) == 1 or (is_fixed and len(set(value)) == 1):
        return value[0]
    return list(value)


@cache
def scheme(name: str, **parameters: Any) -> Scheme:
    """A scheme for a default: one object each."""
    return SCHEMES[name](**parameters)


def zero() -> Scheme:
    """All zeros."""
    return scheme("zeros")


def one() -> Scheme:
    """All ones."""
    return scheme("ones")


def symmetric(bound: float) -> Scheme:
    """Uniform between −bound and bound; zeros if that is nothing."""
    return scheme("uniform", low=-bound, high=bound) if bound else zero()


def over_root(n: int) -> Scheme:
    """Uniform within 1/√n: what torch gives biases and recurrent layers."""
    return symmetric(1.0 / math.sqrt(n)) if n else zero()


def kernel(defaults: Defaults) -> Scheme:
    """How a framework fills the weight of a linear or convolutional layer."""
    if defaults == "keras":
        return scheme("glorot_uniform", convention="keras")
    if defaults in ("flax", "nnx"):
        return scheme("lecun_normal", convention="jax")
    return scheme("he_uniform", a=math.sqrt(5.0))


def bias(defaults: Defaults, fan_in: int) -> Scheme:
    """How a framework fills the bias beside it."""
    return over_root(fan_in) if defaults == "torch" else zero()
