"""Start sharded training from a seed: every process fetches its own rows, and nothing else.

    torchrun --nproc-per-node 2 examples/sharded_start.py \
        'http://127.0.0.1:8000/v1/models/tiny-llama/model.safetensors?seed=42'

Rows of a matrix lie together in the file, so a slice along the first axis is one range request,
whatever the number of processes. The last lines compare with a load in a single process.
"""

import json
import math
import sys
import urllib.request

import torch
import torch.distributed as dist

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


def read(url: str, start: int, stop: int) -> bytearray:
    """Bytes [start, stop) of the file."""
    request = urllib.request.Request(url, headers={"range": f"bytes={start}-{stop - 1}"})
    with urllib.request.urlopen(request) as response:
        return bytearray(response.read())


def header_of(url: str) -> tuple[dict, int]:
    """Name → dtype, shape and offsets; and where the data begins."""
    length = int.from_bytes(read(url, 0, 8), "little")
    header = json.loads(read(url, 8, 8 + length))
    header.pop("__metadata__", None)
    return header, 8 + length


def rows_of(url: str, entry: dict, data: int, first: int, last: int) -> torch.Tensor:
    """Rows [first, last) of a tensor."""
    begin, end = entry["data_offsets"]
    shape = entry["shape"]
    row = (end - begin) // shape[0]
    raw = read(url, data + begin + first * row, data + begin + last * row)
    flat = torch.frombuffer(raw, dtype=DTYPES[entry["dtype"]])
    return flat.reshape(last - first, *shape[1:])


def main(url: str) -> None:
    """Load this process's share of every matrix, then see that all shares make the whole."""
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    header, data = header_of(url)
    fetched = 0
    shares = {}
    for name, entry in header.items():
        rows = entry["shape"][0]
        first, last = rows * rank // world, rows * (rank + 1) // world
        shares[name] = rows_of(url, entry, data, first, last)
        fetched += shares[name].nbytes
    total = sum(math.prod(one["shape"]) * DTYPES[one["dtype"]].itemsize for one in header.values())
    print(f"process {rank} of {world} fetched {fetched:,} of {total:,} bytes")

    for name, share in shares.items():
        gathered: list = [None] * world
        dist.all_gather_object(gathered, share)
        entry = header[name]
        alone = rows_of(url, entry, data, 0, entry["shape"][0])
        assert torch.equal(torch.cat(gathered), alone), name
    if rank == 0:
        print(f"{len(shares)} tensors agree with a single process's")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
