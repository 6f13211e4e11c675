"""The files whose digests are written down in tests/golden/files-v1.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seedbed.init import SCHEMES

GOLDEN = Path(__file__).parent.parent / "golden" / "files-v1.json"

SEEDS = (42, 2**64 - 1)

SHAPES: list[list[int]] = [[], [7], [3, 5], [4, 3, 3, 3], [0, 2]]
"""One tensor of each shape that the scheme takes."""

_FIRST = (
    "zeros", "ones", "constant", "uniform", "normal", "truncated_normal", "log_uniform",
    "variance_scaling", "he_normal", "he_uniform", "glorot_normal", "glorot_uniform",
    "lecun_normal", "lecun_uniform",
)  # fmt: skip
"""Schemes whose files were written down before there were any of matrices."""


def shapes_of(init: Any) -> list[list[int]]:
    """The shapes of a scheme's golden file, if it takes them; matrices of even sides for some."""
    name = init if isinstance(init, str) else init["scheme"]
    return SHAPES if name in _FIRST else [*SHAPES, [6, 4], [38, 70], [5, 5, 2, 4]]


def defaults() -> list[Any]:
    """Every scheme, with no more parameters than it needs: as was written down, or its example."""
    written: dict[str, Any] = {}
    for entry in json.loads(GOLDEN.read_text(encoding="utf-8"))["files"]:
        init = entry["init"]
        written.setdefault(init if isinstance(init, str) else init["scheme"], init)
    return [
        written.get(name, {"scheme": name, **scheme.example} if scheme.example else name)
        for name, scheme in SCHEMES.items()
    ]


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
