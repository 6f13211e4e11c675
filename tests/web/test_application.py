from __future__ import annotations

import asyncio
from types import SimpleNamespace

import httpx
import pytest

from seedbed.stream import get_engine
from seedbed.web import application, service
from seedbed.web.application import create_app
from seedbed.web.settings import Settings
from tests.serving import Server
from tests.web.local import Local, Raw

GETS = [
    "/", "/docs", "/docs/assets/favicon.png", "/openapi.json", "/healthz", "/readyz", "/metrics",
    "/v1/schemes", "/v1/schemes/he_normal", "/v1/layers", "/v1/layers/conv2d", "/v1/dtypes",
    "/v1/tensors/normal/4.safetensors", "/v1/models", "/v1/models/tiny-resnet",
    "/v1/models/tiny-resnet/model.safetensors", "/v1/specs", "/v1/advise?layer=linear",
]  # fmt: skip

POSTS = ["/v1/checkpoints", "/v1/describe", "/v1/compare"]

VARYING = {"date", "x-request-id", "content-length"}


def test_every_path_is_here(client: httpx.Client) -> None:
    """These paths are all that there are, but for links and named specs, tested elsewhere."""
    described = client.get("/openapi.json").json()["paths"]
    concrete = {
        "/v1/schemes/{name}": "/v1/schemes/he_normal",
        "/v1/layers/{kind}": "/v1/layers/conv2d",
        "/v1/models/{preset}": "/v1/models/tiny-resnet",
        "/v1/models/{preset}/{file}": "/v1/models/tiny-resnet/model.safetensors",
        "/v1/advise": "/v1/advise?layer=linear",
        "/v1/tensors/{scheme}/{shape}.safetensors": "/v1/tensors/normal/4.safetensors",
    }
    for path, methods in described.items():
        if "get" in methods and "{token}" not in path and "{namespace}" not in path:
            assert concrete.get(path, path) in GETS
        if "post" in methods:
            assert path in POSTS


@pytest.mark.parametrize("path", GETS)
def test_head_is_get_without_a_body(client: httpx.Client, path: str) -> None:
    """Where there is GET there is HEAD, with the same status and headers, and no body."""
    got, head = client.get(path), client.head(path)
    assert got.status_code == head.status_code
    assert got.headers.keys() == head.headers.keys()
    assert head.content == b""
    assert {k: v for k, v in got.headers.items() if k not in VARYING} == {
        k: v for k, v in head.headers.items() if k not in VARYING
    }
    if path != "/metrics":  # which says something else each time
        assert got.headers["content-length"] == head.headers["content-length"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", GETS)
def test_methods_of_what_can_be_got(client: httpx.Client, method: str, path: str) -> None:
    """Another method is 405, and Allow has all that there are (RFC 9110 §15.5.6)."""
    response = client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", POSTS)
def test_methods_of_what_can_be_posted(client: httpx.Client, method: str, path: str) -> None:
    """What takes a body takes it by POST alone."""
    response = client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("path", [*GETS[1:], *POSTS])
def test_a_path_has_one_spelling(client: httpx.Client, path: str) -> None:
    """A slash too many is 404, and no redirection, which would repeat what Host says."""
    spelled = f"{path.partition('?')[0]}/"
    response = client.get(spelled, headers={"host": "elsewhere.example"})
    assert response.status_code == 404
    assert "location" not in response.headers


@pytest.mark.parametrize("accept", ["application/json", "image/png", "*/*;q=0", ""])
def test_accept_does_not_matter(client: httpx.Client, accept: str) -> None:
    """There is one representation of everything, which is sent whatever Accept says (§12.5.1)."""
    response = client.get("/v1/tensors/ones/1.safetensors", headers={"accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/octet-stream"


def test_upgrades_are_declined(server: Server) -> None:
    """A request to upgrade is answered as if it had not asked (RFC 9110 §7.8)."""
    with Raw(server.port) as raw:
        raw.get(
            "/healthz", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )  # fmt: skip
        assert raw.answer().status == 200


def test_expectations(server: Server) -> None:
    """A client that waits for leave to send its body is given it, if its head is in order."""
    body = b'{"tensors":[{"name":"w","shape":[],"init":"ones"}]}'
    head = (
        "POST /v1/describe HTTP/1.1\r\nHost: here\r\nContent-Type: {}\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with Raw(server.port) as raw:
        assert raw.send(head.format("application/json").encode()).head() == (100, {})
        assert raw.send(body).answer().status == 200
    with Raw(server.port) as raw:
        assert raw.send(head.format("text/plain").encode()).answer().status == 415


def test_behind_a_prefix() -> None:
    """Behind a proxy that takes away a prefix, links and pages have it."""
    app = create_app(Settings(engine="numpy", log_level="error"))
    app.root_path = "/weights"
    body = {"tensors": [{"name": "w", "shape": [1], "init": "ones"}]}

    async def ask() -> tuple[httpx.Response, ...]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            described = await client.post("/weights/v1/describe", json=body)
            return (
                described,
                await client.get(described.json()["links"]["file"]),
                await client.get("/weights/docs"),
                await client.get("/weights/"),
            )

    described, file, page, root = asyncio.run(ask())
    assert described.json()["links"]["file"].startswith("/weights/v1/checkpoints/")
    assert file.status_code == 200
    assert "'/weights/openapi.json'" in page.text
    assert root.status_code == 200
    assert '="/weights/' in root.text


def test_it_says_when_kernels_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no kernel can be had the definition draws instead, and the log says so."""
    said: list[str] = []
    log = SimpleNamespace(warning=lambda event, **_: said.append(event), info=lambda *_, **__: None)
    monkeypatch.setattr(application, "log", log)
    monkeypatch.setattr(service, "get_engine", lambda _: get_engine("numpy"))
    with Local(engine="numpy") as local, local.client() as client:
        assert client.get("/v1/tensors/normal/9.safetensors").status_code == 200
    assert said == []
    with Local() as local, local.client() as client:
        assert client.get("/v1/tensors/normal/9.safetensors").status_code == 200
    (warning,) = said
    assert "NumPy" in warning
