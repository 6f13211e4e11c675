from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from seedbed.files import VirtualFile
from seedbed.files.one_tensor import spec_of_one
from tests.processes import PATIENCE_SECONDS, attempts, wait_until
from tests.serving import Server
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


HOSTS = {
    "none": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "none, as 1.0 allows": (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
    "two": (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "two, in 1.0": (b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "two in one": (b"GET /healthz HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    "a user": (b"GET /healthz HTTP/1.1\r\nHost: me@a\r\n\r\n", 400),
    "a path": (b"GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "a port that is none": (b"GET /healthz HTTP/1.1\r\nHost: a:http\r\n\r\n", 400),
    "half an address": (b"GET /healthz HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    "empty": (b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", 200),
    "a name": (b"GET /healthz HTTP/1.1\r\nHost: a_b.c-d.\r\n\r\n", 200),
    "an address": (b"GET /healthz HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n", 200),
    "encoded": (b"GET /healthz HTTP/1.1\r\nHost: %C3%A9:80\r\n\r\n", 200),
}


@pytest.mark.parametrize(("sent", "status"), HOSTS.values(), ids=HOSTS)
def test_hosts(server: Server, sent: bytes, status: int) -> None:
    """There is exactly one Host, and it is one; only HTTP/1.0 may leave it out (RFC 9112 §3.2)."""
    with Raw(server.port) as raw:
        answer = raw.send(sent).answer()
        assert answer.status == status
        if status == 400:
            is_refusal(answer, 400)
            assert "Host" in json.loads(answer.body)["detail"]


@pytest.fixture(scope="module")
def impatient() -> Iterator[Local]:
    """A service that waits half a second for a head and for a client to take something."""
    with Local(
        engine="numpy", head_seconds=0.5, stall_seconds=0.5, keep_alive_seconds=3600
    ) as local:
        yield local


@pytest.mark.parametrize("sent", [b"GET /healthz HTTP/1.1\r\n", b"G"], ids=["a line", "a letter"])
def test_head_that_does_not_come(impatient: Local, sent: bytes) -> None:
    """A head that has not come in time is 408, on a new connection and on one that is kept."""
    for kept in (False, True):
        with Raw(impatient.port) as raw:
            if kept:
                assert raw.get("/healthz").answer().status == 200
            answer = raw.send(sent).answer()
            is_refusal(answer, 408)
            assert "SEEDBED_HEAD_SECONDS" in json.loads(answer.body)["detail"]
            assert raw.has_ended()


@pytest.mark.parametrize("drip", [b"X: y\r\n", b"\r\n"], ids=["headers", "empty lines"])
def test_head_that_drips(impatient: Local, drip: bytes) -> None:
    """It is the whole head that must come in time: a byte now and then does not help."""
    with Raw(impatient.port) as raw:
        if drip != b"\r\n":
            raw.send(b"GET /healthz HTTP/1.1\r\nHost: here\r\n")
        assert said_after_drips(raw, drip) in (b"", b"HTTP/1.1 408")


def said_after_drips(raw: Raw, drip: bytes) -> bytes:
    """The beginning of the answer, if any, to a client that sends a little again and again."""
    raw.socket.settimeout(0.05)
    for _ in attempts("an answer or an end"):
        try:
            raw.send(drip)
            return raw.socket.recv(12)
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return b""


def test_connection_that_says_nothing(impatient: Local) -> None:
    """A connection on which nothing is asked is closed, without a word."""
    with Raw(impatient.port) as raw:
        assert raw.rest() == b""


def test_unread_body_that_drips(impatient: Local) -> None:
    """A body that nobody reads does not keep a connection open for ever."""
    with Raw(impatient.port) as raw:
        assert raw.get("/healthz", "Content-Length: 1000000").answer().status == 200
        assert said_after_drips(raw, b"x") == b""


def test_waiting_is_not_held_against_a_client() -> None:
    """What a client waits for, an answer or its turn, does not count as its own slowness."""
    with Local(engine="numpy", max_streams=1, queue_seconds=3600) as local:
        go = threading.Event()
        CountingEngine(before=lambda _: go.wait(PATIENCE_SECONDS) and None).install(local.service)
        with Raw(local.port) as first, Raw(local.port) as second:
            first.get(LARGE).send(b"GET /healthz HTTP/1.1\r\n")  # and a piece of the next head
            second.get(LARGE)
            wait_until(lambda: local.service.admission.waiting == 1, "the second to wait")
            for _ in range(3):
                local.let_pass(3600)
            go.set()
            assert first.answer().body == CONTENT
            assert second.answer().body == CONTENT
            assert first.send(b"Host: here\r\n\r\n").answer().status == 200


@pytest.mark.parametrize("target", [TERABYTE, LARGE], ids=["long", "all in buffers"])
def test_reader_that_stalls(impatient: Local, target: str) -> None:
    """A client that takes nothing loses its connection and its place, and sees that it has."""
    with Raw(impatient.port, receive_buffer=2**14) as raw:
        status, headers = raw.get(target).head()
        assert status == 200
        wait_until(lambda: impatient.service.admission.active == 1, "the download to begin")
        wait_until(lambda: impatient.service.admission.active == 0, "the download to be given up")
        with pytest.raises(ConnectionResetError):
            raw.take(int(headers["content-length"]))
    assert int(headers["content-length"]) > 2**20


def test_slow_reader_does_not_stall() -> None:
    """A client that takes a little now and then, much slower than the limit, gets it all."""
    with (
        Local(engine="numpy", stall_seconds=2) as patient,
        Raw(patient.port, receive_buffer=2**16) as raw,
    ):
        status, headers = raw.get(LARGE).head()
        length = int(headers["content-length"])
        body = b""
        while len(body) < length:
            time.sleep(0.02)
            body += raw.take(min(2**16, length - len(body)))
    assert (status, body) == (200, CONTENT)


def test_requests_behind_one_another_are_read_as_they_are_due() -> None:
    """A few are read ahead; the rest waits in the system, not in the service, and is answered."""
    count, pad = 2000, "X: " + "x" * 8000
    with Local(engine="numpy") as local, Raw(local.port) as raw:
        go = threading.Event()
        CountingEngine(before=lambda _: go.wait(PATIENCE_SECONDS) and None).install(local.service)
        raw.get(LARGE)
        wait_until(lambda: local.protocols, "the connection")
        (protocol,) = local.protocols

        def ask() -> None:
            for _ in range(count):
                raw.get("/healthz", pad)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        wait_until(lambda: protocol.flow.read_paused, "reading to stop")
        # 16, and what came with the last of them in one piece: of 256 KiB at most.
        assert 16 < len(protocol.pipeline) <= 16 + 2**18 // 8000 + 1
        go.set()
        assert raw.answer().body == CONTENT
        assert all(raw.answer().status == 200 for _ in range(count))
        asking.join(PATIENCE_SECONDS)


@pytest.mark.parametrize("limit", ["max_connections", "max_host_connections"])
def test_connections_past_the_limit(limit: str) -> None:
    """Beyond a limit of busy connections requests are 429, and are served when there is room."""
    with Local(engine="numpy", retry_after_seconds=7, **{limit: 3}) as local:
        held = [Raw(local.port, receive_buffer=2**14) for _ in range(3)]
        for raw in held:
            assert raw.get(TERABYTE).head()[0] == 200
        held += [Raw(local.port) for _ in range(100)]  # who are silent keep nobody from hearing why
        with Raw(local.port) as raw:
            answer = raw.get("/healthz").answer()
            assert (answer.status, answer.headers["retry-after"]) == (429, "7")
            assert f"SEEDBED_{limit.upper()}" in json.loads(answer.body)["detail"]
            assert raw.has_ended()
        assert len(local._server.server_state.connections) < 3 + 70
        held.pop(0).socket.close()
        wait_until(lambda: len(local._server.places) == 2, "the connection to end")
        with Raw(local.port) as raw:
            assert raw.get("/healthz").answer().status == 200
        for raw in held:
            raw.socket.close()


def test_idle_connections_give_way() -> None:
    """A new connection takes the place of the one that has been idle longest, not of a busy one."""
    with Local(engine="numpy", max_connections=3) as local:
        with Raw(local.port, receive_buffer=2**14) as busy:
            assert busy.get(TERABYTE).head()[0] == 200
            first, second = Raw(local.port), Raw(local.port)
            assert second.get("/healthz").answer().status == 200
            assert first.get("/healthz").answer().status == 200  # used last
            with Raw(local.port) as third:
                assert third.get("/healthz").answer().status == 200
                assert second.has_ended()
                assert first.get("/healthz").answer().status == 200
            assert len(busy.take(MIB)) == MIB
        first.socket.close()
        second.socket.close()


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: here\r\n\r\n"
SPEC = b'{"tensors": [{"name": "w", "shape": [2], "init": "ones"}]}'
JSON = b"Content-Type: application/json\r\n"
UPGRADES = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "websocket": b"Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n",
    "two": b"Upgrade: h2c\r\nConnection: TE\r\nConnection: upgrade\r\nUPGRADE: TLS/1.0\r\n",
}


def _sized(line: bytes, fields: bytes, body: bytes) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return line + b"\r\nHost: here\r\n" + fields + length + b"\r\n" + body


def _chunked(line: bytes, fields: bytes, body: bytes) -> bytes:
    head = line + b"\r\nHost: here\r\n" + fields + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


WITH_BODIES = {
    "a body": lambda fields: _sized(b"POST /v1/describe HTTP/1.1", JSON + fields, SPEC),
    "a body in chunks": lambda fields: _chunked(b"POST /v1/describe HTTP/1.1", JSON + fields, SPEC),
    "a request": lambda fields: _sized(b"POST /v1/describe HTTP/1.1", JSON + fields, SMUGGLED),
    "a chunked request": lambda fields: _chunked(
        b"POST /v1/describe HTTP/1.1", JSON + fields, SMUGGLED
    ),
    "a GET with one": lambda fields: _sized(b"GET /healthz HTTP/1.1", fields, SMUGGLED),
    "a chunked GET": lambda fields: _chunked(b"GET /healthz HTTP/1.1", fields, SMUGGLED),
    "in 1.0": lambda fields: _sized(b"POST /v1/describe HTTP/1.0", JSON + fields, SPEC),
    "no body": lambda fields: b"GET /healthz HTTP/1.1\r\nHost: here\r\n" + fields + b"\r\n",
    "several": lambda fields: b"".join(
        _sized(b"POST /v1/describe HTTP/1.1", JSON + fields, body) for body in (SPEC, SMUGGLED) * 3
    ),
}


def _answers(port: int, packets: list[bytes]) -> list[tuple[int, bytes]]:
    """Status and body of all that comes to these packets and one request more, which is last."""
    last = b"GET /v1/dtypes HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    with Raw(port) as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for packet in packets:
            raw.send(packet)
            time.sleep(0.001)
        raw.send(last)
        found = []
        with contextlib.suppress(ConnectionError):
            for _ in attempts("the connection to end"):
                answer = raw.answer()
                found.append((answer.status, answer.body))
        return found


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("kind", WITH_BODIES)
def test_an_upgrade_is_ignored(server: Server, kind: str, upgrade: str) -> None:
    """Who asks for another protocol is answered as who does not, however the bytes are cut."""
    expected = _answers(server.port, [WITH_BODIES[kind](b"")])
    sent = WITH_BODIES[kind](UPGRADES[upgrade])
    head = sent.index(b"\r\n\r\n") + 4
    cuts = ([sent], [sent[:head], sent[head:]], [sent[: head + 3], sent[head + 3 :]])
    for packets in (*cuts, [sent[i : i + 1] for i in range(len(sent))][:400]):
        whole = packets if sum(map(len, packets)) == len(sent) else [*packets, sent[400:]]
        found = _answers(server.port, whole)
        assert [status for status, _ in found] == [status for status, _ in expected]
        assert found == expected


def test_an_upgrade_and_the_end(server: Server) -> None:
    """One who asks for another protocol and for the end of the connection gets the end."""
    fields = JSON + b"Connection: close, upgrade\r\nUpgrade: h2c\r\n"
    sent = _sized(b"POST /v1/describe HTTP/1.1", fields, SPEC)
    for cut in (len(sent), sent.index(b"{"), len(sent) - 1):
        with Raw(server.port) as raw:
            raw.send(sent[:cut])
            time.sleep(0.01)
            assert raw.send(sent[cut:]).answer().status == 200
            assert raw.has_ended()


CODINGS = {
    "another before": (b"Transfer-Encoding: gzip, chunked", 501),
    "another alone": (b"Transfer-Encoding: gzip", 501),
    "none": (b"Transfer-Encoding: identity", 501),
    "a parameter": (b"Transfer-Encoding: chunked;q=1", 501),
    "another name": (b"Transfer-Encoding: xchunked", 501),
    "twice": (b"Transfer-Encoding: chunked, chunked", 400),
    "two fields": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    "two fields, two codings": (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501),
    "another behind": (b"Transfer-Encoding: chunked, gzip", 400),
    "empty": (b"Transfer-Encoding:", 400),
    "a vertical tab": (b"Transfer-Encoding: \x0bchunked", 400),
}


@pytest.mark.parametrize(("coding", "status"), CODINGS.values(), ids=CODINGS)
def test_transfer_codings(server: Server, coding: bytes, status: int) -> None:
    """A coding that is not exactly chunked is refused, and nothing behind it is read."""
    head = b"POST /v1/describe HTTP/1.1\r\nHost: here\r\n" + JSON + coding + b"\r\n\r\n"
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SPEC), SPEC)
    with Raw(server.port) as raw:
        is_refusal(raw.send(head, body, SMUGGLED).answer(), status)
        assert raw.has_ended()


@pytest.mark.parametrize("spelled", [b"chunked", b"Chunked", b"\tchunked "])
def test_chunked_is_taken(server: Server, spelled: bytes) -> None:
    """Chunked is taken in any case, with any space around, but not in HTTP/1.0."""
    head = b"POST /v1/describe HTTP/%b\r\nHost: here\r\n" + JSON + b"Transfer-Encoding: %b\r\n\r\n"
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SPEC), SPEC)
    with Raw(server.port) as raw:
        assert raw.send(head % (b"1.1", spelled), body).answer().status == 200
    with Raw(server.port) as raw:
        is_refusal(raw.send(head % (b"1.0", spelled), body).answer(), 400)


