"""Where models come from: presets by name, config.json by model type.

Families and data are imported when they are first asked for, so that a start does not pay for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from seedbed.errors import Choices, SpecError, respelt
from seedbed.init import Limits
from seedbed.models.base import Model, Preset
from seedbed.models.bounds import require_bounded

LIBRARIES: tuple[str, ...] = ("vision", "transformers")
"""Packages beside this module; each has `PRESETS`."""


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by name, in the order of the catalogue."""
    by_name: dict[str, Preset] = {}
    for library in LIBRARIES:
        by_name |= {
            preset.name: preset for preset in import_module(f"seedbed.models.{library}").PRESETS
        }
    return by_name


def catalogue_types() -> Mapping[str, Any]:
    """The model types of the catalogue, with what is known of each."""
    types: Mapping[str, Any] = _module("catalogue").types()
    return types


def preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        SpecError: there is none.
    """
    try:
        return presets()[name]
    except KeyError:
        raise SpecError(
            f"there is no preset {name[:100]!r} (GET /v1/models lists all)",
            ("preset",),
            Choices(presets(), name[:100]),
        ) from None


def of_config(config: Mapping[str, Any]) -> Model:
    """The model that a config.json means: by a family written by hand, else by the catalogue.

    A class that a family does not have may still be in the catalogue.

    Raises:
        SpecError: with the field of the config as its path, and what is known.
    """
    require_bounded(config)
    hand, catalogue = _module("transformers"), _module("catalogue")
    said = config.get("model_type")
    known = sorted({*hand.FAMILIES, *catalogue.types()})
    if not isinstance(said, str):
        _refuse_of_others(config)
        raise SpecError("a config.json names its model_type", ("model_type",), known)
    family = hand.FAMILIES.get(said)
    studied = catalogue.types().get(said)
    here = () if family is None else (None, *family.classes(), *family.former)
    if family is not None and (studied is None or _class_of(config) in here):
        return cast(Model, hand.of_config(config))
    if studied is not None:
        return cast(Model, catalogue.build(config, most=Limits().max_tensors))
    raise SpecError(
        f"there is no model type {said[:100]!r} (docs/catalogue.md has all); "
        + (BY_CODE if config.get("auto_map") else BY_RECORDING),
        ("model_type",),
        respelt(known, said),
    )


BY_RECORDING = (
    "what transformers builds, `seedbed record config.json` makes a spec of, and a service with "
    "the extra seedbed[transformers] records itself"
)
BY_CODE = (
    "record the function that builds the model (`seedbed record my.package:build`), or send the "
    "shapes of its tensors by name, or the header of its safetensors file, as a manifest"
)
"""What to do about a config that nothing here knows: docs/recording.md."""


_OTHER_CONFIGS: Mapping[str, str] = {
    "_diffusers_version": "diffusers",
    "_class_name": "diffusers",
    "peft_type": "PEFT",
    "pretrained_cfg": "timm",
    "architecture": "timm",
    "class_name": "Keras",
    "model_cfg": "open_clip",
}
"""Fields that configs of other libraries have, and no config of transformers."""


def _refuse_of_others(config: Mapping[str, Any]) -> None:
    """Say of which library a config is that has no model_type.

    Raises:
        SpecError: it is that of another library than transformers.
    """
    for field, library in _OTHER_CONFIGS.items():
        if field in config:
            raise SpecError(
                f"this is a config of {library}, since its {field!r} is none of transformers': "
                f"{BY_CODE}",
                (field,),
            )


def _class_of(config: Mapping[str, Any]) -> object:
    """The one class that a config names, if it does."""
    named = config.get("architectures")
    return named[0] if isinstance(named, list | tuple) and len(named) == 1 else None


@cache
def _module(name: str) -> ModuleType:
    """A package beside this module."""
    return import_module(f"seedbed.models.{name}")
