"""A quantised config through a service, as a client of the Hub sees it, held to the definition.

For `tests/web/test_quantised.py`, with small configs, and `scripts/quantised.py`, with published.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

import httpx

from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.stream import get_engine

SEED = 42
MOST = 1 << 16
"""Bytes of a range."""


@dataclass(frozen=True)
class Served:
    """What was seen of one checkpoint.

    Attributes:
        tensors: that headers of shards name.
        files: of weights.
        size: of them together.
        ranges: that were compared.
    """

    tensors: int
    files: int
    size: int
    ranges: int


def served(client: httpx.Client, name: str, config: dict[str, Any], ranges: int) -> Served:
    """List, head and read a config's checkpoint by both of its doors.

    Args:
        client: of the service, which lets specs be put.
        name: of the spec.
        config: with its `quantization_config`.
        ranges: to compare, half of them through the Hub façade and half through a link.
    """
    body = {"model": {"config": config}}
    done = client.put(f"/v1/specs/{name}", json=body)
    assert done.status_code in (200, 201), done.text
    definition = Checkpoint(
        CheckpointSpec.model_validate({**body, "seed": SEED}), engine=get_engine("numpy")
    )
    whole = definition.whole

    listing = client.get(f"/api/models/{name}/revision/seed-{SEED}", params={"blobs": "true"})
    sizes = {one["rfilename"]: one["size"] for one in _json(listing)["siblings"]}
    resolve = f"/{name}/resolve/seed-{SEED}"
    written = _json(client.get(f"{resolve}/config.json"))
    assert written["quantization_config"] == config["quantization_config"]
    weights = {file: size for file, size in sizes.items() if file.endswith(".safetensors")}
    map_of = {}
    if len(weights) > 1:
        index = _json(client.get(f"{resolve}/model.safetensors.index.json"))
        map_of = index["weight_map"]
        assert index["metadata"]["total_size"] == sum(t.size_bytes for t in whole.tensors)

    places: list[tuple[str, int, int, str]] = []  # file, where it lies, bytes, tensor
    for file, size in weights.items():
        head = client.head(f"{resolve}/{file}")
        assert (head.status_code, int(head.headers["content-length"])) == (200, size)
        length = int.from_bytes(_range(client, f"{resolve}/{file}", 0, 8), "little")
        header = json.loads(_range(client, f"{resolve}/{file}", 8, 8 + length))
        for tensor, entry in header.items():
            if tensor != "__metadata__":
                start, stop = entry["data_offsets"]
                places.append((file, 8 + length + start, stop - start, tensor))
                assert map_of.get(tensor, file) == file
        assert max(at + size for of, at, size, _ in places if of == file) == size
    numbers = {tensor.name: i for i, tensor in enumerate(whole.tensors)}
    assert {place[3] for place in places} == numbers.keys()

    link = _link(client, body)
    chosen = random.Random(name)
    filled = [place for place in places if place[2]]
    by_size = [place[2] for place in filled]
    for number in range(ranges):
        # By bytes, so that it is mostly codes; then by tensors, which are mostly scales.
        weighed = by_size if number % 4 else None
        ((file, at, size, tensor),) = chosen.choices(filled, weighed)
        start = chosen.randrange(size)
        stop = min(start + chosen.randrange(1, MOST), size)
        own = whole.offset(numbers[tensor])
        wanted = bytes(whole.read(own + start, own + stop))
        if number < ranges // 2:  # one after the other, since large plans are kept one at a time
            found = _range(client, f"{resolve}/{file}", at + start, at + stop)
        else:
            found = _range(client, link, own + start, own + stop)
        assert found == wanted, (tensor, start, stop)
    return Served(len(places), len(weights), sum(weights.values()), ranges)


def _link(client: httpx.Client, body: dict[str, Any]) -> str:
    """Where the checkpoint is as one file, whatever is stored."""
    described = _json(client.post("/v1/describe", json={**body, "seed": SEED}))
    link: str = described["links"]["file"]
    return link


def _range(client: httpx.Client, path: str, start: int, stop: int) -> bytes:
    answer = client.get(path, headers={"Range": f"bytes={start}-{stop - 1}"}, follow_redirects=True)
    assert answer.status_code == 206, answer.text
    return answer.content


def _json(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()
