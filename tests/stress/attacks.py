"""Requests that stopped an earlier version, each the cheapest of its kind; and what they cost."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import httpx
import psutil

from tests.serving import PATIENCE_SECONDS, Server

JSON = {"content-type": "application/json"}

MIB = 2**20


def lstm(name: str = "l", **more: Any) -> dict[str, Any]:
    """A layer of 2,560 tensors."""
    return {
        "type": "lstm", "name": name, "input_size": 1, "hidden_size": 2, "num_layers": 256,
        "bidirectional": True, "proj_size": 1, **more,
    }  # fmt: skip


def starry(rules: int) -> list[dict[str, str]]:
    """Rules whose pattern fits at no place of a name of `a`s, and nearly fits at each."""
    return [{"match": f"*{'a' * 500}b{i}", "init": "zeros"} for i in range(rules)]


def token_of(text: bytes) -> str:
    """A link's token that spells a text."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(text) + packer.flush()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def spec(**fields: Any) -> bytes:
    """A body."""
    return json.dumps(fields).encode()


MIXTRAL = {
    "model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "num_hidden_layers": 10_000,
}  # fmt: skip

HUGE = 10**399


@dataclass(frozen=True)
class Attack:
    """One kind.

    Attributes:
        method: of the request.
        path: of it.
        body: of it.
        statuses: of the answer that are sound.
        cpu_seconds: of the service and all its processes, for all copies, at the most.
        copies: sent at the same time.
        media_type: of the body.
    """

    method: str
    path: str
    body: bytes = b""
    statuses: tuple[int, ...] = (422,)
    cpu_seconds: float = 5.0
    copies: int = 1
    media_type: str = "application/json"

    def send(self, server: Server) -> list[httpx.Response]:
        """All copies, and what is answered."""

        def one(_: int) -> httpx.Response:
            return httpx.request(
                self.method, server.url + self.path, content=self.body or None,
                headers={"content-type": self.media_type}, timeout=PATIENCE_SECONDS,
            )  # fmt: skip

        with ThreadPoolExecutor(self.copies) as pool:
            return list(pool.map(one, range(self.copies)))


def config(**fields: Any) -> bytes:
    """A body with a config.json."""
    return spec(model={"config": fields})


_PATHS = "/api/models/seedbed/tiny-gpt2/paths-info/main"

ATTACKS: dict[str, Attack] = {
    "1: a link that freezes": Attack(
        "GET",
        "/v1/checkpoints/"
        + token_of(spec(layers=[lstm("a" * 100_000)], rules=starry(128)))
        + "/model.safetensors",
    ),
    "2: many names under long rules": Attack(
        "POST", "/v1/describe", spec(layers=[lstm("a" * 900)], rules=starry(8)), (200, 422), 15
    ),
    "3: twelve layers": Attack(
        "POST", "/v1/describe", spec(layers=[lstm(f"l{i}") for i in range(12)]), (200,), 30
    ),
    "7: more layers, four times": Attack(
        "POST", "/v1/describe", spec(layers=[lstm(f"l{i}") for i in range(78)]), (200, 422, 503),
        100, 4,
    ),
    "9: paths of nothing": Attack(
        "POST", _PATHS, b'{"paths":[' + b",".join([b"[]"] * (5 * MIB)) + b"]}", (413,), 1
    ),
    "9: paths of nothing, as a form": Attack(
        "POST", _PATHS, b"&".join([b"paths=a"] * (2 * MIB)), (413,), 1, 1,
        "application/x-www-form-urlencoded",
    ),
    "10: schemes that are none": Attack(
        "POST", "/v1/compare", spec(schemes=["he_narmal"] * 80_000), (422,), 30
    ),
    "10: large models in a comparison": Attack(
        "POST", "/v1/compare",
        spec(schemes=[{"spec": {"model": {"config": MIXTRAL}}, "label": str(i)} for i in range(8)]),
        (422,), 40,
    ),
    "11: a shard for each byte": Attack(
        "PUT", "/v1/specs/attack/shards",
        spec(layers=[lstm(f"l{i}") for i in range(12)], max_shard_size=1), (201, 422), 60,
    ),
    "12: a link that swells": Attack(
        "GET",
        "/v1/checkpoints/"
        + token_of(b'{"layers":[' + b",".join([b"{}"] * 100_000) + b"]}")
        + "/model.safetensors",
        statuses=(404, 422), cpu_seconds=3,
    ),
    "18: a huge number, deepseek_v32": Attack(
        "POST", "/v1/describe",
        config(model_type="deepseek_v32", architectures=["DeepseekV32ForCausalLM"],
               qk_nope_head_dim=HUGE),
    ),
    "18: a huge number, xclip": Attack(
        "POST", "/v1/describe",
        config(model_type="xclip", architectures=["XCLIPModel"], projection_dim=HUGE),
    ),
    "18: a huge number, chinese_clip_vision_model": Attack(
        "POST", "/v1/describe",
        config(model_type="chinese_clip_vision_model",
               architectures=["ChineseCLIPVisionModel"], image_size=HUGE),
    ),
    "19: schemes that are none in tensors": Attack(
        "POST", "/v1/describe",
        spec(tensors=[{"name": str(i), "shape": [1], "init": "x"} for i in range(100_000)]),
        cpu_seconds=10,
    ),
    "19: schemes that are none in a manifest": Attack(
        "POST", "/v1/describe",
        spec(model={"manifest": {str(i): {"shape": [1], "init": f"he_n{i}"}
                                 for i in range(100_000)}}),
        cpu_seconds=40,
    ),
    "19: schemes that are none in a layer": Attack(
        "POST", "/v1/describe",
        spec(layers=[{"type": "linear", "name": "l", "in_features": 1, "out_features": 1,
                      "init": {str(i): f"he_n{i}" for i in range(60_000)}}]),
        cpu_seconds=30,
    ),
    "20: a manifest of 200,000": Attack(
        "POST", "/v1/describe",
        spec(model={"manifest": {str(i): [1] for i in range(200_000)}}), (200, 422, 503), 60,
    ),
    "20: what is not known under a known field": Attack(
        "POST", "/v1/describe",
        config(model_type="llama", architectures=["LlamaForCausalLM"],
               rope_scaling={str(i): i for i in range(60_000)}),
        cpu_seconds=10,
    ),
}  # fmt: skip


