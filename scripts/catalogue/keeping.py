"""Where the package's data is kept: a file a type, and the index of what is known of all."""

from __future__ import annotations

import fcntl
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedbed.models.catalogue import engine
from seedbed.models.catalogue.store import index, load

DATA = Path(__file__).parents[2] / "app/seedbed/models/catalogue/data"


def packed(value: Any) -> bytes:
    """Data as the package has it: the same bytes for the same value."""
    return gzip.compress(json.dumps(value, separators=(",", ":")).encode(), 9, mtime=0)


def keep(
    kind: str,
    data: Mapping[str, Any] | None,
    states: Mapping[str, Mapping[str, Any]],
    folder: Path = DATA,
) -> None:
    """Write a type's data, if it has any, and what is said of its classes in the index.

    Processes that solve side by side wait for one another.
    """
    with (folder / "index.json.gz").open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if data is not None:
            (folder / f"{kind}.json.gz").write_bytes(packed(data))
        whole = json.loads(gzip.decompress(file.read()))
        whole["types"].setdefault(kind, {}).update(states)
        text = packed(whole)
        file.seek(0)
        file.write(text)
        file.truncate()
    for cache in (load, index, engine._program):
        cache.cache_clear()
