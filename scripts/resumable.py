"""Logs of long runs, a line of JSON for each thing done, so that none is done again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def logged(path: Path) -> list[Any]:
    """What a log says, if there is one; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
