"""What a family is: a model type of the library, its classes, and what they save."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from seedbed.errors import ParameterError, SpecError
from seedbed.init import Parameter
from seedbed.models.base import Architecture, Argument, Json, Model, Preset, collect
from seedbed.models.config import Config, dtype_of, words
from seedbed.models.kept import kept
from seedbed.models.transformers.fields import Labels

VERSION = "5.24.0"
"""Of the library whose files these are."""

DEFAULT_STD = 0.02
"""What an `initializer_range` of 0 counts as."""

ROTARY = words("rope_theta rope_scaling rope_parameters partial_rotary_factor rotary_pct")

TRANSFORMER = ROTARY | words(
    # What says how a block computes, and not what it holds.
    """
    activation_dropout activation_function attention_dropout attention_probs_dropout_prob
    attn_logit_softcapping classifier_dropout dropout embd_pdrop final_logit_softcapping hidden_act
    hidden_activation hidden_dropout hidden_dropout_prob initializer_factor initializer_range
    layer_norm_eps layer_norm_epsilon layer_types layerdrop max_position_embeddings
    max_window_layers pretraining_tp query_pre_attn_scalar resid_pdrop rms_norm_eps sliding_window
    use_bidirectional_attention use_sliding_window
    """
)
"""Fields that take no part in the weights, unless a family has them among its own."""


@cache
def _heard() -> Mapping[str, Sequence[str]]:
    data = files("seedbed.models.transformers") / "heard.json.gz"
    names: Mapping[str, Sequence[str]] = json.loads(gzip.decompress(data.read_bytes()))
    return names


@cache
def heard(model_type: str) -> frozenset[str]:
    """Names that the library's code looks at in configs of a type (`scripts.catalogue.heard`)."""
    return frozenset(_heard()[model_type])


class UnknownModelType(SpecError):
    """A config.json of a model type that no family has."""


class Family(Architecture):
    """A model type: its fields are those of its config's class that decide about the weights.

    Class attributes: `model_type`; `stem` of the names of its classes, and `heads`, what follows
    that stem → the method that yields such a model, the first where a config names no class.
    `aliases` are other names of fields, `inert` further fields that may be given, `former` names
    that classes once had.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        defer_build=True,  # there are dozens, of which a process needs a few
    )

    library: ClassVar[str] = f"transformers {VERSION}"
    model_type: ClassVar[str]
    stem: ClassVar[str]
    heads: ClassVar[Mapping[str, str]]
    aliases: ClassVar[Mapping[str, str]] = {}
    takes_inert_fields = True
    inert: ClassVar[frozenset[str]] = frozenset()
    former: ClassVar[Mapping[str, str]] = {}
    generates: ClassVar[tuple[str, ...]] = (
        "ForCausalLM",
        "LMHeadModel",
        "ForConditionalGeneration",
    )
    """Endings of classes that have a generation_config.json."""

    num_labels: Labels = 2

    @classmethod
    def classes(cls) -> Mapping[str, str]:
        """The library's classes by name, each with the method that yields what it saves."""
        return {f"{cls.stem}{ending}": head for ending, head in cls.heads.items()}

    @classmethod
    def default_class(cls) -> str:
        """The class that is meant where none is said."""
        return next(iter(cls.classes()))

    @classmethod
    def of(cls, config: Config) -> Self:
        """The fields of a config.

        Raises:
            SpecError: with the path of what is wrong.
        """
        family = config.into(cls, TRANSFORMER, cls.inert, cls.aliases)
        family.check(config)
        return family

    def check(self, config: Config) -> None:
        """Refuse fields that do not go together.

        Raises:
            SpecError: with the path of one of them.
        """

    def require_row(self, config: Config, name: str, token: int | None, rows: int) -> None:
        """Refuse a padding index that is no row of the embedding.

        Raises:
            SpecError: with the bounds.
        """
        if token is not None and not -rows <= token < rows:
            raise config.error(
                name, f"must be below the {rows:,} rows of the embedding, or null, not {token}"
            )

    def require_divisible(self, config: Config, name: str, number: int, by: int, what: str) -> None:
        """Refuse a width that heads do not share evenly.

        Raises:
            SpecError: with both numbers.
        """
        if number % by:
            raise config.error(name, f"{number} does not divide into {by} {what}")

    @property
    def std(self) -> float:
        """Standard deviation of whatever has none of its own."""
        return float(getattr(self, "initializer_range", 0) or DEFAULT_STD)

    def parameters(self) -> Iterator[Parameter]:
        """Of the class that is meant where none is said."""
        return self.of_class(self.default_class())

    def of_class(self, name: str) -> Iterator[Parameter]:
        """Of a class that `classes` has."""
        parameters: Iterator[Parameter] = getattr(self, self.classes()[name])()
        return parameters

    @classmethod
    def read(cls, raw: Json, *, strict: bool = False) -> Model:
        """The model of a config.json.

        Args:
            raw: what json.loads made of it.
            strict: whether a field that the library would ignore is an error.

        Raises:
            SpecError: with the path of what is wrong, in the spelling of who wrote it.
        """
        config = Config.read(
            raw, aliases=cls.aliases, heard=None if strict else heard(cls.model_type)
        )
        named = config.architecture((*cls.classes(), *cls.former), cls.default_class())
        name = cls.former.get(named, named)
        dtype_of(raw)
        family = cls.of(config)
        parameters = collect(family.of_class(name))
        return Model(
            parameters,
            config=family.written(config, raw, name),
            generation_config=family.generation(config, name),
            library=cls.library,
            kept=kept(name, parameters),
            ignored=tuple(sorted(config.ignored)),
        )

    def written(self, config: Config, raw: Json, name: str) -> Json:
        """What a config.json says of it.

        All fields that decide about the weights are spelled out, so that other versions of the
        library, whose defaults differ, build the same model; others are there if they were given.
        The dtype is the file's, not the model's, and whoever makes the file adds it.
        """
        fields: dict[str, Any] = {}
        for field, info in type(self).model_fields.items():
            value = getattr(self, field)
            if field != "num_labels" and (value is not None or info.default is not None):
                fields[field] = value
        for key, value in raw.items():
            field = self.aliases.get(key, key)
            dull = value is None and getattr(self, field, 0) is None and field not in fields
            if key not in ELSEWHERE and key[:1] != "_" and not dull:
                fields[field] = value
        fields.pop("num_labels", None)
        labels = type(self).model_fields["num_labels"].default
        if (
            "num_labels" in config.present
            and "id2label" not in fields
            and self.num_labels != labels
        ):
            fields["id2label"] = {str(i): f"LABEL_{i}" for i in range(self.num_labels)}
            fields["label2id"] = {f"LABEL_{i}": i for i in range(self.num_labels)}
        fields |= {
            "architectures": [name],
            "model_type": self.model_type,
            "transformers_version": VERSION,
        }
        return fields

    def generation(self, config: Config, name: str) -> Json | None:
        """What generation_config.json says, of a class that generates."""
        if not name.endswith(self.generates):
            return None
        fields: dict[str, Any] = {"_from_model_config": True, "transformers_version": VERSION}
        for field in GENERATION:
            value = getattr(self, field, config.get(field))
            if value is not None:
                fields[field] = value
        return fields


