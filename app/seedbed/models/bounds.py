"""What a config.json may hold before anything is made of it: sound sizes, and not too much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedbed.errors import SpecError
from seedbed.models.config import INERT, INTEGER_MAX

MAX_FIELD_VALUES = 4096
"""Of one field: real ones have a few hundred, the layers that a quantisation leaves out."""

MAX_FIELD_CHARS = 65_536
"""Of one field's text, its keys included: real ones have a few thousand."""

_LABELS = frozenset({"id2label", "label2id"})
"""Which hold what they must, 21,841 classes of ImageNet, and are read by their number alone."""


def require_bounded(config: Mapping[str, Any]) -> None:
    """Refuse what would take long for nothing, and numbers that no expression is made for.

    Raises:
        SpecError: a number is too large, or a field has too much in it; and where.
    """
    for name, value in config.items():
        values = chars = 0
        todo = [(name, value)]
        while todo:
            key, item = todo.pop()
            values += 1
            if key in _LABELS:
                continue
            if isinstance(item, Mapping):
                todo += item.items()
                chars += sum(len(str(key)) for key in item)
            elif isinstance(item, list | tuple):
                todo += [("", part) for part in item]
            elif isinstance(item, str):
                chars += len(item)
            elif isinstance(item, int) and abs(item) > INTEGER_MAX and name not in INERT:
                raise SpecError(f"must be at most {INTEGER_MAX:,}, in either direction", (name,))
        _require("values", values, MAX_FIELD_VALUES, name)
        _require("characters of text", chars, MAX_FIELD_CHARS, name)


def _require(unit: str, actual: int, most: int, name: str) -> None:
    if actual > most:
        raise SpecError(f"{actual:,} {unit}; no field of a config.json has over {most:,}", (name,))
