"""The files whose digests are written down in tests/golden/files-v1.json."""

from __future__ import annotations

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


_REQUIRED: dict[str, dict[str, Any]] = {
    "constant": {"value": 1},
    "log_uniform": {"low": 0.25, "high": 4.0},
    "wang_init": {"layers": 12},
    "torch_bias": {"fan_in": 64},
    "chrono_bias": {"t_max": 100.0},
    "sparse": {"sparsity": 0.5},
    "literal": {"values": [*range(24)]},
    "parts": {"init": "normal", "parts": [{"box": [[0, 1]], "init": "zeros"}]},
    "chain": {"of": "uniform", "steps": [["exp"]]},
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
