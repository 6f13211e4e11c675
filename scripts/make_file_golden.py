"""Write tests/golden/files-v1.json: digests of whole files of stream version 1.

Drawn by the NumPy definition. What is in the file is a law: if a test disagrees with it, the code
is wrong, or it is another stream version with a file of its own. The script adds what is missing (a
new scheme) and refuses to change what is there.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from seedbed.errors import SpecError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.stream import DTYPES, get_engine
from tests.files.golden import GOLDEN, SEEDS, body_of, defaults, shapes_of
from tests.files.suite import virtual_file, whole_file

VARIANTS: tuple[dict[str, Any], ...] = (
    {"scheme": "constant", "value": -0.1},
    {"scheme": "constant", "value": -0.0},
    {"scheme": "uniform", "low": -0.1, "high": 0.3},
    {"scheme": "normal", "mean": 0.5, "std": 0.02},
    {"scheme": "truncated_normal", "mean": 0.1, "std": 0.05, "lower": None, "upper": 1.5},
    {"scheme": "truncated_normal", "std": 0.5, "bounds": "absolute"},
    {"scheme": "variance_scaling", "scale": 2.0, "mode": "fan_avg", "distribution": "uniform"},
    {"scheme": "variance_scaling", "mode": "fan_geo_avg", "distribution": "normal"},
    {"scheme": "variance_scaling", "distribution": "normal", "convention": "keras"},
    {"scheme": "he_normal", "convention": "keras"},
    {"scheme": "he_normal", "mode": "fan_out", "nonlinearity": "relu"},
    {"scheme": "he_uniform", "a": 2.23606797749979},
    {"scheme": "he_uniform", "nonlinearity": "selu"},
    {"scheme": "glorot_uniform", "gain": 1.6666666666666667},
    {"scheme": "glorot_normal", "convention": "jax"},
    {"scheme": "lecun_normal", "convention": "jax"},
    {"scheme": "he_uniform", "convention": "mlx"},
    {"scheme": "he_normal", "convention": "burn", "gain": 2.0},
    {"scheme": "siren", "omega": 7.0},
    {"scheme": "wang_init", "layers": 3, "width": 100},
    {"scheme": "mamba_dt_bias", "dt_min": 0.01, "dt_max": 3.0, "floor": 0.5},
    {"scheme": "chrono_bias", "t_max": 9.5, "gate": "input"},
    {"scheme": "lru_nu_log", "r_min": 0.3, "r_max": 0.9},
    {"scheme": "lru_theta_log", "max_phase": 0.31},
    {"scheme": "rglru", "r_min": 0.5, "r_max": 0.75},
    {"scheme": "orthogonal", "gain": 0.3},
    {"scheme": "delta_orthogonal", "gain": 2.5},
    {"scheme": "looks_linear", "part": "first"},
    {"scheme": "looks_linear", "part": "last", "gain": 1.5},
    {"scheme": "sparse", "sparsity": 0.31, "std": 0.7, "per": "row"},
    {"scheme": "unit_norm_rows", "gain": 3.0},
    {"scheme": "lsuv_gaussian", "second_moment": 0.5},
    {"scheme": "eye", "gain": -1.1},
    {"scheme": "dirac", "groups": 2},
    {"scheme": "idinit", "tau": 0.7},
    {"scheme": "hadamard", "gain": 0.9},
    {"scheme": "sinusoidal", "layout": "concatenated", "base": 500.0},
    {"scheme": "rope_inv_freq", "theta": 500000.0},
    {"scheme": "constant", "value": "-Infinity"},
    {"scheme": "constant", "value": "NaN"},
    {"scheme": "literal", "values": [0.1, "NaN", "Infinity", -0.0, 2, "-Infinity", *[1e-3] * 18]},
    {"scheme": "arange", "start": -1.5, "step": 0.3, "axis": 0},
    {
        "scheme": "parts",
        "init": "orthogonal",
        "parts": [
            {"box": [None, [1, 3]], "init": "he_normal"},
            {"box": [[1, 3], [0, 1]], "init": "lru_theta_log"},
            {"box": [[3, 5], [3, 5]], "init": "orthogonal"},
        ],
    },
    {
        "scheme": "parts",
        "parts": [
            {"box": [[0, 2]], "init": "normal"},
            {"box": [[2, 6]], "init": "eye"},
        ],
    },
    {
        "scheme": "chain",
        "of": {"scheme": "uniform", "low": 0.0, "high": 1.0},
        "steps": [["log"], ["neg"], ["log"], ["neg"]],
    },
    {"scheme": "chain", "of": "normal", "steps": [["exp"]]},
    {
        "scheme": "chain",
        "of": "he_normal",
        "steps": [
            ["square"],
            ["add", 0.5],
            ["sqrt"],
            ["reciprocal"],
            ["clamp", None, 0.9],
            ["inverse_softplus"],
            ["sin"],
            ["abs"],
            ["expm1"],
            ["mul", -2.0],
            ["cos"],
        ],
    },
)
"""Parameters beside the defaults, in F32 and BF16."""

RANGES = (
    ("I64", -(2**63), 2**63),
    ("U64", 0, 2**64),
    ("U64", 1, 2**63 + 2),
    ("I32", -(2**31), 2**31),
    ("U8", 0, 256),
    ("I8", -5, 6),
    ("BOOL", 0, 2),
    ("F32", -(2**60), 2**61),
)
"""Of random integers, in a dtype that holds them."""


def cases() -> Iterator[tuple[str | dict[str, Any], str]]:
    """(init, dtype) of every file: each scheme in each dtype that can hold it, and the variants."""
    for init in defaults():
        for code in DTYPES:
            yield init, code
    for variant in VARIANTS:
        for code in ("F32", "BF16"):
            yield variant, code
    for code, low, high in RANGES:
        yield {"scheme": "random_integers", "low": low, "high": high}, code


def entry(init: str | dict[str, Any], code: str, seed: int) -> dict[str, Any] | None:
    """What is written down of one file; none if the dtype cannot hold the scheme."""
    shapes = [shape for shape in shapes_of(init) if _takes(init, shape)]
    spec = CheckpointSpec.model_validate(body_of(init, code, shapes, seed))
    try:
        file = VirtualFile(spec, engine=get_engine("numpy"))
    except SpecError:
        return None
    return {
        "init": init,
        "dtype": code,
        "shapes": shapes,
        "seed": str(seed),
        "spec_sha256": spec.digest,
        "etag": file.etag,
        "sha256": hashlib.sha256(file.read(0, file.size)).hexdigest(),
    }


def _takes(init: str | dict[str, Any], shape: list[int]) -> bool:
    """Whether a scheme takes a shape at all."""
    spec = CheckpointSpec.model_validate(body_of(init, "F32", [shape], 0))
    try:
        VirtualFile(spec)
    except SpecError:
        return False
    return True


def key(found: dict[str, Any]) -> str:
    """Which file an entry is about."""
    return json.dumps([found["init"], found["dtype"], found["seed"]], sort_keys=True)


def main() -> None:
    """Add entries; say so."""
    if GOLDEN.exists():
        golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    else:
        golden = {
            "about": "SHA-256 of whole files of stream version 1; scripts/make_file_golden.py",
            "suite": {
                "size": virtual_file().size,
                "sha256": hashlib.sha256(whole_file()).hexdigest(),
            },
            "files": [],
        }
    there = {key(found): found for found in golden["files"]}
    added = 0
    for init, code in cases():
        for seed in SEEDS:
            made = entry(init, code, seed)
            if made is None:
                continue
            if there.setdefault(key(made), made) != made:
                sys.exit(f"{key(made)} would change: a released stream version does not")
            if there[key(made)] is made:
                golden["files"].append(made)
                added += 1
    lines = ",\n  ".join(json.dumps(found, ensure_ascii=False) for found in golden["files"])
    head = json.dumps({k: v for k, v in golden.items() if k != "files"}, ensure_ascii=False)
    GOLDEN.write_text(f'{head[:-1]},\n "files": [\n  {lines}\n]}}\n', encoding="utf-8")
    print(f"{added} entries added to {GOLDEN}")


if __name__ == "__main__":
    main()
