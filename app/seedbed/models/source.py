"""The `model` of a spec: a preset's name, a config.json, or a manifest of names and shapes."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
)
from pydantic_core import PydanticCustomError

from seedbed.errors import LimitError, Path, SpecError, UnstudiedError
from seedbed.models import registry
from seedbed.models.base import Model
from seedbed.models.bounds import require_bounded
from seedbed.models.config import dtype_of
from seedbed.models.manifest import (
    INITIALIZER_RANGE,
    Entries,
    ListEntries,
    build_list,
    build_manifest,
    list_to_json,
    manifest_to_json,
)
from seedbed.models.ranges import count_of, covers
from seedbed.models.recorded import LIBRARY, Record, RecordedBy
from seedbed.stream import FloatCode


def plain(value: Any) -> Any:
    """A value as JSON in one order and one spelling.

    Members are sorted, since the canonical spec sorts them and must mean the same; numbers that are
    not finite are as transformers 5 spells them.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {"__float__": "NaN" if math.isnan(value) else ("-" * (value < 0) + "Infinity")}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: plain(value[key]) for key in sorted(value)}
    if value is not None and not isinstance(value, str | int | float):
        raise PydanticCustomError(
            "json", "must be JSON, not {kind}", {"kind": type(value).__name__}
        )
    return value


AnyJson = Annotated[Any, AfterValidator(plain)]


class ModelOfPreset(BaseModel):
    """A model with a name; other fields are its arguments, which the catalogue lists."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)
    __pydantic_extra__: dict[str, AnyJson]

    preset: str = Field(
        min_length=1, max_length=96, description="A name that GET /v1/models lists."
    )

    def build(self) -> Model:
        """The model.

        Raises:
            SpecError: there is no such preset, or it takes no such argument; path within the model.
        """
        return registry.preset(self.preset).build(dict(sorted(self.__pydantic_extra__.items())))

    def place_of(self, _: str) -> Path:
        """Where a tensor is said."""
        return ()

    def canonical(self) -> dict[str, Any]:
        """The JSON of this source."""
        return {"preset": self.preset, **self.__pydantic_extra__}


class ModelOfConfig(BaseModel):
    """A Hugging Face model, by what its config.json says."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    config: Annotated[dict[str, Any], AfterValidator(plain)] = Field(
        description="A config.json: model_type, architectures, and its fields; absent ones have "
        "the defaults of transformers. A quantization_config says how the weights are stored."
    )
    ignore_quantization: bool = Field(
        default=False,
        description="Whether to leave the config's quantization_config aside: the model is the "
        "unquantised one.",
    )
    recorded: RecordedBy | None = Field(
        None,
        description="Whose word the tensors are: a release of the library itself, in place of the "
        "catalogue. A service that can record puts this into its links where the catalogue does "
        "not know the config; one that has neither the record nor the release refuses it.",
    )
    _record: Record | None = PrivateAttr(None)

    @property
    def dtype(self) -> FloatCode | None:
        """The dtype that the config says its weights have; none if what it says is no dtype."""
        try:
            return dtype_of(self.config)
        except SpecError:
            return None  # which `build` refuses

    @property
    def unquantised(self) -> str:
        """Canonical JSON of the config as it is recorded: that of the unquantised model."""
        return _dumps({k: v for k, v in self.config.items() if k != "quantization_config"})

    def with_record(self, record: Record) -> ModelOfConfig:
        """The same config, whose tensors are what was recorded.

        Raises:
            NotRecordedError: it is not the record that is meant.
        """
        if self.recorded is not None:
            self.recorded.require(record, self.unquantised)
        said = RecordedBy(library=LIBRARY, version=record.version, digest=record.digest)
        other = self.model_copy(update={"recorded": said})
        other._record = record  # noqa: SLF001  # of the same class
        return other

    def build(self) -> Model:
        """The model, and how it is quantised.

        Raises:
            UnstudiedError: the catalogue does not know it: model type, class, field or value; path
                within the model.
            NotRecordedError: it is what a library's release makes of it, which is not here.
            SpecError: no library takes it.
        """
        config = dict(self.config)
        quantization = config.pop("quantization_config", None)
        if self.ignore_quantization and quantization is None:
            raise SpecError(
                "the config has no quantization_config to ignore", ("ignore_quantization",)
            )
        if quantization is not None and not isinstance(quantization, dict):
            raise SpecError("must be an object", ("config", "quantization_config"))
        model = self._of(config)
        return model if self.ignore_quantization else replace(model, quantization=quantization)

    def _of(self, config: dict[str, Any]) -> Model:
        """The unquantised model."""
        try:
            require_bounded(config)
            dtype_of(config)
        except SpecError as error:
            raise error.within("config") from error
        if self._record is not None:
            return self._record.model(config)
        if self.recorded is not None:
            raise self.recorded.missing(self.unquantised)
        try:
            return registry.of_config(config)
        except SpecError as error:
            advised = registry.BY_RECORDING in error.message or registry.BY_CODE in error.message
            advice = "" if advised else f"; {registry.BY_RECORDING}"
            refusal = UnstudiedError(f"{error.message}{advice}", error.path, error.allowed)
            refusal.plain = error.message
            refusal.others = (*error.others, *_others(config, error))
            refusal.config = self.unquantised
            raise refusal.within("config") from error

    def place_of(self, _: str) -> Path:
        """Where a tensor is said."""
        return ()

    def canonical(self) -> dict[str, Any]:
        """The JSON of this source."""
        fields: dict[str, Any] = {"config": self.config}
        if self.ignore_quantization:
            fields["ignore_quantization"] = True
        if self.recorded is not None:
            fields["recorded"] = self.recorded.canonical()
        return fields


