"""Load a sharded model with torch.distributed.checkpoint, straight from a URL.

    torchrun --nproc-per-node 2 examples/distributed_checkpoint.py \
        'http://127.0.0.1:8000/v1/models/tiny-llama/model.safetensors?seed=42'

`UrlReader` is a storage reader: what `dcp.load` asks for, a box of a tensor, it reads by range. So
each process fetches the rows that its DTensors hold, from any number of processes, with no disk.
"""

import json
import math
import sys
import urllib.request

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
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.futures import Future

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


class UrlReader(dcp.StorageReader):
    """Reads a safetensors file over HTTP, box by box."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fetched = 0
        length = int.from_bytes(self._read(0, 8), "little")
        self.header = json.loads(self._read(8, 8 + length))
        self.header.pop("__metadata__", None)
        self.data = 8 + length

    def _read(self, start: int, stop: int) -> bytearray:
        request = urllib.request.Request(self.url, headers={"range": f"bytes={start}-{stop - 1}"})
        with urllib.request.urlopen(request) as response:
            body = bytearray(response.read())
        self.fetched += len(body)
        return body

    def reset(self, checkpoint_id=None) -> None:
        """Nothing is kept between loads."""

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id) -> bool:
        """The place is given to the constructor."""
        return checkpoint_id is None

    def read_metadata(self) -> Metadata:
        """Every tensor is one chunk of the file."""
        tensors = {}
        for name, entry in self.header.items():
            size = torch.Size(entry["shape"])
            tensors[name] = TensorStorageMetadata(
                properties=TensorProperties(dtype=DTYPES[entry["dtype"]]),
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
        """Read each box: whole rows of the first axis, and of them what is wanted."""
        for item in plan.items:
            entry = self.header[item.storage_index.fqn]
            (first, *others), (count, *lengths) = item.storage_offsets, item.lengths
            row = math.prod(entry["shape"][1:]) * DTYPES[entry["dtype"]].itemsize
            begin = self.data + entry["data_offsets"][0] + first * row
            raw = self._read(begin, begin + count * row)
            rows = torch.frombuffer(raw, dtype=DTYPES[entry["dtype"]])
            rows = rows.reshape(count, *entry["shape"][1:])
            for axis, (offset, length) in enumerate(zip(others, lengths, strict=True), 1):
                rows = rows.narrow(axis, offset, length)
            planner.resolve_tensor(item).detach().copy_(rows)
            planner.commit_tensor(item, rows)
        done: Future = Future()
        done.set_result(None)
        return done


def main(url: str) -> None:
    """Shard every matrix by rows, load, and compare with a load that is not sharded."""
    dist.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    reader = UrlReader(url)
    metadata = reader.read_metadata().state_dict_metadata
    empty = {
        name: torch.empty(one.size, dtype=one.properties.dtype) for name, one in metadata.items()
    }
    sharded: dict[str, DTensor] = {
        name: distribute_tensor(tensor, mesh, [Shard(0)]) for name, tensor in empty.items()
    }
    reader.fetched = 0
    dcp.load(sharded, storage_reader=reader)
    print(f"process {dist.get_rank()} fetched {reader.fetched:,} bytes of weights")

    alone = {name: tensor.clone() for name, tensor in empty.items()}
    dcp.load(alone, storage_reader=UrlReader(url), no_dist=True)
    for name, tensor in sharded.items():
        assert torch.equal(tensor.full_tensor(), alone[name]), name
    if dist.get_rank() == 0:
        print(f"{len(sharded)} tensors agree with a single process's")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
