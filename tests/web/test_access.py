from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi import Request
from pydantic import ValidationError

from seedbed.web import keys
from seedbed.web.keys import Scope, line_of, new_key
from seedbed.web.settings import Settings
from tests.serving import PATIENCE_SECONDS, serving, wait_until
from tests.web.local import TERABYTE, CountingEngine, Local, Raw

READER, WRITER, SLOW, NARROW = (new_key() for _ in range(4))

_READ: frozenset[Scope] = frozenset({"read"})

LINES = ";".join(
    (
        line_of("reader", _READ, READER),
        line_of("writer", frozenset({"write"}), WRITER),
        f"{line_of('slow', _READ, SLOW)} rate=0.25 burst=2",
        f"{line_of('narrow', _READ, NARROW)} concurrency=1",
    )
)

SPEC = {"tensors": [{"name": "w", "shape": [2], "init": "ones"}]}

FILE = "/v1/tensors/ones/4.safetensors"

READING = [
    ("GET", FILE), ("HEAD", FILE), ("GET", "/v1/schemes"), ("GET", "/v1/specs"),
    ("POST", "/v1/checkpoints"), ("POST", "/v1/describe"), ("GET", "/openapi.json"),
    ("GET", "/v1/specs/team/net"), ("GET", "/nowhere"), ("GET", "/"), ("GET", "/docs"),
    ("GET", "/metrics"),
]  # fmt: skip
WRITING = [("PUT", "/v1/specs/team/net"), ("DELETE", "/v1/specs/team/net")]
OPEN = [("GET", "/healthz"), ("HEAD", "/healthz"), ("GET", "/readyz")]


def bearer(key: str) -> dict[str, str]:
    """The header by which a client shows a key."""
    return {"authorization": f"Bearer {key}"}


