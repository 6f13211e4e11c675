from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from seedbed.files import VirtualFile
from seedbed.files.one_tensor import spec_of_one
from tests.serving import PATIENCE_SECONDS, Server, serving, wait_until
from tests.web.local import MIB, TERABYTE, Answer, CountingEngine, Local, Raw, bytes_of

SMALL = "/v1/tensors/ones/8.safetensors"
LARGE = "/v1/tensors/uniform/3000x1000.safetensors"
CONTENT = bytes_of(VirtualFile(spec_of_one("uniform", "3000x1000", {})))

NOT_HTTP = {
    "words": b"hello\r\n\r\n",
    "an unknown method": b"BREW / HTTP/1.1\r\nHost: here\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost here\r\n\r\n",
    "a negative length": b"POST /v1/describe HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /v1/describe HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n"
    b"Content-Length: 2\r\n\r\n",
    "length and chunks": b"POST /v1/describe HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n",
    "a path that is no ASCII": "GET /é HTTP/1.1\r\nHost: h\r\n\r\n".encode(),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
}


def is_refusal(answer: Answer, status: int) -> None:
    """Whether an answer is a problem, after which the connection is closed."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    problem = json.loads(answer.body)
    assert problem["status"] == status
    assert problem["detail"]


@pytest.mark.parametrize("sent", NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_is_no_http(server: Server, sent: bytes) -> None:
    """What cannot be read as HTTP is 400, a problem like others, and ends the connection."""
    with Raw(server.port) as raw:
        is_refusal(raw.send(sent).answer(), 400)
        assert raw.has_ended()


def test_chunks_that_are_none(server: Server) -> None:
    """A chunked body that is none is refused in the same way."""
    with Raw(server.port) as raw:
        raw.send(
            b"POST /v1/describe HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nnonsense\r\n\r\n"
        )
        is_refusal(raw.answer(), 400)
        assert raw.has_ended()


def test_no_refusal_within_a_body(server: Server) -> None:
    """What is no HTTP behind a request cuts its answer, and never writes into it."""
    with Raw(server.port, receive_buffer=2**14) as raw:
        status, headers = raw.get(LARGE).head()
        raw.send(b"nonsense\r\n\r\n")
        body = raw.rest()
    assert status == 200
    assert len(body) < int(headers["content-length"])
    assert body == CONTENT[: len(body)]


HEADS = {
    "a header": (b"GET /healthz HTTP/1.1\r\nHost: here\r\nX: " + b"x" * 3000 + b"\r\n\r\n", 431),
    "many headers": (b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 700 + b"\r\n", 431),
    "a URL": (b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: here\r\n\r\n", 414),
    "an endless URL": (b"GET /" + b"x" * 300_000, 414),
    "an endless header": (b"GET / HTTP/1.1\r\nX: " + b"x" * 300_000, 431),
    "endless headers": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50_000, 431),
}


@pytest.mark.parametrize(("sent", "status"), HEADS.values(), ids=HEADS)
def test_heads_that_are_too_large(small_heads: Local, sent: bytes, status: int) -> None:
    """URL and headers past the limit are 414 or 431, before they have ended."""
    with Raw(small_heads.port) as raw:
        sender = threading.Thread(target=_send, args=(raw, sent), daemon=True)
        sender.start()
        is_refusal(raw.answer(), status)
        assert raw.has_ended()
        sender.join(PATIENCE_SECONDS)


def _send(raw: Raw, sent: bytes) -> None:
    """Send as much as the other side takes, in pieces of the size of packets."""
    try:
        for start in range(0, len(sent), 1400):
            raw.send(sent[start : start + 1400])
    except OSError:
        return


@pytest.fixture(scope="module")
def small_heads() -> Iterator[Local]:
    """A service that takes heads of 2,000 bytes."""
    with Local(engine="numpy", max_head_bytes=2000) as local:
        yield local


def test_heads_just_small_enough(small_heads: Local) -> None:
    """A head within the limit is served, one after the other, however large the bodies between."""
    pad = "X: " + "x" * 1800
    body = json.dumps({"tensors": [{"name": "w", "shape": [1], "init": "ones"}]}).encode()
    body += b" " * 300_000
    post = (
        f"POST /v1/describe HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n{pad}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    with Raw(small_heads.port) as raw:
        for _ in range(3):
            assert raw.get("/healthz", pad).answer().status == 200
            assert raw.send(post, body).answer().status == 200
        raw.send(post, body, post, body).get("/healthz", pad)
        assert [raw.answer().status for _ in range(3)] == [200, 200, 200]


def test_pieces_of_a_head(small_heads: Local) -> None:
    """A head that comes byte by byte is a head."""
    with Raw(small_heads.port) as raw:
        for byte in b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n":
            raw.send(bytes([byte]))
        assert raw.answer().status == 200


def test_http_1_0(server: Server) -> None:
    """HTTP/1.0 is answered with a length, and the connection is closed."""
    with Raw(server.port) as raw:
        answer = raw.send(f"GET {SMALL} HTTP/1.0\r\n\r\n".encode()).answer()
        assert answer.status == 200
        assert len(answer.body) == int(answer.headers["content-length"])
        assert raw.has_ended()


def test_a_port_that_is_chosen(tmp_path: Path) -> None:
    """With port 0 the service chooses one, and its log says which."""
    log = tmp_path / "log"
    environment = {"SEEDBED_PORT": "0", "SEEDBED_ENGINE": "numpy", "SEEDBED_LOG_FORMAT": "json"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "seedbed.cli", "serve"], env=environment, stderr=file
        )
    try:
        wait_until(lambda: "listening" in log.read_text(), "it to listen")
        line = next(x for x in map(json.loads, log.read_text().splitlines()) if "port" in x)
        assert httpx.get(f"http://127.0.0.1:{line['port']}/healthz").status_code == 200
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """A port that somebody else has ends the start with a line that says so."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = {"SEEDBED_PORT": str(taken.getsockname()[1]), "SEEDBED_ENGINE": "numpy"}
        done = subprocess.run(
            [sys.executable, "-m", "seedbed.cli", "serve"], env=environment,
            capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode != 0
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_running_download_ends_well(tmp_path: Path, by: signal.Signals) -> None:
    """On SIGTERM or SIGINT readiness turns, then downloads go on to their end, then it is over."""
    with serving(tmp_path, log_format="json", drain_seconds=0.5) as server:
        with Raw(server.port, receive_buffer=2**14) as raw:
            _, headers = raw.get(LARGE).head()
            begun = raw.take(MIB)
            ending = threading.Thread(target=server.end, args=(by,))
            ending.start()
            # New connections are still taken, for a while, and told that there will be no more.
            wait_until(lambda: _readiness(server) != 200, "readiness to turn")
            assert _readiness(server) in (503, 0)
            wait_until(lambda: _readiness(server) == 0, "connections to be refused")
            body = begun + raw.rest()
        ending.join(PATIENCE_SECONDS)
        assert not ending.is_alive()
        assert len(body) == int(headers["content-length"])
        assert body == CONTENT
        events = [json.loads(line)["event"] for line in server.log.read_text().splitlines()]
        assert "stopping" in events
        assert "failure" not in events


def _readiness(server: Server) -> int:
    """The status of /readyz, or 0 if nobody takes the connection."""
    try:
        return httpx.get(f"{server.url}/readyz", timeout=5).status_code
    except httpx.TransportError:
        return 0


def test_a_download_that_does_not_end_is_cut(tmp_path: Path) -> None:
    """A download that takes longer than the setting is cut, so that its client notices."""
    with serving(tmp_path, log_format="json", shutdown_seconds=1) as server:
        with Raw(server.port, receive_buffer=2**14) as raw:
            _, headers = raw.get(TERABYTE).head()
            raw.take(MIB)
            ending = threading.Thread(target=server.end)
            ending.start()
            count = 0
            while part := raw.take(4 * MIB):
                count += len(part)
            assert count < int(headers["content-length"])
        ending.join(PATIENCE_SECONDS)
        assert not ending.is_alive()


def test_readiness_turns_first() -> None:
    """While it drains the service answers, and says that it is not ready."""
    with Local(engine="numpy", drain_seconds=3600) as local:
        with local.client() as client:
            assert client.get("/readyz").status_code == 200
            local.begin_to_stop()
            wait_until(lambda: client.get("/readyz").status_code == 503, "readiness to turn")
            assert client.get("/healthz").status_code == 200
            assert client.get(SMALL).status_code == 200
        refused = httpx.get(f"{local.url}/readyz")  # on a new connection
        assert refused.json()["type"] == "urn:seedbed:problem:not-ready"
        local.stop_at_once()


def test_all_requests_of_a_connection_end_with_it() -> None:
    """When a connection is lost, the download and all requests queued behind it end."""
    with Local(engine="numpy", threads=1) as local:
        engine = CountingEngine().install(local.service)
        aborted = "seedbed_aborted_responses_total"
        route = "/v1/tensors/{scheme}/{shape}.safetensors"
        with Raw(local.port) as raw:
            for _ in range(5):
                raw.get(TERABYTE)
            raw.head()
        wait_until(lambda: local.metric(aborted, route=route) == 1, "the first to end")
        assert local.service.admission.active == 0
        with local.client() as client:
            assert client.get(SMALL).status_code == 200
        assert local.metric(aborted, route=route) == 1
        assert engine.calls < 50
