"""The catalogue that the API answers with, for the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from seedbed.errors import Choices, SpecError
from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.init import LAYERS, SCHEMES, canonical_name
from seedbed.models import preset, presets
from seedbed.web.model_schemas import described_model
from seedbed.web.schemas import describe_scheme

Kind = Literal["schemes", "layers", "models"]


def catalogue_summaries(kind: Kind) -> dict[str, str]:
    """Each name of a kind, with a line about it."""
    if kind == "models":
        return {name: one.summary for name, one in presets().items()}
    classes: Mapping[str, type[BaseModel]] = SCHEMES if kind == "schemes" else LAYERS
    return {name: (cls.__doc__ or "").strip().partition("\n")[0] for name, cls in classes.items()}


def catalogue_entry(kind: Kind, name: str) -> str:
    """An entry as JSON, as `GET /v1/{kind}/{name}` answers.

    Raises:
        SpecError: there is none of this name.
    """
    return _ENTRIES[kind](name)


def _scheme(name: str) -> str:
    try:
        return describe_scheme(SCHEMES[canonical_name(name)]).model_dump_json()
    except PydanticCustomError as error:
        facts = error.context or {}
        near = Choices(facts["allowed"], facts["word"], facts["known"])
        raise SpecError(error.message(), ("name",), near) from error


def _layer(name: str) -> str:
    from seedbed.web.routes.layers import describe_layer  # noqa: PLC0415  it has FastAPI

    if name not in LAYERS:
        raise SpecError(f"there is no layer {name!r}", ("name",), Choices(LAYERS, name))
    return describe_layer(LAYERS[name]).model_dump_json()


def _model(name: str) -> str:
    preset(name)
    spec = CheckpointSpec.model_validate({"model": {"preset": name}})
    return described_model(name, Checkpoint(spec), "", "").decode()


_ENTRIES: dict[Kind, Callable[[str], str]] = {
    "schemes": _scheme,
    "layers": _layer,
    "models": _model,
}
"""How an entry of each kind is described."""
