"""Simple clients, in Python and in Node, get a file and its ranges."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedbed.files import CheckpointSpec, VirtualFile
from tests.interop.running import run
from tests.serving import PATIENCE_SECONDS, Server

pytestmark = pytest.mark.interop

FETCH = Path(__file__).with_name("node") / "fetch.mjs"

TENSOR = "/v1/tensors/normal/1000.safetensors?seed=1&dtype=BF16"
SPEC = {
    "seed": 1,
    "tensors": [{"name": "weight", "shape": [1000], "init": "normal", "dtype": "BF16"}],
}

RANGES: dict[str | None, tuple[int, int | None]] = {
    None: (0, None),
    "bytes=0-0": (0, 1),
    "bytes=100-199": (100, 200),
    "bytes=1000-": (1000, None),
    "bytes=-64": (-64, None),
    "bytes=5-999999999999": (5, None),
}
"""Range headers, and the slices that they mean."""


def of_node(link: str, wanted: str | None) -> dict[str, Any]:
    """What Node's fetch got."""
    command = ("node", FETCH, link, *([wanted] if wanted else []))
    answer: dict[str, Any] = json.loads(run(*command).stdout)
    return answer


def of_python(link: str, wanted: str | None) -> dict[str, Any]:
    """What Python's own client got."""
    request = urllib.request.Request(link, headers={"range": wanted} if wanted else {})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
        body = response.read()
        return {
            "status": response.status,
            "headers": {name.lower(): value for name, value in response.headers.items()},
            "length": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }


@pytest.mark.parametrize("wanted", RANGES)
@pytest.mark.parametrize("client", [of_node, of_python])
def test_ranges(
    server: Server, client: Callable[[str, str | None], dict[str, Any]], wanted: str | None
) -> None:
    """A client gets the bytes that it asked for, and headers that say which these are."""
    file = VirtualFile(CheckpointSpec.model_validate(SPEC))
    whole = bytes(file.read(0, file.size))
    first, last = RANGES[wanted]
    part = whole[first:last]
    start = first % file.size
    answer = client(server.url + TENSOR, wanted)
    assert answer["length"] == len(part)
    assert answer["sha256"] == hashlib.sha256(part).hexdigest()
    headers = answer["headers"]
    assert headers["content-length"] == str(len(part))
    assert headers["accept-ranges"] == "bytes"
    if wanted:
        assert answer["status"] == 206
        place = f"bytes {start}-{start + len(part) - 1}/{file.size}"
        assert headers["content-range"] == place
    else:
        assert answer["status"] == 200
        assert "content-range" not in headers
