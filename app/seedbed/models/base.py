"""What a model is: the parameters that its library saves, and the files beside them.

A model is a sequence of `Parameter`s with full names, in the library's own order: what reaches the
safetensors writer, so tied weights are there once and buffers that are never saved are absent.
Their names are the names of their random streams, so a tensor keeps its values whatever model,
shard or slice it is in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from seedbed.errors import Choices, ParameterError
from seedbed.init import Limits, Parameter

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    """All tensors of a model, and what its library keeps in files beside them.

    Attributes:
        parameters: names, shapes, and how each starts; in the library's own order.
        config: what `config.json` says, if the model has one.
        generation_config: likewise.
        files: others that its library keeps beside the weights, by name: a tokenizer.
        library: whose names and initial distributions these are, with the version.
        guessed: names whose initialisation is a guess, since the library's was not studied.
        quantization: how its config says that its weights are stored, if it does.
        unsaid: names of which not even a guess is sound: whoever asks for them says how they start.
        kept: names that the library keeps in F32 where the others are of a narrower dtype.
        ignored: paths of fields of the config that the library's code does not look at.
    """

    parameters: tuple[Parameter, ...]
    config: Json | None = None
    generation_config: Json | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    library: str = ""
    guessed: frozenset[str] = field(default_factory=frozenset)
    unsaid: frozenset[str] = field(default_factory=frozenset)
    quantization: Json | None = None
    kept: frozenset[str] = field(default_factory=frozenset)
    ignored: tuple[str, ...] = ()

    def in_dtype(self, code: str) -> Model:
        """The model in a dtype: beside one narrower than F32, some tensors stay that."""
        if not self.kept or code in {"F32", "F64"}:
            return self
        parameters = tuple(
            replace(parameter, dtype="F32")
            if parameter.dtype is None and parameter.name in self.kept
            else parameter
            for parameter in self.parameters
        )
        return replace(self, parameters=parameters)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that takes part in the weights.

        It is of what the model comes to, not of how it was asked for: if a later version of
        Seedbed understands a preset otherwise, its files get other ETags.
        """
        whole = hashlib.sha256()
        alike: dict[tuple[Any, ...], str] = {}  # of the tensors of a model most are
        for parameter in self.parameters:
            key = (parameter.shape, parameter.dtype, parameter.init.spelling)
            if parameter.fans or parameter.blocks or parameter.gates > 1 or parameter.same_as:
                text = _text(parameter)
            elif (text := alike.get(key, "")) == "":
                text = alike[key] = _text(parameter)
            whole.update(f"{parameter.name!a} {text}\n".encode())
        return whole.hexdigest()


def _text(parameter: Parameter) -> str:
    """Everything about a parameter but its name."""
    fans = sorted((key, *value) for key, value in parameter.fans.items())
    blocks = [(block.start, block.stop, block.value) for block in parameter.blocks]
    equal = f" = {parameter.same_as!a}" if parameter.same_as else ""
    kind = f"{list(parameter.shape)} {parameter.dtype} {parameter.init.spelling}"
    return f"{kind} {fans} {blocks} {parameter.gates}{equal}"


class Architecture(BaseModel):
    """A family of models, written by hand: its fields are the arguments of its builder.

    A subclass has fields with the library's own names and defaults, and yields parameters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    library: ClassVar[str] = ""
    takes_inert_fields: ClassVar[bool] = False
    """Whether presets take fields of their config beside those that decide about weights."""

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        raise NotImplementedError

    def model(self) -> Model:
        """The model that these arguments mean."""
        return Model(collect(self.parameters()), library=self.library)


def collect(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """All parameters, unless there is no end of them: a model may say that it has 10⁹ layers.

    Raises:
        LimitError: more than any checkpoint may have by default.
    """
    limits = Limits()
    listed = tuple(islice(parameters, limits.max_tensors + 1))
    limits.require("max_tensors", len(listed), "tensors of a model, or more,")
    return listed


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a preset.

    Attributes:
        name: as the library has it.
        default: of this preset.
        description: what it does.
        json_schema: what it accepts.
    """

    name: str
    default: Any
    description: str
    json_schema: Json


@dataclass(frozen=True)
class Preset:
    """A model with a name.

    Attributes:
        name: in URLs: letters, digits, `.`, `_` and `-`.
        summary: one line for the catalogue.
        architecture: that builds it.
        defaults: of the arguments, where they differ from the architecture's own.
    """

    name: str
    summary: str
    architecture: type[Architecture]
    defaults: Json = field(default_factory=dict)

    @property
    def library(self) -> str:
        """Whose it is, with the version."""
        return self.architecture.library

    def arguments(self) -> Iterator[Argument]:
        """What it takes."""
        schema = self.architecture.model_json_schema()
        for name, info in self.architecture.model_fields.items():
            default = None if info.is_required() else info.get_default(call_default_factory=True)
            accepts = dict(schema["properties"][name])
            for key in ("title", "default", "description"):
                accepts.pop(key, None)
            yield Argument(name, self.defaults.get(name, default), info.description or "", accepts)

    def build(self, arguments: Json) -> Model:
        """The model, with these arguments in place of the defaults.

        Raises:
            ParameterError: the architecture takes no such argument or value, and where.
        """
        try:
            return self.architecture.model_validate({**self.defaults, **arguments}).model()
        except ValidationError as error:
            first, *others = map(self._refusal, error.errors(include_url=False))
            first.others = tuple(others)
            raise first from error

    def _refusal(self, raw: Mapping[str, Any]) -> ParameterError:
        """One thing that is wrong with arguments."""
        name, value = str(raw["loc"][0]), raw["input"]
        if raw["type"] == "extra_forbidden":
            takes = Choices(self.architecture.model_fields, name)
            return ParameterError(f"{self.name} takes no {name[:100]!r}", raw["loc"], takes)
        return ParameterError(f"{name}: {raw['msg']}", raw["loc"], Choices((), value))


def prefixed(prefix: str, parameters: Iterable[Parameter]) -> Iterator[Parameter]:
    """The same parameters, one level down: `weight` as `fc.weight`."""
    for parameter in parameters:
        yield Parameter(
            f"{prefix}.{parameter.name}",
            parameter.shape,
            parameter.init,
            (),
            parameter.fans,
            parameter.dtype,
            parameter.blocks,
            parameter.gates,
        )
