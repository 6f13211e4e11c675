"""The files whose digests are written down in tests/golden/files-v1.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seedbed.init import SCHEMES

GOLDEN = Path(__file__).parent.parent / "golden" / "files-v1.json"

SEEDS = (42, 2**64 - 1)

SHAPES: list[list[int]] = [[], [7], [3, 5], [4, 3, 3, 3], [0, 2]]
"""One tensor of each shape that the scheme takes."""


_REQUIRED: dict[str, dict[str, Any]] = {
    "constant": {"value": 1},
    "log_uniform": {"low": 0.25, "high": 4.0},
}
"""Parameters that have no default."""


def defaults() -> list[Any]:
    """Every scheme, with no more parameters than it needs."""
    return [{"scheme": name, **_REQUIRED[name]} if name in _REQUIRED else name for name in SCHEMES]


def body_of(init: Any, dtype: str, shapes: list[list[int]], seed: int) -> dict[str, Any]:
    """The spec of a golden file, as JSON."""
    return {
        "seed": seed,
        "tensors": [
            {
                "name": "x".join(map(str, shape)) or "scalar",
                "shape": shape,
                "init": init,
                "dtype": dtype,
            }
            for shape in shapes
        ],
    }
