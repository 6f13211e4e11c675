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
    """The model that a config.json means.

    Raises:
        SpecError: with the field of the config as its path.
    """
    return cast(Model, transformers().of_config(config))


@cache
def transformers() -> ModuleType:
    """The families of transformers."""
    return import_module("seedbed.models.transformers")