_MOST_FAULTS = 16
"""Faults of a config that are looked for, the first included."""


def _others(config: Mapping[str, Any], first: SpecError) -> Iterator[SpecError]:
    """What else is wrong with a config: what is refused when the fields so far are left out.

    A number that is left out would have a default that the others need not fit, so after that no
    more is said; nor of fields that nobody wrote.
    """
    rest, fault = copy.deepcopy(dict(config)), first
    for _ in range(_MOST_FAULTS - 1):
        if not _leave_out(rest, fault.path):
            return
        try:
            registry.of_config(rest)
        except SpecError as error:
            if _member(rest, error.path) is None:
                return
            fault = error
            yield fault
        except LimitError:
            return
        else:
            return


def _member(config: Any, path: Path) -> tuple[dict[str, Any], str] | None:
    """The object that has a field, and the field's name, if a path leads to one."""
    *outer, last = [key for key in path if isinstance(key, str)] or [""]
    for key in outer:
        config = config.get(key) if isinstance(config, dict) else None
    return (config, last) if isinstance(config, dict) and last in config else None


def _leave_out(config: dict[str, Any], path: Path) -> bool:
    """Leave out the field at a path; whether nothing else depends on that."""
    place = _member(config, path)
    if place is None or path[:1] in {("model_type",), ("architectures",)}:
        return False
    value = place[0].pop(place[1])
    return isinstance(value, bool) or not isinstance(value, int | float)


class ModelOfManifest(BaseModel):
    """Any model at all, by its names and shapes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    manifest: Entries = Field(
        description="Shape by name, or {shape, dtype, init} by name; or the header of a "
        "safetensors file, or a list of the headers of its shards."
    )
    initializer_range: float = Field(
        INITIALIZER_RANGE,
        gt=0,
        description="Standard deviation of matrices whose init is guessed.",
    )

    def build(self) -> Model:
        """The model."""
        return build_manifest(self.manifest, self.initializer_range)

    def place_of(self, name: str) -> Path:
        """Where a tensor is said."""
        return ("manifest", name)

    def canonical(self) -> dict[str, Any]:
        """The JSON of this source."""
        fields: dict[str, Any] = {"manifest": manifest_to_json(self.manifest)}
        if self.initializer_range != INITIALIZER_RANGE:
            fields["initializer_range"] = self.initializer_range
        return fields


class ModelOfList(BaseModel):
    """Any model, by its tensors in the order in which its library saves them.

    Shards follow that order. Consecutive entries that share the text of their names up to and
    including the first range are one loop: layers.0.a, layers.0.b, layers.1.a and so on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    list: ListEntries = Field(description="Entries in order; ranges in names stand for many.")

    @property
    def count(self) -> int:
        """How many tensors there are."""
        return sum(count_of(entry.name) for entry in self.list)

    def build(self) -> Model:
        """The model."""
        return build_list(self.list)

    def place_of(self, name: str) -> Path:
        """Where a tensor is said."""
        return ("list", *[i for i, entry in enumerate(self.list) if covers(entry.name, name)][:1])

    def canonical(self) -> dict[str, Any]:
        """The JSON of this source."""
        return {"list": list_to_json(self.list)}


MODEL_KINDS = ("preset", "config", "manifest", "list")


def _kind(value: Any) -> str | None:
    """Which source a value is: by the one field that only this source has."""
    if isinstance(value, Mapping):
        return next((f"of_{kind}" for kind in MODEL_KINDS if kind in value), None)
    return next((f"of_{kind}" for kind in MODEL_KINDS if hasattr(value, kind)), None)


ModelSource = Annotated[
    Annotated[ModelOfPreset, Tag("of_preset")]
    | Annotated[ModelOfConfig, Tag("of_config")]
    | Annotated[ModelOfManifest, Tag("of_manifest")]
    | Annotated[ModelOfList, Tag("of_list")],
    Discriminator(
        _kind,
        custom_error_type="model_kind",
        custom_error_message="a model has a preset, a config, a manifest or a list",
    ),
]


def dumps(source: ModelOfPreset | ModelOfConfig | ModelOfManifest | ModelOfList) -> str:
    """Canonical JSON of a source: sorted keys, no spaces, no defaults."""
    return _dumps(source.canonical())


_dumps = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


__all__ = [
    "ModelOfConfig",
    "ModelOfList",
    "ModelOfManifest",
    "ModelOfPreset",
    "ModelSource",
    "dumps",
]
