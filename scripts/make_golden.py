"""Write tests/golden/stream-v1.json: the vectors of stream version 1.

Run once, when the version was frozen, with the NumPy definition. The file is a law from then on:
if a test disagrees with it, the code is wrong, or it is another stream version with a file of its
own. The script refuses to overwrite it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from seedbed.stream import (
    DTYPES,
    Distribution,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
    derive_key,
    get_engine,
)
from seedbed.stream.aesctr import keystream, scratch

TARGET = Path(__file__).parent.parent / "tests" / "golden" / "stream-v1.json"

INFINITY = float("inf")
DISTRIBUTIONS: dict[str, Distribution] = {
    "uniform(-1, 1)": Uniform(-1.0, 1.0),
    "uniform(0, 1)": Uniform(0.0, 1.0),
    "uniform(-0.1, 0.3)": Uniform(-0.1, 0.3),
    "normal(0, 1)": Normal(0.0, 1.0),
    "normal(0.5, 0.02)": Normal(0.5, 0.02),
    "truncated_normal(0, 1, -2, 2)": TruncatedNormal(0.0, 1.0),
    "truncated_normal(0.1, 0.05, -0.5, 3)": TruncatedNormal(0.1, 0.05, -0.5, 3.0),
    "truncated_normal(0, 1, 0, inf)": TruncatedNormal(0.0, 1.0, 0.0, INFINITY),
    "truncated_normal(0, 1, -5, -3.5)": TruncatedNormal(0.0, 1.0, -5.0, -3.5),
    "log_uniform(0.001, 0.1)": LogUniform(0.001, 0.1),
    "log_uniform(1e-06, 1000)": LogUniform(1e-6, 1000.0),
}
KEYS = [
    (0, "weight", "values"),
    (42, "fc.weight", "values"),
    (2**64 - 1, "größe.重み", "values"),
    (42, "fc.weight", "mask"),
]
STARTS = (0, 5, 2**40 + 3)
COUNT = 8


def vectors() -> dict[str, object]:
    """All vectors; bytes as hexadecimal text."""
    engine = get_engine("numpy")
    draws = []
    for text, distribution in DISTRIBUTIONS.items():
        for dtype in DTYPES.values():
            if not dtype.is_float:
                continue
            for start in STARTS:
                out = bytearray(COUNT * dtype.size_bytes)
                engine.draw(42, "fc.weight", distribution, dtype, start, memoryview(out))
                draws.append(
                    {"distribution": text, "dtype": dtype.code, "start": start, "hex": out.hex()}
                )
    words = []
    for seed, name, lane in KEYS:
        key = derive_key(seed, name, lane)
        for start in STARTS:
            block = keystream(key, start, COUNT, scratch(COUNT))
            words.append(
                {
                    "seed": str(seed),
                    "name": name,
                    "lane": lane,
                    "key": key.hex(),
                    "start": start,
                    "words": [f"{int(word):08x}" for word in block],
                }
            )
    return {
        "about": "stream version 1; draws are of seed 42, tensor fc.weight, lane values",
        "count": COUNT,
        "words": words,
        "draws": draws,
    }


if __name__ == "__main__":
    if TARGET.exists():
        sys.exit(f"{TARGET} exists: a released stream version does not change")
    TARGET.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n")
