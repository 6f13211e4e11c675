"""Networks of three packages, each loaded in three ways.

    PYTHONPATH=… python -m tests.interop.recording.others URL FOLDER

Prints JSON: of each network the SHA-256 of every tensor of the file that the service at URL makes
of its recording, of the model that loads that file, of one that is filled in place by one process,
and of one that four processes hold on a mesh of 2 × 2.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import torch
from safetensors.torch import load
from torch import distributed as dist
from torch import multiprocessing, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from seedbed.torch import Recording, init_, record
from tests.interop.recording.gathered import digests, full

SEED = 42
SIDE = 2


def vision_transformer() -> nn.Module:
    """A ViT of timm."""
    timm = importlib.import_module("timm")
    model: nn.Module = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2)
    return model


def unet() -> nn.Module:
    """A UNet of diffusers with attention, as of a small DDPM."""
    diffusers = importlib.import_module("diffusers")
    model: nn.Module = diffusers.UNet2DModel(
        sample_size=16, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    return model


def jamba() -> nn.Module:
    """A Jamba of mambapy: attention, experts, Mamba with its tables, a padding row."""
    lm = importlib.import_module("mambapy.jamba")
    config = lm.JambaLMConfig(
        d_model=32, n_layers=2, mlp_size=48, vocab_size=211, num_attention_heads=4,
        num_key_value_heads=2, num_experts=4, attn_layer_offset=1, attn_layer_period=2,
        tie_lm_weights=False,
    )  # fmt: skip
    model: nn.Module = lm.JambaLM(config)
    return model


def _hold_vision_transformer(mesh: DeviceMesh, model: Any) -> None:
    _tensor_parallel(mesh, model, model.blocks, "qkv fc1", "proj fc2")


def _hold_jamba(mesh: DeviceMesh, model: Any) -> None:
    columns = "q_proj k_proj v_proj gate_proj up_proj in_proj dt_proj"
    _tensor_parallel(mesh, model, model.jamba.layers, columns, "o_proj down_proj x_proj out_proj")


def _tensor_parallel(
    mesh: DeviceMesh, model: nn.Module, blocks: nn.ModuleList, columns: str, rows: str
) -> None:
    """Projections of these names by columns and by rows, and FSDP2 of each block."""
    for block in blocks:
        names = [name for name, _ in block.named_modules()]
        plan = {
            name: style()
            for name in names
            for style, chosen in ((ColwiseParallel, columns), (RowwiseParallel, rows))
            if name.rpartition(".")[2] in chosen.split()
        }
        parallelize_module(block, mesh["tp"], plan)
        fully_shard(block, mesh=mesh["dp"])
    fully_shard(model, mesh=mesh["dp"])


def _hold_unet(mesh: DeviceMesh, model: Any) -> None:
    """HSDP: convolutions have no plan of tensor parallelism."""
    for block in (*model.down_blocks, model.mid_block, *model.up_blocks):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[DeviceMesh, Any], None]]] = {
    "timm": (vision_transformer, _hold_vision_transformer),
    "diffusers": (unet, _hold_unet),
    "mambapy": (jamba, _hold_jamba),
}
"""How each is built, and how four processes hold it."""


def spoilt(model: nn.Module) -> nn.Module:
    """The same with nothing left of what it was built with, but for what no file has."""
    for tensor in model.state_dict().values():
        local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
        local.detach().fill_(7)
    return model


def on_a_mesh(rank: int, recordings: Mapping[str, Recording], folder: str) -> None:
    """One process of four: build, split, fill."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/mesh", rank=rank, world_size=SIDE**2,
        timeout=timedelta(seconds=600),
    )  # fmt: skip
    mesh = init_device_mesh("cpu", (SIDE, SIDE), mesh_dim_names=("dp", "tp"))
    found = {}
    for name, (build, hold) in NETWORKS.items():
        model = build()
        hold(mesh, model)
        init_(spoilt(model), recordings[name], seed=SEED, threads=1)
        here = sum(x.to_local().numel() for x in model.parameters() if isinstance(x, DTensor))
        whole = sum(x.numel() for x in model.parameters())
        found[name] = {"digests": digests(full(model)), "share": here / whole}
    if rank == 0:
        Path(folder, "mesh.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def alone(recordings: Mapping[str, Recording], url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What one process has of each: the file, the model that loads it, the model in place."""
    for name, (build, _) in NETWORKS.items():
        rec = recordings[name]
        address = rec.put(url, f"others/{name}")
        answer = httpx.get(f"{address}/model.safetensors?seed={SEED}", timeout=60)
        served = load(answer.raise_for_status().content)
        loaded, filled = spoilt(build()), spoilt(build())
        loaded.load_state_dict(served)
        done = init_(filled, rec, seed=SEED, threads=1)
        yield (
            name,
            {
                "refused": dict(rec.report.refused),
                "left": dict(done.left),
                "served": digests(served),
                "loaded": digests(loaded.state_dict()),
                "filled": digests(filled.state_dict()),
            },
        )


def main() -> None:
    """The mesh as children of this process, which has but one thread."""
    url, folder = sys.argv[1:]
    warnings.simplefilter("ignore")
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    importlib.import_module("tests.interop.torchvision_side")  # for a wheel that wants CUDA
    recordings = {name: record(build) for name, (build, _) in NETWORKS.items()}
    multiprocessing.start_processes(on_a_mesh, (recordings, folder), SIDE**2, start_method="fork")
    meshes = json.loads(Path(folder, "mesh.json").read_text())
    said = {name: {**found, "mesh": meshes[name]} for name, found in alone(recordings, url)}
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
