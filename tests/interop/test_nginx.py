"""deploy/nginx/nginx.conf, run by Debian's nginx before two replicas: what it caches, and what not.

Nothing of the file is changed but where it listens, logs, keeps its cache and finds replicas.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from seedbed.files import VirtualFile
from seedbed.files.one_tensor import spec_of_one
from seedbed.stream import get_engine
from seedbed.web.keys import line_of, new_key
from tests.serving import PATIENCE_SECONDS, Server, free_port, wait_until

pytestmark = pytest.mark.interop

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx" / "nginx.conf"

SLICE = 4 << 20
"""Of the configuration."""


@dataclass
class Proxy:
    """nginx before replicas."""

    url: str
    replicas: list[Server]
    log: Path

    def asked(self, target: str) -> list[int]:
        """How often each replica has been asked for this, by the logs of the replicas."""
        return [
            sum(
                line["target"] == target
                for line in map(json.loads, replica.log.read_text().splitlines())
                if line["event"] == "request"
            )
            for replica in self.replicas
        ]


@contextlib.contextmanager
def proxied(directory: Path, **settings: object) -> Iterator[Proxy]:
    """Two replicas, and nginx with our configuration before them."""
    replicas = [Server(directory, engine="auto", log_format="json", **settings) for _ in range(2)]
    upstream = directory / "upstream.conf"
    servers = "".join(
        f"server 127.0.0.1:{replica.port} max_fails=1 fail_timeout=1s;" for replica in replicas
    )
    upstream.write_text(f"upstream seedbed {{ {servers} keepalive 8; }}\n")
    port, log = free_port(), directory / "access.log"
    text = CONFIGURATION.read_text().replace(" /tmp/", f" {directory}/")
    for ours, here in {
        "listen 8080;": f"listen 127.0.0.1:{port};",
        "/etc/nginx/upstream.conf": str(upstream),
        "/var/cache/nginx/slices": str(directory / "slices"),
        "/dev/stdout": str(log),
        "/dev/stderr": str(directory / "error.log"),
    }.items():
        assert text.count(ours) == 1, ours
        text = text.replace(ours, here)
    configuration = directory / "nginx.conf"
    configuration.write_text(text)
    as_root = "user root;" if os.geteuid() == 0 else ""
    command = ["nginx", "-p", str(directory), "-c", str(configuration)]
    subprocess.run([*command, "-t", "-q"], check=True, timeout=PATIENCE_SECONDS)
    process = None
    try:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(Server.start, replicas))
        process = subprocess.Popen([*command, "-g", f"daemon off; {as_root}"])
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url), "nginx to answer")
        yield Proxy(url, replicas, log)
    finally:
        if process is not None:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
        for replica in replicas:
            replica.end()


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/healthz").status_code == 200
    return False


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """For all tests but those that kill or need other settings."""
    with proxied(tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture(scope="module")
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    """A client of it."""
    with httpx.Client(base_url=proxy.url, timeout=PATIENCE_SECONDS) as connected:
        yield connected


def target_of(seed: int) -> str:
    """A file of 9 MiB and a header: two whole slices and a part."""
    return f"/v1/tensors/he_normal/1536x1536.safetensors?seed={seed}"


def file_of(seed: int) -> VirtualFile:
    """The same file by the definition."""
    spec = spec_of_one("he_normal", "1536x1536", {"seed": str(seed)})
    return VirtualFile(spec, engine=get_engine("numpy"))


SIZE = file_of(0).size

RANGES = {
    "within a slice": (100, 5_000),
    "over an edge": (SLICE - 10, SLICE + 10),
    "over all": (0, SIZE),
    "in the last slice": (SIZE - 1000, SIZE),
}


@pytest.mark.parametrize("name", RANGES)
def test_second_read_is_from_the_cache(proxy: Proxy, client: httpx.Client, name: str) -> None:
    """A range that is read again comes from the cache, with the same bytes, and nobody is asked."""
    start, stop = RANGES[name]
    seed = 100 + list(RANGES).index(name)
    target, expected = target_of(seed), bytes(file_of(seed).read(start, stop))
    ask = {"range": f"bytes={start}-{stop - 1}"}
    first = client.get(target, headers=ask)
    asked = sum(proxy.asked(target))
    assert asked == (stop - 1) // SLICE - start // SLICE + 1
    again = client.get(target, headers=ask)
    assert (first.headers["x-cache-status"], again.headers["x-cache-status"]) == ("MISS", "HIT")
    for answer in (first, again):
        assert answer.status_code == 206
        assert answer.content == expected
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
        assert answer.headers["etag"] == f'"{file_of(seed).etag}"'
        assert "immutable" in answer.headers["cache-control"]
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    assert sum(proxy.asked(target)) == asked


def test_ranges_share_slices(proxy: Proxy, client: httpx.Client) -> None:
    """Any ranges of slices that are there come from the cache, the last bytes included."""
    target, file = target_of(7), file_of(7)
    client.get(target, headers={"range": f"bytes=0-{SIZE - 1}"})
    asked = proxy.asked(target)
    whole = bytes(file.read(0, SIZE))
    for text, start, stop in (
        ("0-0", 0, 1),
        (f"{SLICE}-{SLICE}", SLICE, SLICE + 1),
        (f"{SIZE - 5}-", SIZE - 5, SIZE),
        ("-77", SIZE - 77, SIZE),
        (f"12345-{10 * SIZE}", 12345, SIZE),
    ):
        answer = client.get(target, headers={"range": f"bytes={text}"})
        assert answer.headers["x-cache-status"] == "HIT", text
        assert answer.content == whole[start:stop], text
    assert proxy.asked(target) == asked


REPEATED = ("etag", "content-length", "accept-ranges", "cache-control", "content-disposition")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_whole_files_pass_straight_through(proxy: Proxy, client: httpx.Client, method: str) -> None:
    """Whole downloads and HEAD are the service's own answers, and push nothing out of the cache."""
    target = target_of(21)
    direct = httpx.request(method, proxy.replicas[0].url + target)
    for _ in range(2):
        answer = client.request(method, target)
        assert answer.status_code == 200
        assert "x-cache-status" not in answer.headers
        assert [answer.headers[name] for name in REPEATED] == [
            direct.headers[name] for name in REPEATED
        ]
        assert answer.content == direct.content
    asked = sum(proxy.asked(target))
    assert asked >= 3


