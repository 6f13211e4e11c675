"""In process: a spec of many tensors parsed, planned, and read in the middle."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import islice, pairwise
from multiprocessing import get_context
from typing import Any, NamedTuple

from benchmarks.harness import Bench, Measured, Table, Target, number, targets_table
from benchmarks.processes import peak_rss

SIZES = (1_000, 100_000)
ROUNDS = 7
_SECONDS_TARGET = 1.0

EXPERTS, HIDDEN, EXPERT_HIDDEN, VOCABULARY = 256, 4096, 1536, 151_936


class Sample(NamedTuple):
    """Times of the steps, and what they came to."""

    parse_ms: float
    plan_ms: float
    read_ms: float
    body_bytes: int
    header_bytes: int
    peak_bytes: int


def run(bench: Bench) -> Iterator[Table]:
    """Milliseconds of each step by number of tensors; targets."""
    measured: dict[int, list[Sample]] = {}
    for size in SIZES:
        # A process for each, so that peak memory is that of one size.
        with ProcessPoolExecutor(1, get_context("spawn")) as process:

            def sample(process: ProcessPoolExecutor = process, size: int = size) -> Sample:
                return process.submit(measure, size).result()

            measured[size] = bench.alternate({"": sample}, ROUNDS)[""]
    rows = [
        [step, *(_over(measured[size], field).text() for size in SIZES)]
        for step, field in (
            ("JSON body → spec", "parse_ms"),
            ("spec → plan and header", "plan_ms"),
            ("1 KB in the middle", "read_ms"),
        )
    ]
    rows += [
        [what, *(number(_over(measured[size], field).median / 1e6) for size in SIZES)]
        for what, field in (
            ("body, MB", "body_bytes"),
            ("header, MB", "header_bytes"),
            ("peak memory of the process, MB", "peak_bytes"),
        )
    ]
    yield Table(
        "Milliseconds for a mixture of experts", ("", *(f"{n:,} tensors" for n in SIZES)), rows
    )
    most = measured[SIZES[-1]]
    plan, parse = (_over(most, field).median / 1e3 for field in ("plan_ms", "parse_ms"))
    what = f"{SIZES[-1]:,} tensors planned and serialised"
    wanted = f"< {_SECONDS_TARGET:g} s"
    yield targets_table(
        Target(name, wanted, f"{number(s, 2)} s", met=s < _SECONDS_TARGET)
        for name, s in ((what, plan), (f"{what}, the JSON body parsed too", plan + parse))
    )


def _over(samples: list[Sample], field: str) -> Measured:
    return Measured.of(getattr(sample, field) for sample in samples)


def mixture_of_experts(tensors: int) -> Iterator[dict[str, Any]]:
    """The first tensors of a model with 256 experts a layer, and as many layers as it takes."""
    yield {"name": "model.embed_tokens.weight", "shape": [VOCABULARY, HIDDEN]}
    for layer in range(tensors):
        at = f"model.layers.{layer}"
        for part in ("q", "k", "v", "o"):
            yield {"name": f"{at}.self_attn.{part}_proj.weight", "shape": [HIDDEN, HIDDEN]}
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield {"name": f"{at}.{norm}.weight", "shape": [HIDDEN], "init": "ones"}
        yield {"name": f"{at}.mlp.gate.weight", "shape": [EXPERTS, HIDDEN]}
        for expert in range(EXPERTS):
            for part, shape in (
                ("gate", [EXPERT_HIDDEN, HIDDEN]),
                ("up", [EXPERT_HIDDEN, HIDDEN]),
                ("down", [HIDDEN, EXPERT_HIDDEN]),
            ):
                yield {"name": f"{at}.mlp.experts.{expert}.{part}_proj.weight", "shape": shape}


def measure(tensors: int) -> Sample:
    """Parse, plan and read once."""
    from seedbed.files import CheckpointSpec, VirtualFile

    body = _body(tensors)
    times = [time.perf_counter()]
    spec = CheckpointSpec.model_validate_json(body)
    times.append(time.perf_counter())
    file = VirtualFile(spec)
    times.append(time.perf_counter())
    file.read(file.size // 2, file.size // 2 + 1024)
    times.append(time.perf_counter())
    steps = [(after - before) * 1e3 for before, after in pairwise(times)]
    return Sample(*steps, len(body), len(file.header), peak_rss(os.getpid()))


@lru_cache(1)
def _body(tensors: int) -> bytes:
    normal = {"scheme": "normal", "std": 0.02}
    listed = [{"init": normal, **t} for t in islice(mixture_of_experts(tensors), tensors)]
    return json.dumps({"dtype": "BF16", "tensors": listed}).encode()
