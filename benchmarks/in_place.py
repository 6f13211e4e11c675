"""A model of 339 million parameters in place, beside what torch does to build and initialise it.

    python -m benchmarks.in_place [--quick]

Each figure is of a process of its own on one core, in processor seconds, since a machine is seldom
quiet; rivals take turns. What the system needs to find memory and clear it is apart from what the
process itself computes: it is the same for both, and some machines take longer for it than others.
The same work is also measured in memory that is there already (`again`), and the finding and
clearing of memory alone (`pages`). Prints JSON. Needs torch.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from typing import Any

import torch
from torch import nn

ROUNDS = 3


class Block(nn.Module):
    """A transformer's matrices."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)


class Model(nn.Module):
    """GPT-2 medium's sizes, initialised as nanoGPT does: torch draws its defaults first."""

    def __init__(self, *, quick: bool = False) -> None:
        super().__init__()
        d, layers, words = (256, 2, 1000) if quick else (1024, 24, 36000)
        self.embed = nn.Embedding(words, d)
        self.blocks = nn.ModuleList(Block(d) for _ in range(layers))
        self.apply(self.start)

    def start(self, module: nn.Module) -> None:
        """What nanoGPT does to a module that it has built."""
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _seconds() -> tuple[float, float]:
    """Of the processor, so far: of this process itself, and of the system for it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime, used.ru_stime


def _since(start: tuple[float, float]) -> dict[str, float]:
    now = _seconds()
    return {"own": now[0] - start[0], "system": now[1] - start[1]}


def _one(what: str, *, quick: bool) -> dict[str, Any]:
    """One measurement, in this process."""
    import seedbed.torch as st

    torch.set_num_threads(1)
    spec = st.record(lambda: Model(quick=quick)).spec
    st.init_(nn.Linear(8, 8), {"tensors": _linear(8)}, threads=1)  # so that kernels are loaded
    if what.startswith("rank"):
        from torch import distributed as dist
        from torch.testing._internal.distributed.fake_pg import FakeStore

        dist.init_process_group("fake", store=FakeStore(), rank=3, world_size=8)
        return _rank(what, spec, quick=quick)
    if what.endswith("again"):
        return _again(what, spec, quick=quick)
    start, before = _seconds(), _peak()
    if what == "torch":
        model = Model(quick=quick)
    elif what == "pages":
        with torch.device("meta"):
            model = Model(quick=quick)
        model.to_empty(device="cpu")
        for p in model.parameters():
            p.data.view(-1)[:: os.sysconf("SC_PAGESIZE") // p.itemsize] = 0
    else:
        with torch.device("meta"):
            model = Model(quick=quick)
        model.to_empty(device="cpu")
        st.init_(model, spec, seed=1, threads=1)
    used = _since(start)
    size = sum(p.nbytes for p in model.parameters())
    return {**used, "bytes": size, "beside": _peak() - before - size}


def _again(what: str, spec: Any, *, quick: bool) -> dict[str, Any]:
    """What torch's build draws, or `init_`, in the memory of a model that is there."""
    import seedbed.torch as st

    model = Model(quick=quick)
    start, before = _seconds(), _peak()
    if what == "torch again":
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm):
                module.reset_parameters()
        model.apply(model.start)
    else:
        st.init_(model, spec, seed=1, threads=1)
    size = sum(p.nbytes for p in model.parameters())
    return {**_since(start), "bytes": size, "beside": _peak() - before}


def _rank(what: str, spec: Any, *, quick: bool) -> dict[str, Any]:
    """What one of eight processes does, of a mesh in which nobody else is."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard
    from torch.distributed.tensor import empty as empty_dtensor

    import seedbed.torch as st

    mesh = init_device_mesh("cpu", (8,))
    with torch.device("meta"):
        model = Model(quick=quick)
    axis = 1 if what == "rank columns" else 0
    before = _peak()
    state = {}
    for name, p in model.named_parameters():
        place = Shard(axis if p.dim() > 1 else 0)
        state[name] = empty_dtensor(*p.shape, device_mesh=mesh, placements=[place])
    for tensor in state.values():
        tensor.to_local().zero_()  # so that pages are there, and not counted as drawing
    start = _seconds()
    done = st.init_(state, spec, seed=1, threads=1)
    used = _since(start)
    return {
        **used, "bytes": done.size_bytes, "beside": _peak() - before - done.size_bytes
    }  # fmt: skip


def _linear(n: int) -> list[dict[str, Any]]:
    return [
        {"name": "weight", "shape": [n, n], "init": "normal"},
        {"name": "bias", "shape": [n], "init": "zeros"},
    ]


def main() -> None:
    """Measure everything, in turns."""
    parser = argparse.ArgumentParser("python -m benchmarks.in_place", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it all work?")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(_one(given.one, quick=given.quick)))
        return
    names = ("torch", "init_", "torch again", "init_ again", "pages", "rank rows", "rank columns")
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(1 if given.quick else ROUNDS):
        for name in names:
            command = [sys.executable, "-m", "benchmarks.in_place", "--one", name]
            command += ["--quick"] * given.quick
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            samples[name].append(json.loads(said))
    own, whole = (
        {name: statistics.median(map(seconds, found)) for name, found in samples.items()}
        for seconds in (lambda one: one["own"], lambda one: one["own"] + one["system"])
    )
    print(
        json.dumps(
            {
                "own_seconds": {name: round(x, 3) for name, x in own.items()},
                "processor_seconds": {name: round(x, 3) for name, x in whole.items()},
                "torch_over_init_": round(whole["torch"] / whole["init_"], 2),
                "torch_over_init_own": round(own["torch"] / own["init_"], 2),
                "torch_over_init_again": round(whole["torch again"] / whole["init_ again"], 2),
                "columns_over_rows": round(own["rank columns"] / own["rank rows"], 2),
                "megabytes": {name: samples[name][0]["bytes"] >> 20 for name in names},
                "megabytes_beside": {
                    name: max(one["beside"] for one in found) >> 20
                    for name, found in samples.items()
                },
                "load": os.getloadavg()[0],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
