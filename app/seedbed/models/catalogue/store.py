"""The data of the catalogue: one compressed file a model type, read when it is asked for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from seedbed.errors import SpecError, respelt

_DATA = files("seedbed.models.catalogue") / "data"


def _read(name: str) -> Any:
    return json.loads(gzip.decompress((_DATA / name).read_bytes()))


@lru_cache(maxsize=1)
def index() -> Mapping[str, Any]:
    """What is known of every type that was studied, and with which library."""
    return _read("index.json.gz")  # type: ignore[no-any-return]


@lru_cache(maxsize=64)
def load(model_type: str) -> Mapping[str, Any]:
    """The data of one model type.

    Raises:
        SpecError: the catalogue has no such type, or none of its classes was solved.
    """
    known = index()["types"]
    if model_type not in known:
        raise SpecError(
            f"{model_type[:100]!r} is not a model type of the catalogue",
            ("model_type",),
            respelt(known, model_type),
        )
    if not any(entry["status"] == "exact" for entry in known[model_type].values()):
        raise SpecError(
            f"{model_type!r} was studied, but none of its classes is fully explained",
            ("model_type",),
        )
    return _read(f"{model_type}.json.gz")  # type: ignore[no-any-return]