DTYPE_FIELDS = frozenset({"dtype", "torch_dtype"})
"""Where a config says what its weights are."""

ELSEWHERE = ("auto_map", "custom_pipelines", *sorted(DTYPE_FIELDS))
"""What a written config does not repeat: the dtype is the file's, and its code is the library's."""

GENERATION = (
    "begin_suppress_tokens",
    "bos_token_id",
    "decoder_start_token_id",
    "eos_token_id",
    "forced_eos_token_id",
    "pad_token_id",
)
"""Fields of a config that generation reads."""


@dataclass(frozen=True)
class ConfigPreset(Preset):
    """A config.json with a name; its arguments are fields of it.

    Attributes:
        source: where its numbers were verified.
        files: a tokenizer, if it has one.
    """

    architecture: type[Family]
    source: str = ""
    files: Callable[[], Mapping[str, bytes]] | None = None

    def arguments(self) -> Iterator[Argument]:
        """The fields that decide about the weights, and the class."""
        schema = self.architecture.model_json_schema()
        for argument in super().arguments():
            accepts, default = argument.json_schema, argument.default
            if "$ref" in accepts:  # a config within the config
                accepts = schema["$defs"][accepts["$ref"].rpartition("/")[2]]
            if isinstance(default, BaseModel):
                default = default.model_dump()
            yield Argument(argument.name, default, argument.description, accepts)
        classes = list(self.architecture.classes())
        default = self.defaults.get("architectures", [self.architecture.default_class()])
        accepts = {
            "type": "array",
            "items": {"type": "string", "enum": classes},
            "minItems": 1,
            "maxItems": 1,
        }
        yield Argument("architectures", default, "The class whose weights these are.", accepts)

    def build(self, arguments: Json) -> Model:
        """The model, with these fields in place of the preset's.

        Raises:
            ParameterError: there is no such field or value, and where.
        """
        family = self.architecture
        said = arguments.get("model_type", family.model_type)
        if said != family.model_type:
            message = f"{self.name} is of the model type {family.model_type}"
            raise ParameterError(message, ("model_type",), (family.model_type,))
        for key in DTYPE_FIELDS.intersection(arguments):  # else it would be heard by nobody
            raise ParameterError("the dtype is no argument of a preset but the spec's", (key,))
        named = {family.aliases.get(key, key) for key in arguments}
        config = {
            **{key: value for key, value in self.defaults.items() if key not in named},
            **arguments,
        }
        for key in named.intersection(self.defaults):  # of a part, only what is said is replaced
            if key.endswith("_config") and isinstance(config[key], Mapping):
                config[key] = {**self.defaults[key], **config[key]}
        try:
            model = family.read(config, strict=True)
        except SpecError as error:
            raise ParameterError(error.message, error.path, error.allowed) from error
        if self.files is None:
            return model
        return replace(model, files=self.files())