def test_several_ranges_pass_straight_through(client: httpx.Client) -> None:
    """Several ranges at once, which nginx cannot slice, are answered by the service."""
    answer = client.get(target_of(22), headers={"range": "bytes=0-1,10-11"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")


@pytest.mark.parametrize("matching", [True, False])
def test_if_range(client: httpx.Client, matching: bool) -> None:  # noqa: FBT001
    """A download is resumed if the file is still the same, and begins again if it is not."""
    etag = file_of(23).etag if matching else "another"
    answer = client.get(
        target_of(23), headers={"range": f"bytes={SIZE - 10}-", "if-range": f'"{etag}"'}
    )
    start = SIZE - 10 if matching else 0
    assert answer.status_code == (206 if matching else 200)
    assert answer.content == bytes(file_of(23).read(start, SIZE))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-none-match": "ETAG"}, 304),
        ({"if-none-match": "ETAG", "range": "bytes=0-9"}, 304),
        ({"if-none-match": '"other"', "range": "bytes=0-9"}, 206),
        ({"if-match": '"other"'}, 412),
        ({"if-match": '"other"', "range": "bytes=0-9"}, 412),
        ({"if-match": "ETAG", "range": "bytes=0-9"}, 206),
    ],
)
def test_conditions(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    """Conditions hold through the cache as they do without it."""
    etag = f'"{file_of(24).etag}"'
    sent = {name: etag if value == "ETAG" else value for name, value in headers.items()}
    assert client.get(target_of(24), headers=sent).status_code == status


def test_ranges_past_the_end(client: httpx.Client) -> None:
    """A range past the end of the file is 416 with the size, and is not kept."""
    for _ in range(2):
        answer = client.get(target_of(25), headers={"range": f"bytes={SIZE}-"})
        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{SIZE}"
        assert answer.headers["x-cache-status"] != "HIT"


def test_errors_are_the_services_own(client: httpx.Client) -> None:
    """Errors pass as problem+json, whether a range was asked for or not, and are not kept."""
    for headers in ({}, {"range": "bytes=0-9"}):
        for _ in range(2):
            answer = client.get("/v1/tensors/hee_normal/2x2.safetensors", headers=headers)
            assert answer.json()["type"] == "urn:seedbed:problem:invalid-spec"
            assert answer.headers.get("x-cache-status") != "HIT"
    assert client.get("/metrics").status_code == 404


def test_posts_pass(proxy: Proxy, client: httpx.Client) -> None:
    """A spec by POST gives the same file as without nginx, and a link that works through it."""
    spec = {"seed": 5, "tensors": [{"name": "w", "shape": [64, 64], "init": "he_normal"}]}
    direct = httpx.post(f"{proxy.replicas[0].url}/v1/checkpoints", json=spec)
    answer = client.post("/v1/checkpoints", json=spec)
    assert answer.content == direct.content
    link = answer.headers["content-location"]
    part = client.get(link, headers={"range": "bytes=-1000"})
    assert (part.status_code, part.headers["x-cache-status"]) == (206, "MISS")
    assert part.content == answer.content[-1000:]


def test_concurrent_readers_draw_once(proxy: Proxy) -> None:
    """Of many who want one new slice at once, one has it drawn, and all get it."""
    target, ask = target_of(26), {"range": "bytes=0-99999"}
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: httpx.get(proxy.url + target, headers=ask), range(8)))
    assert {answer.content for answer in answers} == {bytes(file_of(26).read(0, 100_000))}
    assert sum(proxy.asked(target)) == 1


