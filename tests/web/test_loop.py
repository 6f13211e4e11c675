"""No request holds the event loop, whatever the limits admit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from asyncio import events
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from seedbed.files import CheckpointSpec
from seedbed.web.application import create_app
from seedbed.web.settings import Settings
from tests.stress.attacks import ATTACKS, Attack, lstm, starry, token_of

MOST_SECONDS = 0.1
"""Of processor, in one turn of the loop's thread: not of the clock, since machines are busy."""

SHORT_BYTES = 2**14
"""What may be parsed where it arrives."""

_LSTMS = token_of(json.dumps({"layers": [lstm(f"l{i}") for i in range(12)]}).encode())
_WIDE = "x".join(["2"] * 32)
_PATHS = json.dumps({"paths": [f"model-{i:05d}-of-99999.safetensors" for i in range(1600)]})


def _filled(part: str, start: str, stop: str) -> bytes:
    """A body that is as long as one that is parsed at once may be."""
    room = SHORT_BYTES - len(start) - len(stop)
    parts = [part.replace("#", f"{i:x}") for i in range(room // len(part))]
    while sum(map(len, parts)) + len(parts) > room:
        parts.pop()
    return (start + ",".join(parts) + stop).encode()


SHORT: dict[str, bytes] = {
    "tensors": _filled('{"name":"#","shape":[1],"init":"eye"}', '{"tensors":[', "]}"),
    "layers": _filled(
        '{"type":"prelu","name":"#"}', '{"layers":[', "]}"
    ),
    "wrong tensors": _filled('{"name":"#","shape":[1],"init":"he_n#"}', '{"tensors":[', "]}"),
    "wrong layers": _filled('{"type":"x#"}', '{"layers":[', "]}"),
    "empty layers": _filled("{}", '{"layers":[', "]}"),
    "a wrong manifest": _filled('"#":{"init":"he_n#"}', '{"model":{"manifest":{', "}}}"),
    "a manifest": _filled('"#":[1]', '{"model":{"manifest":{', "}}}"),
    "wrong inits of a layer": _filled(
        '"#":"he_n#"', '{"layers":[{"type":"linear","name":"l","in_features":1,'
        '"out_features":1,"init":{', "}}]}",
    ),
    "rules": _filled('{"match":"*a*#*","init":"x"}', '{"tensors":[],"rules":[', "]}"),
    "deep": b'{"metadata":' + b"[" * 8000 + b"]" * 8000 + b"}",
    "metadata": _filled('"#":"#"', '{"metadata":{', "}}"),
    "unknown fields": _filled('"#":0', "{", "}"),
    "large numbers": _filled("9" * 4000, '{"tensors":[{"name":"a","init":"ones","shape":[', "]}]}"),
    "rules of stars": json.dumps(
        {"tensors": [{"name": "a" * 1000, "shape": [1], "init": "ones"}], "rules": starry(20)}
    ).encode(),
    "matrices": json.dumps({
        "tensors": [{"name": f"{s}{i}", "shape": [4096, 4096], "init": s}
                    for s in ("orthogonal", "sparse", "hadamard", "hippo", "sinusoidal", "alibi")
                    for i in range(30)]
    }).encode(),
}  # fmt: skip
"""Bodies that are parsed at once, each as long as it may be or as dear as it can be."""


@dataclass(frozen=True)
class Ask:
    """A request."""

    path: str
    method: str = "GET"
    body: bytes = b""
    media_type: str = "application/json"


def _of(attack: Attack) -> Ask:
    return Ask(attack.path, attack.method, attack.body, attack.media_type)


_SPECS = [Ask("/v1/describe", "POST", body) for body in SHORT.values()]
_SPECS += [_of(one) for one in ATTACKS.values() if one.path == "/v1/describe"]

LARGEST: Mapping[str, list[Ask]] = {
    "/v1/describe": _SPECS,
    "/v1/checkpoints": [
        *(Ask("/v1/checkpoints", "POST", body) for body in SHORT.values()),
        Ask("/v1/checkpoints", "POST", ATTACKS["3: twelve layers"].body),
    ],
    "/v1/checkpoints/{token}/{file}": [
        *(Ask(f"/v1/checkpoints/{token_of(body)}/model.safetensors", "HEAD")
          for body in SHORT.values()),
        *(_of(one) for one in ATTACKS.values() if one.path.startswith("/v1/checkpoints/")),
        Ask(f"/v1/checkpoints/{_LSTMS}/README.md"),
        Ask(f"/v1/checkpoints/{'A' * 60_000}/README.md"),
    ],
    "/v1/tensors/{scheme}/{shape}.safetensors": [
        Ask(f"/v1/tensors/normal/{_WIDE}.safetensors", "HEAD"),
        Ask(f"/v1/tensors/normal/{'x'.join(['1'] * 20_000)}.safetensors", "HEAD"),
        Ask(f"/v1/tensors/normal/4x4.safetensors?name={'a' * 60_000}", "HEAD"),
        Ask(f"/v1/tensors/{'a' * 60_000}/4x4.safetensors", "HEAD"),
        Ask("/v1/tensors/normal/4x4.safetensors?" + "&".join(f"a{i}=1" for i in range(8000))),
        Ask("/v1/tensors/normal/128x128.safetensors"),
        *(Ask(f"/v1/tensors/{scheme}/4096x4096.safetensors", "HEAD")
          for scheme in ("orthogonal", "sparse", "hadamard", "hippo", "s4d_lin", "sinusoidal",
                         "eye", "delta_orthogonal", "householder", "lsuv", "zero")),
    ],
    "/v1/models": [Ask("/v1/models"), Ask("/v1/models?search=" + "a" * 100)],
    "/v1/models/{preset}": [
        Ask("/v1/models/qwen3-235b-a22b?max_shard_size=10GB"),
        Ask("/v1/models/tiny-gpt2?n_layer=100000"),
        Ask(f"/v1/models/{'a' * 60_000}"),
        Ask("/v1/models/tiny-gpt2?n_layer=" + "[" * 20_000 + "]" * 20_000),
    ],
    "/v1/models/{preset}/{file}": [
        Ask("/v1/models/qwen3-235b-a22b/model.safetensors", "HEAD"),
        Ask("/v1/models/qwen3-235b-a22b/model.safetensors.index.json?max_shard_size=1GB"),
        Ask(f"/v1/models/tiny-gpt2/{'a' * 60_000}"),
    ],
    "/v1/specs": [Ask("/v1/specs"), Ask("/v1/specs?search=" + "%25" * 100)],
    "/v1/specs/{namespace}/{name}": [
        *(Ask("/v1/specs/loop/one", "PUT", body) for body in SHORT.values()),
        _of(ATTACKS["11: a shard for each byte"]),
        Ask("/v1/specs/loop/layers", "PUT",
            json.dumps({"layers": [lstm(f"l{i}") for i in range(12)]}).encode()),
        Ask("/v1/specs/loop/layers"),
    ],
    "/v1/specs/{namespace}/{name}/{file}": [
        Ask("/v1/specs/loop/layers/model.safetensors", "HEAD"),
        Ask("/v1/specs/loop/layers/README.md"),
    ],
    "/v1/compare": [
        *(_of(one) for one in ATTACKS.values() if one.path == "/v1/compare"),
        Ask("/v1/compare", "POST", _filled('"he_n#"', '{"schemes":[', "]}")),
        Ask("/v1/compare", "POST", json.dumps({
            "schemes": ["he_normal"], "network": {"depth": 30, "width": 16}, "seeds": 1, "batch": 2,
        }).encode()),
    ],
    "/v1/advise": [Ask("/v1/advise?layer=linear&activation=relu&norm=batch")],
    "/v1/schemes": [Ask("/v1/schemes")],
    "/v1/schemes/{name}": [Ask("/v1/schemes/normal"), Ask(f"/v1/schemes/{'a' * 60_000}")],
    "/v1/layers": [Ask("/v1/layers")],
    "/v1/layers/{kind}": [Ask("/v1/layers/lstm"), Ask(f"/v1/layers/{'a' * 60_000}")],
    "/v1/dtypes": [Ask("/v1/dtypes")],
    "/healthz": [Ask("/healthz")],
    "/readyz": [Ask("/readyz")],
    "/metrics": [Ask("/metrics")],
    "/": [Ask("/")],
    "/docs": [Ask("/docs")],
    "/docs/assets/{name}": [Ask("/docs/assets/" + "a" * 60_000)],
    "/openapi.json": [Ask("/openapi.json")],
    "/page/{version}/{name:path}": [Ask(f"/page/{'a' * 30_000}/{'b' * 30_000}")],
    # The Hub's, each at two places.
    "/api/models": [Ask("/api/models?search=" + "a" * 60_000), Ask("/api/models")],
    "/api/models/{namespace}/{name}": [Ask("/api/models/seedbed/qwen3-235b-a22b?blobs=true")],
    "/api/models/{namespace}/{name}/revision/{rest:path}": [
        Ask("/api/models/seedbed/qwen3-235b-a22b/revision/seed-4"),
        Ask(f"/api/models/seedbed/tiny-gpt2/revision/{'a' * 60_000}"),
    ],
    "/api/models/{namespace}/{name}/tree/{rest:path}": [
        Ask("/api/models/seedbed/qwen3-235b-a22b/tree/main?expand=true"),
    ],
    "/api/models/{namespace}/{name}/paths-info/{rest:path}": [
        Ask("/api/models/seedbed/qwen3-235b-a22b/paths-info/main", "POST", _PATHS.encode()),
        Ask("/api/models/seedbed/tiny-gpt2/paths-info/main", "POST",
            b'{"paths":[' + b",".join([b"[]"] * 21_000) + b"]}"),
        Ask("/api/models/seedbed/tiny-gpt2/paths-info/main", "POST",
            b"&".join([b"paths=a"] * 8000), "application/x-www-form-urlencoded"),
    ],
    "/api/models/{namespace}/{name}/commits/{rest:path}": [
        Ask("/api/models/seedbed/qwen3-235b-a22b/commits/main"),
    ],
    "/api/models/{namespace}/{name}/refs": [Ask("/api/models/seedbed/tiny-gpt2/refs")],
    "/api/models/{rest:path}": [Ask("/api/models/a/b/c/" + "d/" * 10_000)],
    "/{namespace}/{name}/resolve/{rest:path}": [
        Ask("/seedbed/qwen3-235b-a22b/resolve/main/model.safetensors.index.json"),
        Ask("/seedbed/tiny-gpt2/resolve/main/" + "d/" * 10_000),
        Ask(f"/seedbed/{'g' * 60_000}/resolve/main/config.json"),
    ],
    "/{namespace}/{name}/raw/{rest:path}": [Ask("/seedbed/tiny-gpt2/raw/main/README.md")],
    "/s3": [Ask("/s3")],
    "/s3/": [Ask("/s3/")],
    "/s3/{bucket}": [
        Ask("/s3/seedbed?list-type=2"),
        Ask("/s3/seedbed?list-type=2&delimiter=/"),
        Ask("/s3/seedbed?list-type=2&prefix=qwen3-235b-a22b/7/"),
        Ask(f"/s3/{'g' * 60_000}?prefix={'a/' * 100}"),
    ],
    "/s3/{bucket}/": [Ask("/s3/seedbed/?prefix=tiny-gpt2/7/")],
    "/s3/{bucket}/{key:path}": [
        Ask("/s3/seedbed/qwen3-235b-a22b/7/model.safetensors.index.json"),
        Ask("/s3/seedbed/tiny-gpt2/7/" + "d/" * 10_000),
        Ask(f"/s3/seedbed/{'g' * 60_000}/7/config.json"),
    ],
    "/s3/{rest:path}": [Ask("/s3/seedbed/tiny-gpt2/7/config.json", method="PUT")],
    # And of ids without an organisation.
    "/api/models/{name}": [Ask("/api/models/gpt2"), Ask(f"/api/models/{'a' * 60_000}")],
    "/api/models/{name}/revision/{rest:path}": [
        Ask("/api/models/gpt2/revision/seed-4"), Ask(f"/api/models/gpt2/revision/{'a' * 60_000}"),
    ],
    "/api/models/{name}/tree/{rest:path}": [Ask("/api/models/gpt2-xl/tree/main?expand=true")],
    "/api/models/{name}/commits/{rest:path}": [Ask("/api/models/gpt2-xl/commits/main")],
    "/api/models/{name}/paths-info/{rest:path}": [
        Ask("/api/models/gpt2/paths-info/main", "POST", _PATHS.encode()),
    ],
    "/{name}/resolve/{rest:path}": [
        Ask("/gpt2/resolve/main/config.json"), Ask("/gpt2/resolve/main/" + "d/" * 10_000),
    ],
    "/{name}/raw/{rest:path}": [Ask("/gpt2/raw/main/README.md")],
}  # fmt: skip
"""For each route the largest or dearest requests that anybody has thought of."""


def _routes(app: FastAPI) -> set[str]:
    """The paths of all routes, without the Hub's second place."""
    return {route.path.removeprefix("/hub") for route in app.router.routes}  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The application with its usual settings."""
    registry = tmp_path_factory.mktemp("loop") / "registry.db"
    return create_app(Settings(registry_url=f"sqlite:///{registry}", log_level="error"))


@contextlib.contextmanager
def longest_turn() -> Iterator[list[float]]:
    """The processor time of the dearest callback that a loop of this thread runs in the block.

    asyncio's own loop, whose callbacks can be seen; what a turn does is the same in uvloop.
    """
    dearest = [0.0]
    run = events.Handle._run

    def watched(handle: Any) -> None:
        began = time.thread_time()
        run(handle)
        dearest[0] = max(dearest[0], time.thread_time() - began)

    events.Handle._run = watched  # type: ignore[method-assign]
    try:
        yield dearest
    finally:
        events.Handle._run = run  # type: ignore[method-assign]


@contextlib.asynccontextmanager
async def started(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, which runs in the same loop."""
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://here", timeout=120) as client,
    ):
        yield client


def test_every_route_is_tried(app: FastAPI) -> None:
    """A route that is added is tried as well."""
    assert _routes(app) == LARGEST.keys()


@pytest.mark.stress
def test_no_request_holds_the_loop(tmp_path: Path) -> None:
    """No callback takes over 100 ms of processor, nor is any answer a failure."""
    found: dict[str, tuple[float, int]] = {}

    async def work() -> None:
        settings = Settings(
            registry_url=f"sqlite:///{tmp_path}/registry.db", log_level="error", planners=4
        )
        async with started(create_app(settings)) as client:
            await client.get("/v1/models")  # imports, once
            for route, asks in LARGEST.items():
                for i, ask in enumerate(asks):
                    headers = {"content-type": ask.media_type} if ask.body else {}
                    with longest_turn() as turn:
                        answer = await client.request(
                            ask.method, ask.path, content=ask.body or None, headers=headers
                        )
                    found[f"{route} {i} {ask.body[:60]!r}"] = turn[0], answer.status_code

    asyncio.run(work())
    assert {name: one for name, one in found.items() if one[0] > MOST_SECONDS} == {}
    assert {name: one for name, one in found.items() if one[1] >= 500 and one[1] != 503} == {}


def test_a_canonical_spec_is_a_short_body() -> None:
    """The bodies above are within what is parsed at once, and some of them mean a file."""
    assert all(len(body) <= SHORT_BYTES or name == "deep" for name, body in SHORT.items())
    CheckpointSpec.model_validate_json(SHORT["layers"])
