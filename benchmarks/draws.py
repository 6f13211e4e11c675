"""In process: one tensor, on one core and on all."""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.drawing import (
    GLOROT_UNIFORM,
    HE_NORMAL,
    HE_UNIFORM,
    JAX,
    KERAS,
    NUMPY,
    SEEDBED,
    TORCH,
    TRUNCATED,
    TRUNCATED_FAR,
    can_draw,
    in_worker,
    peak_bytes,
    worker,
)
from benchmarks.harness import Bench, Measured, Table, Target, ratio, targets_table

RIVALS = (SEEDBED, TORCH, JAX, KERAS, *NUMPY)
SCHEMES = (HE_NORMAL, HE_UNIFORM, GLOROT_UNIFORM, TRUNCATED, TRUNCATED_FAR)
DTYPES = ("F32", "BF16", "F16")
ROUNDS = 7
SIZES = (18, 20, 22, 25)
"""Of tensors, as powers of two: from a small layer's to one that no cache holds."""

_TARGETS = (
    (HE_NORMAL, TORCH, 5),
    (HE_NORMAL, JAX, 12),
    (HE_NORMAL, KERAS, 12),
    (HE_UNIFORM, TORCH, 6),
    (TRUNCATED, TORCH, 30),
    (TRUNCATED, JAX, 10),
)
"""Scheme, rival, how many times as fast in F32."""

_NARROW_TARGET = 1.15

Case = tuple[str, str]
"""Scheme and dtype."""


def run(bench: Bench) -> Iterator[Table]:
    """Time an element for each number of cores, peak memory, targets."""
    elements = 1 << (22 if bench.quick else 25)
    cores = len(os.sched_getaffinity(0))
    targets: list[Target] = []
    for count in dict.fromkeys((1, cores)):
        measured = _measure(bench, count, elements)
        yield _table(count, elements, measured)
        targets += _judge(count, measured)
    yield _by_size(bench, cores, elements)
    yield _memory(elements)
    yield targets_table(targets)


def _measure(bench: Bench, cores: int, elements: int) -> dict[Case, dict[str, Measured]]:
    """Nanoseconds an element."""
    measured = {}
    with worker(cores) as process:
        for scheme in SCHEMES:
            for dtype in DTYPES:
                rivals = {
                    rival: in_worker(process, rival, scheme, dtype, elements)
                    for rival in RIVALS
                    if can_draw(rival, scheme)
                }
                samples = bench.alternate(rivals, ROUNDS)
                measured[scheme, dtype] = {
                    rival: Measured.of(s * 1e9 / elements for s in values)
                    for rival, values in samples.items()
                }
    return measured


def _table(cores: int, elements: int, measured: dict[Case, dict[str, Measured]]) -> Table:
    rows = [[f"{scheme} {dtype}", *_cells(m)] for (scheme, dtype), m in measured.items()]
    title = f"Nanoseconds an element on {_on(cores)}, {elements:,} elements"
    return Table(title, ("", *RIVALS), rows, _NOTE)


_NOTE = "In brackets how many times Seedbed's time it is."


def _cells(measured: dict[str, Measured]) -> list[str]:
    """A row's figures; those rivals are the last that may lack a scheme."""
    own = measured[SEEDBED].median
    cells = [
        m.text(2) if rival == SEEDBED else f"{m.text(2)} ({ratio(m.median / own)})"
        for rival, m in measured.items()
    ]
    return cells + ["–"] * (len(RIVALS) - len(cells))


def _on(cores: int) -> str:
    return "1 core" if cores == 1 else f"{cores} cores"


def _by_size(bench: Bench, cores: int, most: int) -> Table:
    """The same for smaller tensors, where caches and calls weigh differently."""
    rows = []
    for scheme in (HE_NORMAL, HE_UNIFORM):
        for count in dict.fromkeys((1, cores)):
            with worker(count) as process:
                for size in (1 << power for power in SIZES if 1 << power <= most):
                    repeats = max(1, (1 << 22) // size)
                    rivals = {
                        rival: in_worker(process, rival, scheme, "F32", size, repeats)
                        for rival in RIVALS
                    }
                    samples = bench.alternate(rivals, ROUNDS)
                    measured = {
                        rival: Measured.of(s * 1e9 / size for s in values)
                        for rival, values in samples.items()
                    }
                    rows.append([f"{scheme}, {size:,}, {_on(count)}", *_cells(measured)])
    return Table(
        "Nanoseconds an element of F32 by the size of the tensor", ("", *RIVALS), rows, _NOTE
    )


def _memory(elements: int) -> Table:
    """Peak memory of a process that draws one tensor and does nothing else."""
    rows = []
    for rival in RIVALS:
        with worker(1) as process:
            peak = process.submit(peak_bytes, rival, HE_NORMAL, "F32", elements).result()
        rows.append([rival, f"{peak / 1e6:,.0f}", f"{(peak - 4 * elements) / 1e6:,.0f}"])
    return Table(
        f"Peak memory of a process that draws he_normal F32, {elements:,} elements, MB",
        ("", "in all", "beside the tensor"),
        rows,
    )


def _judge(cores: int, measured: dict[Case, dict[str, Measured]]) -> Iterator[Target]:
    on = _on(cores)
    for scheme, rival, wanted in _TARGETS:
        case = measured[scheme, "F32"]
        times = case[rival].median / case[SEEDBED].median
        yield Target(
            f"{scheme} F32, {on}", f"≥ {wanted}× {rival}", ratio(times), met=times >= wanted
        )
    for dtype in ("BF16", "F16"):
        share = (
            measured[HE_NORMAL, dtype][SEEDBED].median / measured[HE_NORMAL, "F32"][SEEDBED].median
        )
        yield Target(
            f"he_normal {dtype}, {on}",
            f"≤ {_NARROW_TARGET} of F32's time",
            f"{share:.2f}",
            met=share <= _NARROW_TARGET,
        )
