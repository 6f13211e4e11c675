"""Start sharded training from a seed: every process fetches its own part, and nothing else.

    torchrun --nproc-per-node 2 examples/sharded_start.py \
        'http://127.0.0.1:8000/v1/models/tiny-llama/model.safetensors?seed=42'

Rows of a matrix lie together in the file, so a slice along the first axis is one request for each
4 MB, whatever the number of processes. Scalars are everybody's. The last lines compare with a load
in a single process. To fill a module or DTensors in place, see docs/training.md.
"""

import math
import sys

import torch
import torch.distributed as dist

from seedbed.remote import RemoteCheckpoint

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "BOOL": torch.bool,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8,
}  # fmt: skip


def part_of(remote: RemoteCheckpoint, name: str, first: int, last: int) -> torch.Tensor:
    """Rows [first, last) of a tensor, or the whole of a scalar."""
    dtype, shape = remote.tensors[name]
    box = ((first, *[0] * (len(shape) - 1)), (last - first, *shape[1:])) if shape else ()
    return torch.from_numpy(remote.read(name, *box)).view(DTYPES[dtype])


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """What a tensor holds, whatever its dtype: not all can be compared or sent."""
    return tensor.reshape(-1).view(torch.uint8)


def main(url: str) -> None:
    """Load this process's share of every tensor, then see that all shares make the whole."""
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    with RemoteCheckpoint(url) as remote:
        header = remote.fetched
        shares = {}
        for name, (_, shape) in remote.tensors.items():
            rows = shape[0] if shape else 1
            shares[name] = part_of(remote, name, rows * rank // world, rows * (rank + 1) // world)
        total = sum(math.prod(s) * DTYPES[dtype].itemsize for dtype, s in remote.tensors.values())
        fetched = remote.fetched - header
        print(f"process {rank} of {world} fetched {fetched:,} of {total:,} bytes")

        for name, share in shares.items():
            gathered: list = [None] * world
            dist.all_gather_object(gathered, bits(share).numpy())
            shape = remote.tensors[name].shape
            alone = part_of(remote, name, 0, shape[0] if shape else 1)
            together = b"".join(map(bytes, gathered if shape else gathered[:1]))
            assert together == bytes(bits(alone).numpy()), name
    if rank == 0:
        print(f"{len(shares)} tensors agree with a single process's")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