def test_a_replica_dies(tmp_path: Path) -> None:
    """When one replica is killed, what is cached stays, and the other draws the rest."""
    with proxied(tmp_path) as proxy, httpx.Client(base_url=proxy.url) as client:
        kept = client.get(target_of(1), headers={"range": "bytes=0-9"})
        proxy.replicas[0].end(signal.SIGKILL)
        again = client.get(target_of(1), headers={"range": "bytes=0-9"})
        assert again.headers["x-cache-status"] == "HIT"
        assert again.content == kept.content
        for seed in range(2, 6):
            answer = client.get(target_of(seed), headers={"range": "bytes=0-9999"})
            assert answer.status_code == 206
            assert answer.content == bytes(file_of(seed).read(0, 10_000))
            assert client.get(target_of(seed)).status_code == 200
        proxy.replicas[1].end(signal.SIGKILL)
        last = client.get(target_of(5), headers={"range": "bytes=0-9999"})
        assert last.content == answer.content
        assert client.get(target_of(6), headers={"range": "bytes=0-9"}).status_code == 502


def test_private_files_are_not_cached(tmp_path: Path) -> None:
    """Where a key is needed, nobody gets from the cache what another's key has paid for."""
    key = new_key()
    line = line_of("reader", frozenset({"read"}), key)
    with (
        proxied(tmp_path, anonymous="none", api_keys=line) as proxy,
        httpx.Client(base_url=proxy.url) as client,
    ):
        ask = {"range": "bytes=0-9"}
        for _ in range(2):
            answer = client.get(target_of(1), headers={**ask, "authorization": f"Bearer {key}"})
            assert (answer.status_code, answer.headers["x-cache-status"]) == (206, "MISS")
        assert client.get(target_of(1), headers=ask).status_code == 401
