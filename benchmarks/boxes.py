"""In process: elements that lie apart in the stream, against as many that follow each other."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.drawing import worker
from benchmarks.harness import Bench, Measured, Table, Target, ratio, targets_table
from seedbed.stream import DTYPES, Box, Distribution, Normal, TruncatedNormal, Uniform, get_engine

ELEMENTS = 1 << 20
ROUNDS = 7
STRIDES = (7, 1000, 10**6)
RUNS = (4, 64, 1024)
"""Elements that follow each other, an eighth of a row: a column shard of eight."""

DRAWS: dict[str, tuple[Distribution, str]] = {
    "normal F32": (Normal(0.0, 1.0), "F32"),
    "normal BF16": (Normal(0.0, 1.0), "BF16"),
    "uniform F32": (Uniform(-1.0, 1.0), "F32"),
    "truncated F32": (TruncatedNormal(0.0, 1.0, -2.0, 2.0), "F32"),
    "truncated BF16": (TruncatedNormal(0.0, 1.0, -2.0, 2.0), "BF16"),
}
_APART_TARGET = 6.0
_SHARD_TARGET = 1.3
_SHARD_RUN = 1024


def boxes() -> dict[str, Box]:
    """What is drawn, by what it is called."""
    together = {"together": Box.run(0, ELEMENTS)}
    apart = {f"stride {n:,}": Box(0, (ELEMENTS,), (n,)) for n in STRIDES}
    runs = {f"runs of {n:,}": Box(3 * n, (ELEMENTS // n, n), (8 * n, 1)) for n in RUNS}
    return {**together, **apart, **runs}


def run(bench: Bench) -> Iterator[Table]:
    """Nanoseconds an element on one core, as times of those that follow each other; targets."""
    rows, targets = [], []
    with worker(1) as process:
        for draw in DRAWS:

            def sample(box: str, draw: str = draw) -> Callable[[], float]:
                return lambda: process.submit(seconds, draw, box).result()

            samples = bench.alternate({box: sample(box) for box in boxes()}, ROUNDS)
            measured = {
                box: Measured.of(s * 1e9 / ELEMENTS for s in times)
                for box, times in samples.items()
            }
            alone = measured["together"]
            shares = {box: m.median / alone.median for box, m in measured.items()}
            rows.append([draw, alone.text(), *(ratio(shares[box]) for box in list(boxes())[1:])])
            worst = max(shares.values())
            shard = shares[f"runs of {_SHARD_RUN:,}"]
            targets += [
                Target(f"{draw}, any box", f"≤ {_APART_TARGET}×", ratio(worst),
                       worst <= _APART_TARGET),
                Target(f"{draw}, runs of {_SHARD_RUN:,}", f"≤ {_SHARD_TARGET}×", ratio(shard),
                       shard <= _SHARD_TARGET),
            ]  # fmt: skip
    yield Table(
        "Time of an element by how the elements lie in the stream",
        ("", "together, ns", *list(boxes())[1:]),
        rows,
        "A column of a transposed tensor is elements apart, a column shard is runs.",
    )
    yield targets_table(targets)


def seconds(draw: str, name: str) -> float:
    """Time of one box; runs in the worker."""
    distribution, code = DRAWS[draw]
    box, dtype, engine = boxes()[name], DTYPES[code], get_engine()
    out = np.empty(math.prod(box.extents), dtype.storage).reshape(box.extents)
    engine.draw_box(0, "w", distribution, dtype, box, out)  # so that its pages are there
    began = time.thread_time()  # short enough for others to matter, and all in this thread
    engine.draw_box(0, "w", distribution, dtype, box, out)
    return time.thread_time() - began
