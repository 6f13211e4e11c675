"""Write tests/golden/stream-v1*.json: the vectors and digests of stream version 1.

Run once, when the version was frozen, with the NumPy definition. The files are a law from then on:
if a test disagrees with one, the code is wrong, or it is another stream version with files of its
own. The script writes what is missing and refuses to overwrite what is there.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import get_args

from seedbed.stream import (
    DTYPES,
    NUMPY,
    Distribution,
    Dtype,
    FloatCode,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
    derive_key,
    get_engine,
)
from seedbed.stream.aesctr import keystream, scratch

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
ABOUT = "draws are of seed 42, tensor fc.weight, lane values"

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
FLOATS = tuple(DTYPES[code] for code in get_args(FloatCode))

VECTOR_STARTS = (0, 5, 2**40 + 3)
VECTOR_COUNT = 8
DIGEST_STARTS = (0, 2**33 + 1)
DIGEST_COUNT = 100_003


def drawn(distribution: Distribution, dtype: Dtype, start: int, count: int) -> bytes:
    """Elements by the definition."""
    out = bytearray(count * dtype.size_bytes)
    get_engine(NUMPY).draw(42, "fc.weight", distribution, dtype, start, memoryview(out))
    return bytes(out)


def in_range(distribution: Distribution, dtype: Dtype) -> bool:
    """Whether every draw is a value of the dtype; no file has the others."""
    low, high = distribution.reach
    return dtype.lowest <= low and high <= dtype.highest


def vectors() -> dict[str, object]:
    """A few elements of everything; bytes as hexadecimal text."""
    draws = [
        {
            "distribution": text,
            "dtype": dtype.code,
            "start": start,
            "hex": drawn(distribution, dtype, start, VECTOR_COUNT).hex(),
        }
        for text, distribution in DISTRIBUTIONS.items()
        for dtype in FLOATS
        for start in VECTOR_STARTS
    ]
    words = []
    for seed, name, lane in KEYS:
        key = derive_key(seed, name, lane)
        for start in VECTOR_STARTS:
            block = keystream(key, start, VECTOR_COUNT, scratch(VECTOR_COUNT))
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
        "about": f"stream version 1; {ABOUT}",
        "count": VECTOR_COUNT,
        "words": words,
        "draws": draws,
    }


def digests() -> dict[str, object]:
    """SHA-256 of longer runs, of every distribution in every dtype that can hold it."""
    runs = [
        {
            "distribution": text,
            "dtype": dtype.code,
            "start": start,
            "sha256": hashlib.sha256(drawn(distribution, dtype, start, DIGEST_COUNT)).hexdigest(),
        }
        for text, distribution in DISTRIBUTIONS.items()
        for dtype in FLOATS
        if in_range(distribution, dtype)
        for start in DIGEST_STARTS
    ]
    return {
        "about": f"stream version 1, SHA-256 of runs of elements; {ABOUT}",
        "count": DIGEST_COUNT,
        "runs": runs,
    }


MAKERS = {"stream-v1.json": vectors, "stream-v1-digests.json": digests}
"""What each golden file holds."""


def main() -> None:
    """Write the files that are not there."""
    missing = [name for name in MAKERS if not (GOLDEN / name).exists()]
    for name in missing:
        text = json.dumps(MAKERS[name](), indent=1, ensure_ascii=False)
        (GOLDEN / name).write_text(f"{text}\n", encoding="utf-8")
        print(f"written: {GOLDEN / name}")
    if not missing:
        sys.exit(f"{', '.join(MAKERS)} exist: a released stream version does not change")


if __name__ == "__main__":
    main()
