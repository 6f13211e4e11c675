"""What can be compared: schemes × a network × seeds."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from seedbed.files import CheckpointSpec, Form, Seed
from seedbed.init import Init, Rule, Text
from seedbed.stream import SEED_MAX

Kind = Literal["mlp", "cnn", "residual", "residual_cnn"]
Activation = Literal[
    "relu", "leaky_relu", "tanh", "sigmoid", "erf", "gelu", "silu", "elu", "selu", "softplus",
    "linear",
]  # fmt: skip
Norm = Literal["none", "batch", "layer"]

_FROZEN = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Network(BaseModel):
    """A network without biases, from its input to its last hidden layer.

    Plain kinds repeat weights → norm → activation. Residual kinds have a stem of weights, then
    blocks x + W₂·φ(norm(W₁·φ(norm(x)))). Convolutions are 3×3, stride 1, on a torus: the image's
    edges meet, so that theory needs no border.
    """

    model_config = _FROZEN

    kind: Kind = Field("mlp", description="Dense or convolutional, plain or residual.")
    depth: int = Field(
        10,
        ge=1,
        le=1000,
        description="Layers of weights (plain kinds), or blocks of two after the stem (residual).",
    )
    width: int = Field(128, ge=1, le=4096, description="Units of a layer, or channels.")
    inputs: int | None = Field(
        None, ge=1, le=4096, description="Input features or channels; null: as many as `width`."
    )
    size: int = Field(
        6, ge=3, le=64, description="Height and width of the image; dense kinds ignore it."
    )
    activation: Activation = Field("relu", description="φ.")
    slope: float = Field(
        0.01, description="Negative slope of leaky_relu; the other activations ignore it."
    )
    norm: Norm = Field(
        "none",
        description="batch: over the batch (and the image), by feature; layer: over all features "
        "of an example. Both without scale and shift, ε = 1e-5.",
    )


class SchemeEntry(BaseModel):
    """One scheme for every weight of the network, and rules for those that differ."""

    model_config = _FROZEN

    init: Init = Field(description="Scheme name or object.")
    label: Text | None = Field(None, max_length=100, description="Name in the answer.")
    rules: Annotated[tuple[Rule, ...], Field(strict=False, max_length=32)] = Field(
        (),
        description="Changes by glob on the names of weights, `layers.3.weight`, `stem.weight`, "
        "`blocks.0.1.weight`; the last match wins.",
    )


class SpecEntry(BaseModel):
    """A whole spec that has a tensor for each weight of the network, by its name and shape."""

    model_config = _FROZEN

    spec: CheckpointSpec = Field(
        description="Its own seed is not used; tensors beside the network's weights are not read."
    )
    label: Text | None = Field(None, max_length=100, description="Name in the answer.")


def _spell_out(value: object) -> object:
    """A bare scheme, by name or as an object, as an entry."""
    if isinstance(value, str) or (isinstance(value, dict) and "scheme" in value):
        return {"init": value}
    return value


def _tag(value: object) -> str:
    if isinstance(value, dict):
        return "of_spec" if "spec" in value else "of_scheme"
    return "of_spec" if isinstance(value, SpecEntry) else "of_scheme"


Entry = Annotated[
    Annotated[
        Annotated[SchemeEntry, Tag("of_scheme")] | Annotated[SpecEntry, Tag("of_spec")],
        Discriminator(_tag),
    ],
    BeforeValidator(_spell_out, json_schema_input_type=Init | SchemeEntry | SpecEntry),
]


class CompareRequest(BaseModel):
    """Schemes or whole specs, side by side in one network, over several seeds."""

    model_config = ConfigDict(
        **_FROZEN,
        json_schema_extra={
            "examples": [
                {
                    "schemes": ["he_normal", "he_uniform", "glorot_uniform", "orthogonal"],
                    "network": {"kind": "mlp", "depth": 20, "width": 128, "activation": "relu"},
                    "seeds": 5,
                }
            ]
        },
    )

    schemes: Annotated[tuple[Entry, ...], Field(strict=False, max_length=16)] = Field(
        description="Each a scheme by name or object; or {init, label, rules}; or {spec, label}."
    )
    network: Network = Field(default_factory=Network, description="Where they are measured.")
    seed: Seed = Field(0, description="The first seed.")
    seeds: int = Field(5, ge=1, le=100, description="How many: seed, seed + 1, …")
    batch: int = Field(
        64, ge=2, le=1024, description="Pairs of Gaussian inputs, the same for every scheme."
    )
    correlation: float = Field(
        0.5, ge=-1.0, le=1.0, description="Between the two inputs of a pair, to begin with."
    )

    @field_validator("schemes", mode="after")
    @classmethod
    def _labels(cls, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        if not entries:  # not by min_length, which would also count entries that are wrong
            raise PydanticCustomError("no_schemes", "there is nothing to compare")
        labels = [label_of(entry) for entry in entries]
        for label in labels:
            if labels.count(label) > 1:
                raise PydanticCustomError(
                    "label_twice",
                    "two schemes are called {label}: give one of them a label of its own",
                    {"label": repr(label)},
                )
        return entries

    @model_validator(mode="after")
    def _room_for_seeds(self) -> Self:
        if self.seed + self.seeds - 1 > SEED_MAX:
            raise PydanticCustomError("seed", "seeds end at 2**64 − 1")
        return self


COMPARISON = Form(CompareRequest, "comparison")
"""The body of a comparison."""


def label_of(entry: SchemeEntry | SpecEntry) -> str:
    """What an entry is called in the answer: its label, or the scheme in its shortest form."""
    if entry.label is not None:
        return entry.label
    if isinstance(entry, SpecEntry):
        return f"spec {entry.spec.digest[:8]}"
    canonical = entry.init.canonical()
    if isinstance(canonical, str):
        text = canonical
    else:
        arguments = ", ".join(
            f"{key}={value}" for key, value in canonical.items() if key != "scheme"
        )
        text = f"{entry.init.scheme}({arguments})"
    return f"{text} + {len(entry.rules)} rules" if entry.rules else text
