"""Groups of processes that hold one network in several ways, and say what each then has.

    python -m tests.interop.recording.ranks spec.json URL FOLDER

Prints JSON: for each way of each group the SHA-256 of every full tensor, how far what torch itself
draws there is from one process, and losses of a small Llama.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import distributed as dist
from torch import multiprocessing, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor import empty as empty_dtensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)
from torch.distributed.tensor.placement_types import _StridedShard

from seedbed.errors import SpecError
from seedbed.torch import init_
from tests.interop.recording.gathered import digests, full

Split = Callable[[nn.Module], object]


class Block(nn.Module):
    """Two projections, a norm, and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(24)
        self.up = nn.Linear(24, 38)
        self.down = nn.Linear(38, 24)
        self.conv = nn.Conv1d(24, 10, 3)


class Network(nn.Module):
    """Sizes that two, three and four do not divide, experts, half precision, a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(61, 24)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.experts = nn.Parameter(torch.empty(4, 12, 36, dtype=torch.bfloat16))
        self.scale = nn.Parameter(torch.ones(7))
        self.head = nn.Linear(24, 61, bias=False)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """What its own tensors start from."""
        nn.init.normal_(self.experts, std=0.02)
        nn.init.uniform_(self.scale, 0.5, 1.5)
        nn.init.orthogonal_(self.head.weight)
        self.seen.zero_()


def llama() -> nn.Module:
    """A small Llama."""
    config = transformers.LlamaConfig(
        vocab_size=96, hidden_size=32, intermediate_size=88, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def _fsdp(mesh: Any, **more: Any) -> Split:
    def split(model: nn.Module) -> None:
        for block in model.blocks:  # type: ignore[union-attr]
            fully_shard(block, mesh=mesh, **more)
        fully_shard(model, mesh=mesh, **more)

    return split


def _placed(mesh: Any, place: Callable[[torch.Tensor], list[Any]]) -> Split:
    """Every parameter a DTensor of these placements."""

    def split(model: nn.Module) -> None:
        for module in list(model.modules()):
            for name, old in list(module.named_parameters(recurse=False)):
                new = empty_dtensor(
                    *old.shape, dtype=old.dtype, device_mesh=mesh, placements=place(old)
                )
                setattr(module, name, nn.Parameter(new))

    return split


def _tensor_parallel(mesh: Any) -> Split:
    """Projections by columns and by rows, experts on processes of their own, and FSDP of each."""

    def split(model: nn.Module) -> None:
        for block in model.blocks:  # type: ignore[union-attr]
            plan = {"up": ColwiseParallel(), "down": RowwiseParallel()}
            parallelize_module(block, mesh["tp"], plan)
        experts = empty_dtensor(
            *model.experts.shape, dtype=model.experts.dtype, device_mesh=mesh["tp"],
            placements=[Shard(0)],
        )  # fmt: skip
        model.experts = nn.Parameter(experts)
        _fsdp(mesh["dp"])(model)

    return split


def _second(parameter: nn.Parameter, world: int) -> Shard | None:
    """The second axis, where FSDP2 can divide it: that has to come out even."""
    even = parameter.dim() > 1 and parameter.shape[1] % world == 0
    return Shard(1) if even else None


def ways(world: int) -> Iterator[tuple[str, Split]]:
    """How a network is held by so many processes."""
    line = init_device_mesh("cpu", (world,))
    yield "FSDP2", _fsdp(line)
    if world == 1:
        return
    yield "FSDP2, Shard(1)", _fsdp(line, shard_placement_fn=lambda p: _second(p, world))
    yield "Shard(0)", _placed(line, lambda _: [Shard(0)])
    yield "Shard(last)", _placed(line, lambda p: [Shard(p.dim() - 1)])
    if world != 4:
        return
    square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    yield "HSDP 2×2", _fsdp(square)
    yield "FSDP2 × TP 2×2", _tensor_parallel(square)
    yield (
        "_StridedShard(0), Shard(0)",
        _placed(square, lambda _: [_StridedShard(0, split_factor=2), Shard(0)]),
    )
    yield (
        "Shard(0), Shard(last)",
        _placed(
            square,
            lambda p: [Shard(0), Shard(p.dim() - 1)] if p.dim() > 1 else [Shard(0), Replicate()],
        ),
    )


def held(split: Split) -> nn.Module:
    """A network that is split up and has memory, with nothing in it."""
    with torch.device("meta"):
        model = Network()
    split(model)
    model.to_empty(device="cpu")
    for tensor in (*model.parameters(), *model.buffers()):
        local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
        local.detach().fill_(7)
    return model


def own(model: nn.Module) -> dict[str, torch.Tensor]:
    """What torch draws: a seed, and every module's own `reset_parameters`."""
    torch.manual_seed(0)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            try:
                with torch.no_grad():
                    module.reset_parameters()
            except (NotImplementedError, RuntimeError) as error:
                return {"error": torch.tensor(0), str(error)[:60]: torch.tensor(0)}
    return full(model)


