"""Where models come from: presets by name, config.json by model type.

Families and data are imported when they are first asked for, so that a start does not pay for them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from seedbed.errors import SpecError
from seedbed.init import Limits
from seedbed.models.base import Model, Preset

LIBRARIES: tuple[str, ...] = ("vision", "transformers")
"""Packages beside this module; each has `PRESETS`."""

_LISTED = 8
"""Names that an error proposes."""


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by name, in the order of the catalogue."""
    found: dict[str, Preset] = {}
    for library in LIBRARIES:
        found |= {one.name: one for one in import_module(f"seedbed.models.{library}").PRESETS}
    return found


def preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        SpecError: there is none.
    """
    try:
        return presets()[name]
    except KeyError:
        near = difflib.get_close_matches(name[:100], presets(), _LISTED, 0.4)
        raise SpecError(
            f"there is no preset {name[:100]!r}; GET /v1/models lists them", ("preset",), near
        ) from None


def of_config(config: Mapping[str, Any]) -> Model:
    """The model that a config.json means: by a family written by hand, else by the catalogue.

    A class that a family does not have may still be in the catalogue.

    Raises:
        SpecError: with the field of the config as its path, and what is known.
    """
    hand, catalogue = _module("transformers"), _module("catalogue")
    said = config.get("model_type")
    known = sorted({*hand.FAMILIES, *catalogue.types()})
    if not isinstance(said, str):
        raise SpecError("a config.json names its model_type", ("model_type",), known)
    family = hand.FAMILIES.get(said)
    studied = catalogue.types().get(said)
    here = () if family is None else (None, *family.classes(), *family.former)
    if family is not None and (studied is None or _class_of(config) in here):
        return cast(Model, hand.of_config(config))
    if studied is not None:
        return cast(Model, catalogue.build(config, most=Limits().max_tensors))
    near = difflib.get_close_matches(said[:100], known, _LISTED, 0.4) or known
    raise SpecError(f"there is no model type {said[:100]!r}", ("model_type",), near)


def _class_of(config: Mapping[str, Any]) -> object:
    """The one class that a config names, if it does."""
    named = config.get("architectures")
    return named[0] if isinstance(named, list | tuple) and len(named) == 1 else None


@cache
def _module(name: str) -> ModuleType:
    """A package beside this module."""
    return import_module(f"seedbed.models.{name}")
