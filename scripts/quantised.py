"""Serve published quantised configs, full size, and hold what comes out to the definition.

    python -m scripts.quantised FOLDER

The folder has config.json files as people publish them, one gzipped JSON each, with `config`. Of
each that has a `quantization_config`, and of some with one that was published apart, a service of
its own lists the files, answers HEAD of each, and gives their headers and 50 random ranges. All is
compared with the NumPy definition. Nothing is written; it takes some minutes.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from seedbed.quantization import SHORT
from tests.served_quantised import served
from tests.serving import PATIENCE_SECONDS, serving

RANGES = 50

GPTQ_INT4 = {
    "bits": 4, "checkpoint_format": "gptq", "damp_percent": 0.01, "desc_act": False,
    "group_size": 128, "lm_head": False, "pack_dtype": "int32", "quant_method": "gptq",
    "static_groups": False, "sym": True, "true_sequential": True,
    "meta": {"quantizer": ["gptqmodel:2.2.0"]},
}  # fmt: skip
"""As of Qwen's GPTQ-Int4 checkpoints."""

APART = (
    ("qwen3__Qwen--Qwen3-32B", "gptq-int4", GPTQ_INT4),
    ("llama__meta-llama--Meta-Llama-3.1-70B", "w4a16", SHORT["w4a16"]),
    ("llama__meta-llama--Meta-Llama-3.1-70B", "nvfp4", SHORT["nvfp4"]),
    ("qwen3__Qwen--Qwen3-32B", "awq", SHORT["awq-4bit"]),
    ("qwen3__Qwen--Qwen3-32B", "bnb-nf4", SHORT["bnb-nf4"]),
)
"""Configs that are published unquantised, and what their quantised repositories say beside them."""


def configs(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and configs."""
    found = {
        path.name.removesuffix(".json.gz"): json.loads(gzip.decompress(path.read_bytes()))["config"]
        for path in sorted(folder.glob("*__*.json.gz"))
    }
    for name, kind, quantization in APART:
        if name in found:
            yield f"{name}.{kind}", {**found[name], "quantization_config": dict(quantization)}
    for name, config in found.items():
        if config.get("quantization_config"):
            yield name, config


def main(folder: Path, wanted: str = "") -> None:
    """Say of each what was seen."""
    with TemporaryDirectory() as directory, serving(Path(directory)) as server:
        address = server.url
        with httpx.Client(base_url=address, timeout=PATIENCE_SECONDS) as client:
            for name, config in configs(folder):
                if wanted not in name:
                    continue
                began = time.perf_counter()
                short = name.partition("__")[2].replace("--", "-").lower()
                try:
                    found = served(client, f"published/{short}", config, RANGES)
                except AssertionError as error:
                    print(f"{name}: {str(error)[:300]}", flush=True)
                    continue
                seconds = time.perf_counter() - began
                print(
                    f"{name}: {found.tensors:,} tensors in {found.files} files of "
                    f"{found.size / 1e9:.1f} GB, {found.ranges} ranges, {seconds:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