def test_connect(server: Server) -> None:
    """CONNECT is refused, and what would go through the tunnel is not read as requests."""
    with Raw(server.port) as raw:
        raw.send(b"CONNECT here:80 HTTP/1.1\r\nHost: here:80\r\n\r\n", SMUGGLED)
        is_refusal(raw.answer(), 501)
        assert raw.has_ended()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("downloads", [1, 3])
def test_a_client_that_only_stops_sending(server: Server, version: str, downloads: int) -> None:
    """A client that has shut its sending side gets all it has asked for, whole, then the end."""
    if version == "1.0" and downloads > 1:
        downloads = 1  # without keep-alive there is no second
    with Raw(server.port) as raw:
        raw.send(f"GET {LARGE} HTTP/{version}\r\nHost: here\r\n\r\n".encode() * downloads)
        raw.socket.shutdown(socket.SHUT_WR)
        for _ in range(downloads):
            while (head := raw.head())[0] == 100:  # is anybody there?
                assert version == "1.1"
            assert head[0] == 200
            assert raw.take(int(head[1]["content-length"])) == CONTENT
        assert raw.rest() == b""


def test_half_a_request_is_none(server: Server) -> None:
    """A client that stops sending within its request gets no answer, and the connection ends."""
    whole = _sized(b"POST /v1/describe HTTP/1.1", JSON, SPEC)
    for part in (whole[:9], whole[:-1]):
        with Raw(server.port) as raw:
            raw.send(part).socket.shutdown(socket.SHUT_WR)
            assert raw.rest() == b""