def ask(client: httpx.Client, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    """Ask, with a body where there has to be one."""
    body = SPEC if method in ("POST", "PUT") else None
    return client.request(method, path, json=body, headers=headers)


@pytest.fixture(scope="module", params=["all", "read", "none"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, httpx.Client]]:
    """A service with keys, for each of what may be done without one."""
    url = f"sqlite:///{tmp_path_factory.mktemp('access')}/r.db"
    with (
        Local(api_keys=LINES, anonymous=request.param, registry_url=url) as local,
        local.client() as client,
    ):
        yield request.param, client


def test_who_may_do_what(running: tuple[str, httpx.Client]) -> None:
    """Each request, with each key and with none, is admitted, 401 or 403 as its scopes say."""
    anonymous, client = running
    public = {"all": {"read", "write"}, "read": {"read"}, "none": set()}[anonymous]
    scopes = {None: set(), "nonsense": set(), READER: {"read"}, WRITER: {"write"}}
    for needed, requests in (("read", READING), ("write", WRITING)):
        for method, path in requests:
            for key, own in scopes.items():
                answer = ask(client, method, path, {} if key is None else bearer(key))
                if needed in own | public:
                    assert answer.status_code not in (401, 403, 429), (method, path, key)
                    continue
                assert answer.status_code == (403 if own else 401), (method, path, key)
                challenge = answer.headers["www-authenticate"]
                assert challenge.startswith("Bearer")
                assert ("invalid_token" in challenge) == (key == "nonsense")
                assert ("insufficient_scope" in challenge) == bool(own)
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["x-request-id"]
                if method != "HEAD":
                    assert answer.json()["status"] == answer.status_code
                    assert "nonsense" not in answer.text


def test_probes_need_no_key(running: tuple[str, httpx.Client]) -> None:
    """Whether it is alive and ready is said to anybody."""
    _, client = running
    for method, path in OPEN:
        for headers in ({}, bearer("nonsense")):
            assert ask(client, method, path, headers).status_code == 200


def test_hub_clients_with_tokens_of_their_own(running: tuple[str, httpx.Client]) -> None:
    """A token that is unknown here, as Hub clients send to everyone, does no harm to reading."""
    anonymous, client = running
    for path in ("/seedbed/none/resolve/main/config.json", "/api/models/seedbed/none", FILE):
        for header in ("Bearer hf_abc", "bearer x", "Basic dTpw", "Bearer", "", "Digest a=b"):
            answer = client.get(path, headers={"authorization": header})
            if anonymous == "none":
                assert answer.status_code == 401
            else:
                assert answer.status_code == client.get(path).status_code != 401


def test_no_shared_cache_keeps_what_needs_a_key(running: tuple[str, httpx.Client]) -> None:
    """Caches are told what only holders of keys may read; what all may read they may keep."""
    anonymous, client = running
    for headers in ({}, {"range": "bytes=0-3"}):
        answer = client.get(FILE, headers={**bearer(READER), **headers})
        directives = answer.headers["cache-control"].split(", ")
        if anonymous == "none":
            assert directives == ["private", "max-age=31536000", "immutable"]
        else:
            assert directives == ["public", "max-age=31536000", "immutable"]


def test_two_authorizations(running: tuple[str, httpx.Client]) -> None:
    """A request with two of them shows no key, whichever they are."""
    anonymous, client = running
    pairs = [("authorization", f"Bearer {READER}"), ("authorization", f"Bearer {WRITER}")]
    answer = client.request("DELETE", "/v1/specs/team/none", headers=pairs)
    assert answer.status_code == (404 if anonymous == "all" else 401)


def test_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its burst a key gets 429 and is told when to come back; others are not affected."""
    now = [1000.0]
    monkeypatch.setattr(keys, "monotonic", lambda: now[0])
    with Local(api_keys=LINES) as local, local.client() as client:
        statuses = [client.get(FILE, headers=bearer(SLOW)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        refused = client.get(FILE, headers=bearer(SLOW))
        assert refused.headers["retry-after"] == "4"
        assert refused.json()["type"] == "urn:seedbed:problem:key-busy"
        assert "slow" in refused.json()["detail"]
        assert client.get(FILE, headers=bearer(READER)).status_code == 200
        assert client.get(FILE).status_code == 200
        now[0] += 4
        assert client.get(FILE, headers=bearer(SLOW)).status_code == 200
        assert client.get(FILE, headers=bearer(SLOW)).status_code == 429


def test_concurrency() -> None:
    """A key has so many answers at the same time; when one ends, however, another may begin."""
    with Local(api_keys=LINES) as local, local.client() as client:
        for _ in range(2):
            with Raw(local.port, receive_buffer=2**14) as raw:
                raw.get(TERABYTE, f"Authorization: Bearer {NARROW}")
                assert raw.head()[0] == 200
                refused = client.get(FILE, headers=bearer(NARROW))
                assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
                assert client.get(FILE, headers=bearer(READER)).status_code == 200
            wait_until(
                lambda: client.get(FILE, headers=bearer(NARROW)).status_code == 200,
                "the key to be free",
            )


def test_failures_give_back_what_they_took() -> None:
    """A request that fails counts no longer against its key's number."""
    with Local(api_keys=LINES) as local, local.client() as client:

        def fail(_: int) -> None:
            raise MemoryError

        CountingEngine(before=fail).install(local.service)
        for _ in range(2):
            assert (
                client.get("/v1/tensors/normal/9.safetensors", headers=bearer(NARROW)).status_code
                == 500
            )


def test_nothing_leaks(tmp_path: Path) -> None:
    """Neither keys nor hashes nor paths are in what a service with keys logs or answers."""
    file = tmp_path / "keys"
    file.write_text(LINES.replace(";", "\n"))
    with serving(
        tmp_path, api_keys_file=file, anonymous="none", log_format="json", log_level="debug"
    ) as server:
        texts = []
        for key in (READER, WRITER, "seedbed_wrong", "hf_mine"):
            for method, path in (("GET", FILE), ("PUT", "/v1/specs/team/net")):
                answer = httpx.request(
                    method, server.url + path, json=SPEC, headers=bearer(key), timeout=60
                )
                texts.append(f"{answer.headers}{answer.text}")
        metrics = httpx.get(f"{server.url}/metrics", headers=bearer(READER)).text
    said = "".join(texts) + metrics + server.log.read_text()
    assert '"key": "writer"' in said  # who stored it is logged by name
    hashes = [line.split("sha256:")[1][:64] for line in LINES.split(";")]
    for secret in (READER, WRITER, "seedbed_wrong", "hf_mine", str(file), *hashes):
        assert secret not in said


@pytest.mark.parametrize(
    ("trusted", "believed"),
    [("none", False), ("127.0.0.1", True), ("10.0.0.0/8, 127.0.0.0/8", True), ("10.0.0.1", False)],
)
def test_proxies(trusted: str, *, believed: bool) -> None:
    """What a proxy says of its client is believed only if the proxy is one of those named."""
    local = Local(trusted_proxies=trusted)

    async def whoami(request: Request) -> list[str]:
        assert request.client is not None
        return [request.client.host, request.url.scheme]

    local.app.add_api_route("/whoami", whoami)
    said = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
    with local, local.client() as client:
        answer = client.get("/whoami", headers=said).json()
    assert answer == (["192.0.2.7", "https"] if believed else ["127.0.0.1", "http"])


@pytest.mark.parametrize(
    "trusted", ["", "localhost", "10.0.0.0/33", "127.0.0.1 10.0.0.1", "10.1/8"]
)
def test_what_is_no_proxy(trusted: str) -> None:
    """What is no address or network is refused at the start, since it would trust nobody."""
    with pytest.raises(ValidationError, match="trusted_proxies"):
        Settings(trusted_proxies=trusted)


def test_many_keys_at_once() -> None:
    """Keys that are used in parallel are told apart: each gets its own refusals and no other's."""
    made = {f"k{i}": new_key() for i in range(8)}
    lines = ";".join(
        f"{line_of(name, _READ, key)} rate=0.001 burst={i + 1}"
        for i, (name, key) in enumerate(made.items())
    )
    with Local(api_keys=lines, anonymous="none") as local, ThreadPoolExecutor(8) as pool:
        barrier = threading.Barrier(8)

        def use(key: str) -> int:
            with httpx.Client(base_url=local.url, timeout=PATIENCE_SECONDS) as client:
                barrier.wait(PATIENCE_SECONDS)
                answers = [client.get(FILE, headers=bearer(key)).status_code for _ in range(12)]
            return answers.count(200)

        assert list(pool.map(use, made.values())) == list(range(1, 9))