def endless_bodies(server: Server, count: int, size: int) -> list[socket.socket]:
    """Bodies that have all come but for their end; those that are refused are closed."""
    connections = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.settimeout(PATIENCE_SECONDS)
        head = (
            "POST /v1/describe HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
            f"Content-Length: {size + 1}\r\n\r\n"
        )
        try:
            connection.sendall(head.encode() + b" " * size)
        except OSError:  # refused, and closed
            connection.close()
            continue
        connections.append(connection)
    return connections


class Watch:
    """What a service takes, and how long others wait, while something is done to it.

    Attributes:
        cpu_seconds: of all its processes.
        peak_bytes: of memory, theirs alone and their shares of what they have in common.
        stalls: the longest answer of each of `BESIDE`, in seconds.
        failed: requests of those that were not answered as they should.
    """

    BESIDE = ("/healthz", "/v1/tensors/he_normal/64x64.safetensors")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._process = psutil.Process(server.pid)
        self._over = threading.Event()
        self.peak_bytes = 0
        self.cpu_seconds = 0.0
        self.stalls = dict.fromkeys(self.BESIDE, 0.0)
        self.failed = 0
        work: list[Callable[[], None]] = [self._weigh]
        work += [lambda path=path: self._ask(path) for path in self.BESIDE]  # type: ignore[misc]
        self._threads = [threading.Thread(target=one, daemon=True) for one in work]

    def __enter__(self) -> Self:
        self._began = self._spent()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        self.cpu_seconds = self._spent() - self._began

    def _family(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def _spent(self) -> float:
        spent = 0.0
        for process in self._family():
            try:
                spent += sum(process.cpu_times()[:4])  # with that of children that have ended
            except psutil.Error:
                continue
        return spent

    def _weigh(self) -> None:
        while not self._over.wait(0.05):
            total = 0
            for process in self._family():
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.peak_bytes = max(self.peak_bytes, total)

    def _ask(self, path: str) -> None:
        with httpx.Client(base_url=self._server.url, timeout=PATIENCE_SECONDS) as client:
            seed = 0
            while not self._over.wait(0.02):
                seed += 1
                began = time.perf_counter()
                status = client.get(path, params={"seed": seed} if "tensors" in path else {})
                self.failed += status.status_code != 200
                took = time.perf_counter() - began
                self.stalls[path] = max(self.stalls[path], took)
