"""A model as a list of names and shapes: for whatever no family and no catalogue knows.

The names say little of how a library initialises, so what is not said is guessed from the name and
the rank, and every tensor filled by such a guess is reported as guessed.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from seedbed.init import AnyDtype, Dimension, Init, Parameter, Scheme, TensorName, one, scheme, zero
from seedbed.models.base import Model
from seedbed.models.ranges import RANGE, Ranged, count_of, expanded
from seedbed.stream import DTYPES

INITIALIZER_RANGE = 0.02
"""Standard deviation of a weight of which nothing is known: most of transformers' models use it."""


def _offsets_in_schema(schema: dict[str, Any]) -> None:
    """Let JSON Schema admit an entry of a header as it is."""
    schema["properties"]["data_offsets"] = {
        "type": "array",
        "items": {"type": "integer", "minimum": 0},
        "minItems": 2,
        "maxItems": 2,
        "description": "Of an entry of a safetensors header; the file that is made has its own.",
    }


class Entry(BaseModel):
    """One tensor of a manifest."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, json_schema_extra=_offsets_in_schema
    )

    shape: Annotated[tuple[Dimension, ...], FailFast(), Field(strict=False)] = Field(
        description="Dimensions in the order of the file; [] is a scalar."
    )
    dtype: AnyDtype | None = Field(None, description="Overrides the checkpoint's dtype.")
    init: Init | None = Field(None, description="Scheme; without one it is guessed from the name.")
    same_as: TensorName | None = Field(
        None, description="In place of init: the tensor of this spec that this one is equal to."
    )

    @model_validator(mode="after")
    def _filled_once(self) -> Self:
        if self.init is not None and self.same_as is not None:
            raise PydanticCustomError("init_twice", "an entry has init or same_as, not both")
        return self


def _entry(value: object) -> object:
    """A bare list as the shape it is; an entry of a safetensors header without its offsets."""
    if isinstance(value, list | tuple):
        return {"shape": value}
    if isinstance(value, dict) and "data_offsets" in value:
        return {key: part for key, part in value.items() if key != "data_offsets"}
    return value


ManifestEntry = Annotated[
    Entry,
    BeforeValidator(_entry, json_schema_input_type=list[Annotated[int, Field(ge=0)]] | Entry),
]
"""One tensor as it may be sent: an entry, or its shape alone."""


def _headers(value: object) -> object:
    """One manifest, from one header of a safetensors file or from those of all its shards."""
    if isinstance(value, dict) and _is_index(value.get("weight_map")):
        raise PydanticCustomError(
            "index_has_no_shapes",
            "an index has names but no shapes: give the headers of its shards, as a list",
        )
    merged: dict[object, object] = {}
    for part in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(part, dict):
            return value
        for name, entry in part.items():
            if name == "__metadata__":
                continue
            if name in merged:
                raise PydanticCustomError(
                    "name_twice", "{name} is in two of the headers", {"name": repr(str(name)[:100])}
                )
            merged[name] = entry
    return merged


_Header = Annotated[
    dict[str, ManifestEntry],
    Field(
        min_length=1,
        json_schema_extra={
            "properties": {
                "__metadata__": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "Of a header that is given as it is; no tensor.",
                }
            }
        },
    ),
]
"""What a client may send, for JSON Schema."""


def _is_index(value: object) -> bool:
    """Whether a value is the map of an index, name → file, and not a tensor of that name."""
    return isinstance(value, dict) and all(isinstance(file, str) for file in value.values())


Entries = Annotated[
    dict[TensorName, ManifestEntry],
    FailFast(),
    Field(min_length=1),
    BeforeValidator(_headers, json_schema_input_type=_Header | list[_Header]),
]


def _sound_ranges(entry: ListEntry) -> ListEntry:
    ranges = RANGE.findall(entry.name)
    if count_of(entry.name) < 1:
        raise PydanticCustomError("range_empty", "a range ends before it begins")
    if entry.same_as is not None:
        others = RANGE.findall(entry.same_as)
        if others != ranges[: len(others)]:
            raise PydanticCustomError(
                "ranges_differ", "the ranges of same_as are the first of the name's, in their order"
            )
    if (entry.init is None) == (entry.same_as is None):
        raise PydanticCustomError("init_once", "an entry of a list has an init or same_as")
    return entry


class ListEntry(Entry):
    """Tensors of a list, which are alike but for numbers in their names."""

    name: TensorName = Field(
        description="Name; {0..60} in it is each of these integers, both ends included."
    )


TENSORS_MAX = 1_000_000
"""More than any limit allows, and no more than a moment takes."""


def _few(entries: tuple[ListEntry, ...]) -> tuple[ListEntry, ...]:
    if not entries:  # here, since a check that ended early leaves none
        raise PydanticCustomError("list_empty", "a list has at least one entry")
    if sum(count_of(entry.name) for entry in entries) > TENSORS_MAX:
        raise PydanticCustomError(
            "tensors_many", "the ranges are of more than {most} tensors", {"most": TENSORS_MAX}
        )
    return entries


ListEntries = Annotated[
    tuple[Annotated[ListEntry, AfterValidator(_sound_ranges)], ...],
    FailFast(),
    Field(strict=False, json_schema_extra={"minItems": 1}),
    AfterValidator(_few),
]


def build_list(entries: Sequence[ListEntry]) -> Model:
    """The model of a list, in its order."""
    ranged = [Ranged(entry.name, entry.same_as, entry) for entry in entries]
    return Model(
        tuple(
            Parameter(
                entry.name,
                entry.rest.shape,
                entry.rest.init or zero(),
                dtype=entry.rest.dtype,
                same_as=entry.same_as,
            )
            for entry in expanded(ranged)
        ),
        library="list",
    )


def list_to_json(entries: Sequence[ListEntry]) -> list[dict[str, Any]]:
    """The shortest JSON that means these entries."""
    return [{"name": entry.name, **_entry_to_json(entry)} for entry in entries]


def build_manifest(entries: Mapping[str, Entry], std: float = INITIALIZER_RANGE) -> Model:
    """The model of a manifest, in the order of the names: that of JSON's keys has no meaning.

    Args:
        entries: by name.
        std: standard deviation of guessed weights.
    """
    ordered = sorted(entries.items(), key=lambda item: item[0].encode())
    silent = {name: entry for name, entry in ordered if entry.init is None and not entry.same_as}
    coded = {_parts(name)[0] for name, entry in ordered if _is_codes(entry)}
    guesses = {
        name: None if _is_beside_codes(name, coded) else guess(name, entry, std)
        for name, entry in silent.items()
    }
    return Model(
        tuple(_parameter(name, entry, guesses.get(name)) for name, entry in ordered),
        guessed=frozenset(silent),
        unsaid=frozenset(name for name, init in guesses.items() if init is None),
        library="manifest",
    )


def _parameter(name: str, entry: Entry, guessed: Scheme | None) -> Parameter:
    init = entry.init or guessed or (zero() if entry.same_as else one())  # for no file, if unsaid
    return Parameter(name, entry.shape, init, dtype=entry.dtype, same_as=entry.same_as)


def guess(name: str, entry: Entry, std: float) -> Scheme | None:
    """How a tensor probably starts; `None` where a guess would be a trap.

    The plain rule: counters of batches, biases and running means are zero; other vectors and
    scalars, which are mostly scales and running variances, are one; matrices and kernels are
    normal. It is silent about integers and BOOL, about masks, and about codes, scales and zero
    points of quantised weights, which no plain number replaces: matrices of less than 16 bits are
    codes, whatever they are called.
    """
    rank = len(entry.shape)
    _, last = _parts(name)
    if last == "num_batches_tracked":
        return zero()
    if entry.dtype is not None and not DTYPES[entry.dtype].is_float:
        return None
    if last.endswith("bias") and rank > _BIAS_RANK:
        return None  # nanoGPT's causal mask has this name
    if last in _ZEROS or last.endswith("bias"):
        return zero()
    if (_TRAP.search(last) and not (last in _SCALES and rank < 2)) or _is_narrow(entry):
        return None
    return one() if rank < 2 else scheme("normal", std=std)


def _parts(name: str) -> tuple[str, str]:
    """The module of a tensor, and what it is called there."""
    module, _, last = name.replace("/", ".").rpartition(".")
    return module, last


def _is_beside_codes(name: str, coded: Container[str]) -> bool:
    """Whether a module has codes, so that what is called by no common name belongs to them.

    Libraries call it anything: `SU`, `tables`, `biases`, `_shift`. A bias stays a bias.
    """
    module, last = _parts(name)
    return module in coded and not last.endswith("bias")


def _is_codes(entry: Entry) -> bool:
    """Whether a matrix holds codes: in narrow floats, or integers that neither count nor mask."""
    if entry.dtype is None or len(entry.shape) < 2:
        return False
    dtype = DTYPES[entry.dtype]
    return _is_narrow(entry) if dtype.is_float else dtype.code not in _COUNTS


_COUNTS = frozenset({"I64", "U64", "BOOL"})
"""Integers of positions, indices and masks, beside which a plain weight may stand."""


def _is_narrow(entry: Entry) -> bool:
    """Whether it has the dtype of codes, and their rank, or that of nothing but scales."""
    if entry.dtype is None:
        return False
    dtype = DTYPES[entry.dtype]
    return dtype.bits < _PLAIN_BITS and (len(entry.shape) > 1 or not dtype.zeros)


_ZEROS = frozenset({"running_mean", "beta", "moving_mean", "mean", "b"})

_SCALES = frozenset({"scale", "layer_scale"})
"""Of norms, such as Flax', and of residual branches."""

_BIAS_RANK = 2
"""A bias has a row for each expert at the most."""

_TRAP = re.compile(
    "scale|scaling_factor|amax|absmax|zero|quant|hadamard|^smooth|^(scb|w_q)$|masks?$",
    re.IGNORECASE,
)

_PLAIN_BITS = 16
"""The fewest in which a matrix is stored as it is."""


def manifest_to_json(entries: Mapping[str, Entry]) -> dict[str, Any]:
    """The shortest JSON that means these entries."""
    spelled: dict[str, Any] = {}
    for name, entry in entries.items():
        full = _entry_to_json(entry)
        spelled[name] = full if len(full) > 1 else full["shape"]
    return spelled


def _entry_to_json(entry: Entry) -> dict[str, Any]:
    full: dict[str, Any] = {"shape": list(entry.shape)}
    if entry.dtype is not None:
        full["dtype"] = entry.dtype
    if entry.init is not None:
        full["init"] = entry.init.canonical()
    if entry.same_as is not None:
        full["same_as"] = entry.same_as
    return full
