"""Load a sharded model with torch.distributed.checkpoint, straight from a URL.

    torchrun --nproc-per-node 2 examples/distributed_checkpoint.py \
        'http://127.0.0.1:8000/v1/models/tiny-llama/model.safetensors?seed=42'

`UrlReader` is a storage reader: what `dcp.load` asks for, a box of a tensor, it reads by range. So
each process fetches the rows that its DTensors hold, from any number of processes, with no disk.
"""

import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, zeros
from torch.futures import Future

from seedbed.remote import RemoteCheckpoint

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "BOOL": torch.bool,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8,
}  # fmt: skip


class UrlReader(dcp.StorageReader):
    """Reads a safetensors checkpoint over HTTP, box by box."""

    def __init__(self, url: str) -> None:
        self.remote = RemoteCheckpoint(url)

    def reset(self, checkpoint_id=None) -> None:
        """Nothing is kept between loads."""

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id) -> bool:
        """The place is given to the constructor."""
        return checkpoint_id is None

    def read_metadata(self) -> Metadata:
        """Every tensor is one chunk of the file."""
        tensors = {}
        for name, (dtype, shape) in self.remote.tensors.items():
            size = torch.Size(shape)
            tensors[name] = TensorStorageMetadata(
                properties=TensorProperties(dtype=DTYPES[dtype]),
                size=size,
                chunks=[ChunkStorageMetadata(torch.Size([0] * len(size)), size)],
            )
        return Metadata(tensors, storage_data={MetadataIndex(name): name for name in tensors})

    def set_up_storage_reader(self, metadata, is_coordinator) -> None:
        """There is nothing to prepare."""

    def prepare_local_plan(self, plan):
        """As it is."""
        return plan

    def prepare_global_plan(self, plans):
        """As they are."""
        return plans

    def read_data(self, plan, planner) -> Future:
        """Read each box, and no more of the file than it needs."""
        for item in plan.items:
            name = item.storage_index.fqn
            array = self.remote.read(name, item.storage_offsets, item.lengths)
            values = torch.from_numpy(array).view(DTYPES[self.remote.tensors[name].dtype])
            planner.resolve_tensor(item).detach().copy_(values)
            planner.commit_tensor(item, values)
        done: Future = Future()
        done.set_result(None)
        return done


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """What a tensor holds, whatever its dtype: not all can be compared or sent."""
    return tensor.reshape(-1).view(torch.uint8)


def main(url: str) -> None:
    """Shard every tensor by rows, load, and compare with a load that is not sharded."""
    dist.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    reader = UrlReader(url)
    metadata = reader.read_metadata().state_dict_metadata
    sharded: dict[str, DTensor] = {
        name: zeros(
            one.size,
            dtype=one.properties.dtype,
            device_mesh=mesh,
            placements=[Shard(0) if one.size else Replicate()],
        )
        for name, one in metadata.items()
    }
    header = reader.remote.fetched
    dcp.load(sharded, storage_reader=reader)
    print(f"process {dist.get_rank()} fetched {reader.remote.fetched - header:,} bytes of weights")

    alone = {
        name: torch.zeros(one.size, dtype=one.properties.dtype) for name, one in metadata.items()
    }
    dcp.load(alone, storage_reader=UrlReader(url), no_dist=True)
    for name, tensor in sharded.items():
        gathered: list = [None] * dist.get_world_size()
        dist.all_gather_object(gathered, bits(tensor.to_local()).numpy())
        together = b"".join(map(bytes, gathered if tensor.ndim else gathered[:1]))
        assert together == bytes(bits(alone[name]).numpy()), name
    if dist.get_rank() == 0:
        print(f"{len(sharded)} tensors agree with a single process's")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
