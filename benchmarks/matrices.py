"""In process: orthogonal matrices, on one core and on all, against LAPACK behind torch."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from benchmarks.drawing import SEEDBED, TORCH, worker
from benchmarks.harness import Bench, Measured, Table, Target, ratio, targets_table

SIZES = (1024, 2048)
ROUNDS = 7
_TARGET = 1.5
"""Times torch's time."""


def run(bench: Bench) -> Iterator[Table]:
    """Milliseconds a matrix; targets."""
    rows, targets = [], []
    for cores in dict.fromkeys((1, len(os.sched_getaffinity(0)))):
        on = "1 core" if cores == 1 else f"{cores} cores"
        with worker(cores) as process:
            for size in SIZES[:1] if bench.quick else SIZES:

                def sample(rival: str, size: int = size, cores: int = cores) -> float:
                    return process.submit(seconds, rival, size, cores).result()

                samples = bench.alternate(
                    {rival: lambda rival=rival: sample(rival) for rival in (SEEDBED, TORCH)}, ROUNDS
                )
                own, torch = (Measured.of(s * 1e3 for s in samples[r]) for r in (SEEDBED, TORCH))
                share = own.median / torch.median
                rows.append([f"{size}×{size}, {on}", own.text(), torch.text(), ratio(share)])
                targets.append(
                    Target(
                        f"orthogonal {size}×{size}, {on}",
                        f"≤ {_TARGET}× torch's time",
                        ratio(share),
                        share <= _TARGET,
                    )
                )
    yield Table(
        "Milliseconds an orthogonal matrix",
        ("", SEEDBED, TORCH, "Seedbed / torch"),
        rows,
        "Seedbed in float64 with every sum in a stated order, torch in float32 by LAPACK.",
    )
    yield targets_table(targets)


def seconds(rival: str, size: int, cores: int) -> float:
    """Time of one matrix; runs in the worker."""
    if rival == TORCH:
        import torch

        torch.set_num_threads(cores)
        weight = torch.empty(size, size)
        began = time.perf_counter()
        torch.nn.init.orthogonal_(weight)
        return time.perf_counter() - began
    from seedbed.files import VirtualFile
    from seedbed.files.one_tensor import spec_of_one
    from seedbed.init import MatrixCache

    spec = spec_of_one("orthogonal", f"{size}x{size}", {})
    file = VirtualFile(spec, matrices=MatrixCache(0, cores))
    out = memoryview(bytearray(file.size))
    began = time.perf_counter()
    file.read_into(0, out)
    return time.perf_counter() - began
