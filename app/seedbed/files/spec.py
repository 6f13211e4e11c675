"""The request body: everything a file depends on, and its canonical form.

A `CheckpointSpec` is the request body of POST, what a URL token decodes to, what the one-line GET
and the command line build. Specs whose canonical JSON is equal mean the same file: the canonical
JSON is itself a spec and means what it was made from, to the byte. Ways of writing one thing
(order, defaults written out, aliases) have one canonical JSON; two schemes that happen to draw
alike do not.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from json.encoder import encode_basestring
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from seedbed.errors import Path, SpecError
from seedbed.files.beside import CONFIG_NAME, Files, digest_of_files, spelled
from seedbed.files.shards import MAX_SHARD_BYTES, ShardSize
from seedbed.init import (
    AnyLayer,
    Decisions,
    FloatDtype,
    Framework,
    Layer,
    Rule,
    TensorSpec,
    Text,
)
from seedbed.models import Model, ModelOfConfig, ModelSource, dumps, plain, require_bounded
from seedbed.quantization import SHORT, VERSION, Method, method_of
from seedbed.stream import SEED_MAX, STREAM_VERSION, DtypeCode, FloatCode

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")
_JSON_SAFE_INTEGER = 2**53 - 1


def _seed(value: object) -> object:
    """A decimal string as the integer it spells; anything else is left to the integer's checks."""
    if isinstance(value, str):
        if not _DECIMAL.fullmatch(value):
            raise PydanticCustomError(
                "seed", "a seed is an integer from 0 to 2**64 − 1, as a number or decimal string"
            )
        return int(value)
    return value


Seed = Annotated[
    int,
    Field(strict=True, ge=0, le=SEED_MAX),
    BeforeValidator(
        _seed,
        json_schema_input_type=Annotated[int, Field(ge=0, le=SEED_MAX)]
        | Annotated[str, Field(pattern=f"^({_DECIMAL.pattern})$")],
    ),
]


def seed_to_json(seed: int) -> int | str:
    """A seed as JSON that every language reads exactly: a number up to 2**53 − 1, else a string."""
    return seed if seed <= _JSON_SAFE_INTEGER else str(seed)


def _not_reserved(key: str) -> str:
    if key == "format" or key.startswith("seedbed."):
        raise PydanticCustomError(
            "reserved_metadata", "the keys format and seedbed.* are written by Seedbed itself"
        )
    return key


def _some(tensors: tuple[TensorSpec, ...], info: ValidationInfo) -> tuple[TensorSpec, ...]:
    """Not `min_length`, which would also count the tensors that are wrong as missing."""
    if not tensors and info.data.get("layers") == () and info.data.get("model", ...) is None:
        raise PydanticCustomError(
            "no_tensors", "a checkpoint has at least one tensor or layer, or a model"
        )
    return tensors


def _short(value: object) -> object:
    """A short name as the config that it stands for."""
    if isinstance(value, str):
        if value not in SHORT:
            raise PydanticCustomError(
                "quantization_unknown",
                "there is no quantization {given}",
                {"given": repr(value[:100]), "word": value[:100], "allowed": [*SHORT]},
            )
        return dict(SHORT[value])
    return value


Quantization = Annotated[
    dict[str, Any],
    AfterValidator(plain),
    BeforeValidator(
        _short,
        json_schema_input_type=Annotated[str, Field(json_schema_extra={"enum": [*SHORT]})]
        | dict[str, Any],
    ),
]
"""A `quantization_config`, or the short name of one."""

MetadataKey = Annotated[Text, Field(min_length=1), AfterValidator(_not_reserved)]


_DECIDING = {"model", "layers", "tensors", "rules", "framework"}
"""Fields that decide which names there are, and what rules say of them."""


def _usual(model: Any) -> FloatCode:
    """The dtype of a spec that names none: its config's, as the config's library has it."""
    return (model.dtype if isinstance(model, ModelOfConfig) else None) or "F32"