@pytest.mark.parametrize("orderly", [True, False])
def test_a_client_that_closes_in_the_queue(orderly: bool) -> None:  # noqa: FBT001
    """One that closes altogether while it waits is not kept for one that still reads."""
    with (
        Local(engine="numpy", head_seconds=1, max_streams=1, queue_seconds=3600) as local,
        Raw(local.port, receive_buffer=2**14) as first,
    ):
        first.get(TERABYTE).head()
        with Raw(local.port) as second:
            second.get(TERABYTE)
            wait_until(lambda: local.service.admission.waiting == 1, "the second to wait")
            if not orderly:
                linger = b"\1\0\0\0\0\0\0\0"
                second.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        wait_until(lambda: local.service.admission.waiting == 0, "it to be seen leaving")
        assert local.service.admission.active == 1


def test_a_client_that_stops_sending_and_is_slow() -> None:
    """One that has stopped sending may wait for its turn, and read slowly, as any other."""
    with (
        Local(engine="numpy", max_streams=1, queue_seconds=3600) as local,
        Raw(local.port, receive_buffer=2**14) as first,
        Raw(local.port, receive_buffer=2**16) as second,
    ):
        first.get(TERABYTE).head()
        second.get(LARGE).socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: local.service.admission.waiting == 1, "the second to wait")
        for _ in range(5):
            local.let_pass(30)  # half of what a head may take
        asked = [second.head()[0] for _ in range(5)]  # each time it is looked for, and is there
        assert asked == [100] * 5
        first.socket.close()
        while (head := second.head())[0] == 100:
            pass
        body = b""
        while len(body) < len(CONTENT):
            time.sleep(0.01)
            body += second.take(min(2**17, len(CONTENT) - len(body)))
        assert (head[0], body, second.rest()) == (200, CONTENT, b"")
