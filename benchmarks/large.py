"""A model of 16 GB: every shard of it by curl, beside torch that constructs, fills and saves it."""

from __future__ import annotations

import json
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import processes, servers
from benchmarks.harness import Bench, Table, Target, ratio, targets_table
from benchmarks.processes import Run

PRESET, QUICK_PRESET = "llama-3-8b", "llama-3.2-1b"
QUERY = "dtype=BF16&max_shard_size=5GB"

_TORCH = """\
import json, sys
import torch
from transformers import LlamaConfig, LlamaForCausalLM
torch.set_default_dtype(torch.bfloat16)
model = LlamaForCausalLM(LlamaConfig(**json.loads(sys.argv[1])))
if len(sys.argv) > 2:
    model.save_pretrained(sys.argv[2], max_shard_size="5GB")
"""

CURL, DISK = "curl, every shard, to nowhere", "seedbed generate, to disk"
TORCH, SAVED = "transformers: import, construct, in memory", "… and save_pretrained, to disk"


def run(bench: Bench) -> Iterator[Table]:
    """One table; one round and no repetition, since it takes minutes and most of the memory."""
    preset = QUICK_PRESET if bench.quick else PRESET
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(servers.seedbed(directory))
        rivals = _rivals(preset, server.url, directory)
        runs = {}
        for name, rival in rivals.items():
            runs[name] = rival()
            print(f"{name}: {runs[name]}", flush=True)
        total = _get(f"{server.url}/v1/models/{preset}?{QUERY}")["size_bytes"]
    rows = [
        [
            name,
            f"{one.seconds:.1f}",
            f"{total / one.seconds / 1e9:.2f}",
            f"{one.peak_bytes / 1e6:,.0f}",
        ]
        for name, one in runs.items()
    ]
    title = f"{preset} in BF16, {total / 1e9:.1f} GB in shards of 5 GB"
    yield Table(title, ("", "seconds", "GB/s", "peak MB"), rows)
    yield targets_table(
        [
            Target(
                title,
                f"{CURL}: faster than {TORCH}",
                ratio(runs[TORCH].seconds / runs[CURL].seconds),
                met=runs[CURL].seconds < runs[TORCH].seconds,
            )
        ]
    )


def _get(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url) as response:
        found: dict[str, object] = json.load(response)
        return found


def _rivals(preset: str, url: str, directory: Path) -> dict[str, Callable[[], Run]]:
    described = _get(f"{url}/v1/models/{preset}?{QUERY}")
    links = [
        f"{url}{one['href']}" for one in described["files"] if one["name"].endswith(".safetensors")
    ]
    config = _get(f"{url}/v1/models/{preset}/config.json?{QUERY}")
    given = json.dumps({k: v for k, v in config.items() if k not in ("dtype", "torch_dtype")})
    curl = ["curl", "-sS", "--fail"]
    for link in links:
        curl += ["-o", "/dev/null", link]
    generate = [
        sys.executable, "-m", "seedbed.cli", "generate", preset, "--dtype", "BF16", "--set",
        "max_shard_size=5GB", "-o", f"{directory}/seedbed/", "--force", "-q",
    ]  # fmt: skip
    python = [sys.executable, "-c", _TORCH, given]
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    return {
        CURL: lambda: processes.run(curl),
        DISK: lambda: processes.run(generate),
        TORCH: lambda: processes.run(python, offline),
        SAVED: lambda: processes.run([*python, str(directory / "torch")], offline),
    }
