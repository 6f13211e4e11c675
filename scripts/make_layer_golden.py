"""Write tests/golden/layers-v1.json: digests of files of layers, of stream version 1.

Every layer's example with every framework's names and defaults, drawn by the NumPy definition. What
is in the file is a law, as for `make_file_golden.py`: the script adds what is missing (a new layer)
and refuses to change what is there.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from seedbed.errors import SpecError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.init import LAYERS, Framework
from seedbed.stream import get_engine

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "layers-v1.json"

FRAMEWORKS: tuple[str, ...] = get_args(Framework)


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """A key and a spec for each."""
    for kind, layer in LAYERS.items():
        for framework in FRAMEWORKS:
            for defaults in FRAMEWORKS:
                one = {"type": kind, "name": "x", **layer.example, "defaults": defaults}
                spec = {"seed": 42, "framework": framework, "layers": [one]}
                yield f"{kind}, {framework}, {defaults}", spec


def digest(spec: dict[str, Any]) -> str | None:
    """SHA-256 of a whole file; none if the framework has no such layer."""
    try:
        file = VirtualFile(CheckpointSpec.model_validate(spec), engine=get_engine("numpy"))
    except SpecError:
        return None
    return hashlib.sha256(file.read(0, file.size)).hexdigest()


def main() -> None:
    """Add entries; say so."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    added = 0
    for key, spec in cases():
        made = digest(spec)
        if made is None:
            continue
        added += key not in golden
        if golden.setdefault(key, made) != made:
            sys.exit(f"{key} would change: a released stream version does not")
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    print(f"{added} entries added to {GOLDEN}")


if __name__ == "__main__":
    main()