def losses(world: int, rank: int, start: Callable[[nn.Module], object]) -> list[float]:
    """Of three steps on one global batch, by FSDP2."""
    model = llama()
    for layer in model.model.layers:  # type: ignore[union-attr]
        fully_shard(layer)
    fully_shard(model)
    start(model)
    generator = torch.Generator().manual_seed(0)
    batch = torch.randint(0, 96, (4, 16), generator=generator)
    mine = batch.chunk(world)[rank]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    found = []
    for _ in range(3):
        loss = model(input_ids=mine, labels=mine).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        mean = loss.detach().clone()
        dist.all_reduce(mean)
        found.append(mean.item() / world)
    return found


def _draw(model: nn.Module) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(std=0.02)


def work(rank: int, world: int, spec: str, url: str, folder: str) -> None:
    """One process of a group."""
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    warnings.simplefilter("ignore")  # torch's, of random numbers on CPU meshes
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/{world}", rank=rank, world_size=world,
        timeout=timedelta(seconds=60),
    )  # fmt: skip
    said: dict[str, Any] = {"digests": {}, "torch": {}}
    torch.manual_seed(0)
    alone = Network()
    reference = own(alone)
    for name, split in ways(world):
        model = held(split)
        init_(model, spec, seed=7, threads=1)
        said["digests"][name] = digests(full(model))
        model = held(split)
        drawn = own(model)
        if "error" in drawn:
            said["torch"][name] = {"error": [*drawn][1]}
            continue
        apart = {
            key: (x.float() - reference[key].float()).abs().max().item() for key, x in drawn.items()
        }
        said["torch"][name] = {
            "tensors": sum(x > 0 for x in apart.values()), "most": max(apart.values())
        }  # fmt: skip
    if world == 3:
        model = held(_fsdp(init_device_mesh("cpu", (world,))))
        init_(model, url, seed=7, threads=2)
        said["digests"]["FSDP2 by URL"] = digests(full(model))
        with torch.device("meta"):
            stage = Network()  # of a pipeline: the last block and what follows
        del stage.embed, stage.blocks[0], stage.experts
        stage.blocks = nn.ModuleDict({"1": stage.blocks[0]})
        stage.to_empty(device="cpu")
        init_(stage, spec, seed=7, threads=2)
        said["digests"]["stage"] = digests(stage.state_dict())
    if world == 1:
        flat = FullyShardedDataParallel(nn.Linear(3, 3), device_id=torch.device("cpu"))
        try:
            init_(flat, spec)
        except SpecError as error:
            said["FSDP1"] = str(error)
    if world != 3:
        rec = json.loads(Path(folder, "llama.json").read_text())
        said["losses"] = losses(world, rank, lambda model: init_(model, rec, seed=7))
        said["torch losses"] = losses(world, rank, _draw)
    if rank == 0:
        Path(folder, f"{world}.json").write_text(json.dumps(said))
    dist.destroy_process_group()


def main() -> None:
    """Every group in turn, as children of a process that has drawn nothing."""
    spec, url, folder = sys.argv[1:]
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    found = {}
    for world in (1, 2, 3, 4):
        multiprocessing.start_processes(
            work, (world, Path(spec).read_text(), url, folder), world, start_method="fork"
        )
        found[world] = json.loads(Path(folder, f"{world}.json").read_text())
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
