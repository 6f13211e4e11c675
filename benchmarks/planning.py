"""In process: a spec of many tensors parsed, planned, and read in the middle."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import Any

from benchmarks.harness import Measured, Options, Table, Target, alternate, number, targets_table

SIZES = (1_000, 100_000)
ROUNDS = 7
_SECONDS_TARGET = 1.0

EXPERTS, HIDDEN, EXPERT_HIDDEN, VOCABULARY = 256, 4096, 1536, 151_936


def run(options: Options) -> Iterator[Table]:
    """Milliseconds of each step by number of tensors; targets."""
    results = {}
    for size in SIZES:
        # A process for each, so that peak memory is that of one size.
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            results[size] = process.submit(measure, size, options.rounds(ROUNDS)).result()
    steps = list(results[SIZES[0]][0])
    rows = [
        [step, *(Measured.of(s * 1e3 for s in results[n][0][step]).text() for n in SIZES)]
        for step in steps
    ]
    rows += [
        ["body, MB", *(number(results[n][1]["body"] / 1e6) for n in SIZES)],
        ["header, MB", *(number(results[n][1]["header"] / 1e6) for n in SIZES)],
        ["peak memory of the process, MB", *(f"{results[n][1]['peak'] / 1e6:.0f}" for n in SIZES)],
    ]
    yield Table(
        "Milliseconds for a mixture of experts", ("", *(f"{n:,} tensors" for n in SIZES)), rows
    )
    most = results[SIZES[-1]][0]
    took = [Measured.of(most[step]).median for step in (_PLAN, _PARSE)]
    what = f"{SIZES[-1]:,} tensors planned and serialised"
    wanted = f"< {_SECONDS_TARGET:g} s"
    yield targets_table(
        Target(name, wanted, f"{number(s, 2)} s", met=s < _SECONDS_TARGET)
        for name, s in ((what, took[0]), (f"{what}, the JSON body parsed too", sum(took)))
    )


_PARSE, _PLAN = "JSON body → spec", "spec → plan and header"
_READ = "1 KB in the middle"


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


def measure(tensors: int, rounds: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Seconds of each step, and sizes in bytes."""
    import os

    from benchmarks.processes import peak_rss
    from seedbed.files import CheckpointSpec, VirtualFile

    normal = {"scheme": "normal", "std": 0.02}
    listed = [{"init": normal, **t} for t in islice(mixture_of_experts(tensors), tensors)]
    body = json.dumps({"dtype": "BF16", "tensors": listed}).encode()
    del listed
    # A step begins where the one before ended: specs and files remember what they worked out.
    spec = CheckpointSpec.model_validate_json(body)
    file = VirtualFile(spec)

    def parse() -> None:
        nonlocal spec
        spec = CheckpointSpec.model_validate_json(body)

    def plan() -> None:
        nonlocal file
        file = VirtualFile(spec)

    def timed(step: Callable[[], object]) -> float:
        began = time.perf_counter()
        step()
        return time.perf_counter() - began

    def both() -> tuple[float, float, float]:
        middle = file.size // 2
        return timed(parse), timed(plan), timed(lambda: file.read(middle, middle + 1024))

    samples = alternate({"": both}, rounds)[""]
    seconds = {
        step: list(values)
        for step, values in zip((_PARSE, _PLAN, _READ), zip(*samples, strict=True), strict=True)
    }
    sizes = {"body": len(body), "header": len(file.header), "peak": peak_rss(os.getpid())}
    return seconds, sizes