class CheckpointSpec(BaseModel):
    """A checkpoint: a model, layers and tensors, how to fill them, and the seed."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        json_schema_extra={
            # "Some of the three", said in a way that generators of clients skip: of an anyOf they
            # would make three types, none of which is a spec.
            "not": {
                "properties": {
                    "tensors": {"maxItems": 0},
                    "layers": {"maxItems": 0},
                    "model": {"type": "null"},
                }
            },
            "examples": [
                {"model": {"preset": "resnet50", "num_classes": 10}, "seed": 7},
                {
                    "seed": 42,
                    "dtype": "BF16",
                    "tensors": [
                        {"name": "fc.weight", "shape": [256, 784], "init": "he_normal"},
                        {"name": "fc.bias", "shape": [256], "init": "zeros", "dtype": "F32"},
                    ],
                },
                {
                    "framework": "keras",
                    "layers": [
                        {
                            "type": "conv2d",
                            "name": "stem",
                            "in_channels": 3,
                            "out_channels": 16,
                            "kernel_size": 3,
                            "init": "he_normal",
                        },
                        {"type": "batch_norm", "name": "norm", "num_features": 16},
                    ],
                },
            ],
        },
    )

    seed: Seed = Field(
        0,
        description="0 … 2**64 − 1, as a number or, for languages whose numbers end at 2**53, as a "
        "decimal string.",
    )
    dtype: FloatDtype = Field(
        "F32",
        description="Of every tensor that does not say otherwise: a code, or as frameworks spell "
        "it, bf16 or torch.bfloat16. Where the model is a config that names one, that is the "
        "default.",
    )
    framework: Framework = Field(
        "torch",
        description="Whose names and layouts the layers are stored in: the weights are the same.",
    )
    model: ModelSource | None = Field(
        None, description="A whole architecture, with its library's own names."
    )
    quantization: Quantization | None = Field(
        None,
        description="How the weights of linear modules are stored: a quantization_config as "
        "published, or a short name, such as fp8-block. They are the same draws, rounded.",
    )
    # The first wrong tensor or rule ends the check: millions of findings would take gigabytes.
    layers: Annotated[tuple[AnyLayer, ...], FailFast(), Field(strict=False)] = Field(
        (), description="Layers of a network, with unique names, in any order."
    )
    tensors: Annotated[
        tuple[TensorSpec, ...], FailFast(), Field(strict=False), AfterValidator(_some)
    ] = Field(
        (),
        validate_default=True,
        description="Tensors of their own, with unique names, in any order; stored as they are "
        "given in every framework.",
    )
    rules: Annotated[tuple[Rule, ...], FailFast(), Field(strict=False)] = Field(
        (), description="Changes by name, in order; for each tensor the last match wins."
    )
    metadata: dict[MetadataKey, Text] = Field(
        default_factory=dict, description="Strings for the file's own metadata."
    )
    max_shard_size: ShardSize = Field(
        MAX_SHARD_BYTES,
        description="Largest file of a checkpoint in several files, in bytes, or as text: 5GB. "
        "Weights do not depend on it, and a POST always gives one file.",
    )
    files: Files = Field(
        default_factory=dict,
        description="Files beside the weights, by name: a text, or an object that is written as "
        "JSON. README.md is in place of the card that Seedbed writes, config.json where the model "
        "has none of its own. Weights do not depend on them; beside an adapter_config.json their "
        "file is adapter_model.safetensors.",
        examples=[{"config.json": {"model_type": "mine"}, "README.md": "# My model"}],
    )

    @model_validator(mode="after")
    def _usual_dtype(self) -> Self:
        if "dtype" not in self.model_fields_set:
            self.__dict__["dtype"] = _usual(self.model)
        return self

    @cached_property
    def built(self) -> Model | None:
        """The model, built; `None` if there is none.

        Raises:
            SpecError: there is no such model, or it cannot be built so.
        """
        if self.model is None:
            return None
        if self.framework != "torch":
            raise SpecError(
                f"models have the names and layouts of their own library, not of {self.framework}",
                ("framework",),
                ("torch",),
            )
        try:
            model = self.model.build().in_dtype(self.dtype)
        except SpecError as error:
            raise error.within("model") from error
        if model.config is not None and CONFIG_NAME in self.files:
            raise SpecError(
                "the model has a config.json of its own, from which its weights follow",
                ("files", CONFIG_NAME),
            )
        return model

    @cached_property
    def method(self) -> Method | None:
        """How weights are quantised, if they are.

        Raises:
            SpecError: there is no such method, it is said twice, or there is no such model.
        """
        of_model = self.built.quantization if self.built else None
        if of_model is not None and self.quantization is not None:
            raise SpecError(
                "the config has a quantization_config; ignore_quantization beside it leaves that "
                "aside",
                ("quantization",),
            )
        config = of_model if self.quantization is None else self.quantization
        if config is None:
            return None
        place = (
            ("quantization",) if of_model is None else ("model", "config", "quantization_config")
        )
        if self.framework != "torch":
            raise SpecError("quantised weights have torch's names and layouts", place)
        try:
            require_bounded(config)
            return method_of(config)
        except SpecError as error:
            raise error.within(*place) from error

    @property
    def model_type(self) -> object:
        """What the model's config says it is, if it has one."""
        config = self.built.config if self.built else None
        return None if config is None else config.get("model_type")

    @property
    def quantization_config(self) -> Mapping[str, Any] | None:
        """What config.json says of it, as it was given."""
        return self.quantization or (self.built.quantization if self.built else None)

    @cached_property
    def decisions(self) -> Decisions:
        """What the rules and `same_as` come to for every name.

        Raises:
            SpecError: a tensor cannot equal what it is said to, or there is no such model.
        """
        model = self.built.parameters if self.built else ()
        return Decisions(
            self.rules, self.tensors, self.layers, model, self.framework, self._place_in_model
        )

    def _place_in_model(self, name: str) -> Path:
        return ("model", *(self.model.place_of(name) if self.model else ()))

    def with_seed(self, seed: int | str) -> CheckpointSpec:
        """The same checkpoint from another seed.

        Raises:
            ValidationError: it is not a seed.
        """
        return self.replaced(seed=seed)

    def replaced(self, **changes: Any) -> CheckpointSpec:
        """The same spec with other values of some fields, checked as any is.

        Raises:
            ValidationError: one is no such value.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        other = CheckpointSpec.model_validate({**fields, **changes})
        same = other.model is self.model and other.dtype == self.dtype
        same &= other.files == self.files
        if "built" in self.__dict__ and same:
            other.__dict__["built"] = self.built
            if "decisions" in self.__dict__ and not changes.keys() & _DECIDING:
                other.__dict__["decisions"] = self.decisions
        return other

    @cached_property
    def canonical_json(self) -> str:
        """The spec without its seed in one spelling: sorted keys, sorted names, no defaults.

        Nor with its shard size and the files beside it, on which no weight depends.

        Rules that are overruled wherever they match are left out, and so is `optional` of those
        that decide something.

        Numbers are spelled as Python's `repr` does, the shortest decimal that reads back alike.
        """
        parts = {}
        if self.tensors:
            ordered = sorted(self.tensors, key=lambda t: t.name.encode())
            parts["tensors"] = f"[{','.join(_tensor_text(t, self.dtype) for t in ordered)}]"
        if self.layers:
            named = sorted(self.layers, key=lambda layer: layer.name.encode())
            parts["layers"] = f"[{','.join(_layer_text(layer, self.dtype) for layer in named)}]"
        if self.model is not None:
            parts["model"] = dumps(self.model)
        if self.quantization is not None:
            parts["quantization"] = _dumps(self.quantization)
        if self.framework != "torch":
            parts["framework"] = _dumps(self.framework)
        if self.dtype != _usual(self.model):
            parts["dtype"] = _dumps(self.dtype)
        # A rule that nobody hears is no part of what the spec means.
        if self.rules and (heard := self.decisions.heard):
            texts = [_rule_text(self.rules[i], self.decisions.without_effect(i)) for i in heard]
            parts["rules"] = f"[{','.join(texts)}]"
        if self.metadata:
            parts["metadata"] = _dumps(self.metadata)
        return _object(parts)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON and the stream version: which file this is, but for seed.

        64 hexadecimal digits. With a model it is of what the model comes to as well, so that it
        changes if a later version of Seedbed knows the model better.

        Raises:
            SpecError: there is no such model.
        """
        message = f"seedbed/spec/{STREAM_VERSION}\n{self.canonical_json}"
        if self.built is not None:
            message += f"\n{self.built.digest}"
        if self.method is not None:
            message += f"\nquantization/{VERSION}"
        return hashlib.sha256(message.encode()).hexdigest()

    @cached_property
    def files_digest(self) -> str:
        """SHA-256 of the files beside the weights that it brings; nothing if it brings none."""
        return digest_of_files(self.files)

    @property
    def files_bytes(self) -> int:
        """What those take in a link."""
        return len(f'"files":{spelled(self.files)},'.encode()) if self.files else 0

    @property
    def config(self) -> Mapping[str, Any] | None:
        """What config.json says, but for dtype and quantisation: the model's own, or one beside."""
        own = self.built.config if self.built else None
        given = self.files.get(CONFIG_NAME)
        return given if own is None and isinstance(given, dict) else own

    @property
    def text(self) -> str:
        """Canonical JSON with what it leaves out: the seed, shards and the files beside them."""
        shards = ""
        if self.max_shard_size != MAX_SHARD_BYTES:
            shards = f'"max_shard_size":{self.max_shard_size},'
        files = f'"files":{spelled(self.files)},' if self.files else ""
        return f'{{"seed":{self.seed},{shards}{files}{self.canonical_json[1:]}'

    @cached_property
    def token(self) -> str:
        """The spec and its seed as text for a URL: deflated canonical JSON in base64url.

        Different versions of zlib may spell one spec differently; all spellings decode alike, and
        no byte of a file and no ETag depends on the spelling.
        """
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(self.text.encode()) + packer.flush()
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _tensor_text(tensor: TensorSpec, default: DtypeCode) -> str:
    """A tensor in canonical form, without the dtype it would have anyway.

    Written out, since there may be many: keys are in their order.
    """
    dtype = "" if tensor.dtype in (None, default) else f'"dtype":"{tensor.dtype}",'
    init = "" if tensor.init is None else f'"init":{tensor.init.spelling},'
    equal = "" if tensor.same_as is None else f',"same_as":{_dumps(tensor.same_as)}'
    shape = ",".join(map(str, tensor.shape))
    return f'{{{dtype}{init}"name":{encode_basestring(tensor.name)}{equal},"shape":[{shape}]}}'


def _layer_text(layer: Layer, default: DtypeCode) -> str:
    """A layer in canonical form, without the dtype it would have anyway."""
    fields = layer.canonical()
    if fields.get("dtype") == default:
        del fields["dtype"]
    return _dumps(fields)


def _rule_text(rule: Rule, idle: Sequence[str]) -> str:
    """A rule in canonical form, which is optional exactly if a part of it decides nothing."""
    parts = {"match": _dumps(rule.match)}
    if idle:
        parts["optional"] = "true"
    if rule.drop is not None:
        parts["drop"] = _dumps(rule.drop)
    if rule.dtype is not None:
        parts["dtype"] = _dumps(rule.dtype)
    if rule.init is not None:
        parts["init"] = rule.init.spelling
    if rule.same_as is not None:
        parts["same_as"] = _dumps(rule.same_as)
    return _object(parts)


def _object(parts: Mapping[str, str]) -> str:
    """A JSON object of members that are JSON already, sorted by key, without spaces."""
    return f"{{{','.join(f'{_dumps(key)}:{parts[key]}' for key in sorted(parts))}}}"


_dumps = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode
