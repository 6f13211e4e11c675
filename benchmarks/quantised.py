"""In process: quantised weights beside the same in BF16, and beside torch that draws and quantises.

Nobody ships a generator of quantised weights. What one does instead is to draw BF16 and to quantise
it with the format's own library, compressed-tensors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from benchmarks.drawing import worker
from benchmarks.harness import Bench, Measured, Table, Target, ratio, targets_table
from seedbed.files import Checkpoint, CheckpointSpec, VirtualFile
from seedbed.quantization import SHORT

ROWS, COLUMNS = 4096, 4096
ROUNDS = 9
STD = 0.02

BF16 = "BF16"
FORMATS = (
    "fp8-block", "fp8-dynamic", "w8a8", "w4a16", "nvfp4", "bnb-nf4", "gptq-4bit", "awq-4bit",
    "mxfp4",
)  # fmt: skip
BY_TORCH = ("fp8-dynamic", "w8a8", "w4a16", "nvfp4")
"""Of compressed-tensors."""

_TARGET = 1.3


def run(bench: Bench) -> Iterator[Table]:
    """Nanoseconds an element on one core, as times of BF16's; targets."""
    elements = ROWS * COLUMNS
    with worker(1) as process:

        def sample(function: Callable[[str], float], name: str) -> Callable[[], float]:
            return lambda: process.submit(function, name).result()

        rivals = {name: sample(seconds, name) for name in (BF16, *FORMATS)}
        rivals |= {f"torch {name}": sample(torch_seconds, name) for name in (BF16, *BY_TORCH)}
        samples = bench.alternate(rivals, ROUNDS)
    measured = {
        name: Measured.of(one * 1e9 / elements for one in times) for name, times in samples.items()
    }
    # The least of all rounds, since others on the machine only ever add to a time.
    least = {name: min(times) for name, times in samples.items()}
    rows, targets = [], []
    for name in (BF16, *FORMATS):
        share = least[name] / least[BF16]
        torch = f"torch {name}"
        beside = ratio(least[torch] / least[name]) if torch in least else "–"
        rows.append([name, measured[name].text(), ratio(share), beside])
        if name != BF16:
            targets.append(Target(name, f"≤ {_TARGET}× BF16", ratio(share), share <= _TARGET))
    yield Table(
        "Nanoseconds an element of a normal 4096 × 4096 weight, on one core",
        ("", "ns", "of BF16's time", "torch and compressed-tensors take"),
        rows,
        "The ratios are of the least times. Where torch has no figure, no library that is "
        "installed here quantises to that format on a CPU.",
    )
    yield targets_table(targets)


@lru_cache
def _file(name: str) -> VirtualFile:
    init = {"scheme": "normal", "std": STD}
    tensor: dict[str, Any] = {"name": "layers.0.a.weight", "shape": [ROWS, COLUMNS], "init": init}
    if name == "mxfp4":
        tensor = {"name": "layers.0.experts.down_proj", "shape": [1, COLUMNS, ROWS], "init": init}
    last = {"name": "lm_head.weight", "shape": [1, 1], "init": "ones"}  # which stays as it is
    body: dict[str, Any] = {"tensors": [tensor, last], "dtype": "BF16"}
    if name != BF16:
        body["quantization"] = name
    return Checkpoint(CheckpointSpec.model_validate(body)).whole


def seconds(name: str) -> float:
    """Time of the whole file; runs in the worker."""
    file = _file(name)
    began = time.thread_time()
    for start in range(0, file.size, 1 << 20):  # as it is served
        file.read(start, min(start + (1 << 20), file.size))
    return time.thread_time() - began


def torch_seconds(name: str) -> float:
    """Time of a draw in BF16, and of its compression; runs in the worker."""
    import torch

    weight = torch.empty(ROWS, COLUMNS, dtype=torch.bfloat16)
    began = time.thread_time()
    weight.normal_(0.0, STD)
    if name != BF16:
        _compress(name, weight)
    return time.thread_time() - began


def _compress(name: str, weight: Any) -> None:
    import torch
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme

    config = SHORT[name]
    scheme = QuantizationScheme.model_validate(config["config_groups"]["group_0"])
    size = scheme.weights.group_size
    bound = weight.view(ROWS, -1, size or COLUMNS).abs().amax(-1)
    state = {"weight": weight}
    if name == "nvfp4":
        state["weight_global_scale"] = (448.0 * 6.0 / bound.max().float()).reshape(1)
        state["weight_scale"] = bound / 6.0 * state["weight_global_scale"]
    else:
        last = 448.0 if name.startswith("fp8") else 2.0 ** (scheme.weights.num_bits - 1) - 1
        state["weight_scale"] = (bound / last).to(torch.bfloat16)
    BaseCompressor.get_value_from_registry(config["format"]).compress(state, scheme)
