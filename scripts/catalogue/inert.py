"""Whether a field moves anything of what the library saves: by building with and without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.catalogue import comparing, oracle, reading
from scripts.catalogue.limited import Timeout


def moves(kind: str, architecture: str, path: str, value: Any) -> bool:
    """Whether any other value of a field gives other tensors or other initial values.

    Args:
        kind: model type.
        architecture: class.
        path: of the field, with dots.
        value: what it is when it is not given; others are tried beside it.

    A config that the library refuses counts as moved: what it would have been is not known.
    """
    before = _built(kind, architecture, {})
    at = tuple(path.split("."))
    return before is None or any(
        _built(kind, architecture, reading.having({}, at, other)) != before
        for other in (value, *reading.others(value, path))
    )


def _built(kind: str, architecture: str, config: Mapping[str, Any]) -> Any:
    try:
        kept = oracle.truth({**config, "model_type": kind}, architecture)
    except (Exception, Timeout):
        return None
    return comparing.digest(kept.tensors), [(one.init, one.same_as) for one in kept.tensors]
