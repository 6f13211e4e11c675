from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import pytest
import structlog
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from seedbed.web import observability
from seedbed.web.admission import Admission
from seedbed.web.observability import Metrics, Observability, configure_logging
from tests.serving import Server, wait_until
from tests.web.local import TERABYTE, CountingEngine, Local, Raw

SMALL = "/v1/tensors/ones/8.safetensors"
ROUTE = "/v1/tensors/{scheme}/{shape}.safetensors"


def lines(server: Server) -> list[dict[str, Any]]:
    """What the service has logged, one JSON object a line and nothing else."""
    text = server.log.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def line_of(server: Server, request_id: str) -> dict[str, Any]:
    """The one line about a request, once it is there."""

    def found() -> list[dict[str, Any]]:
        text = server.log.read_text(encoding="utf-8").rpartition("\n")[0]
        parsed = map(json.loads, text.splitlines())
        return [line for line in parsed if line.get("request_id") == request_id]

    wait_until(found, "the line of a request")
    (line,) = found()
    return line


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("abc-123_X.y", True), ("a" * 64, True), ("a" * 65, False), ("", False),
        ("two words", False), ("<script>", False), ("a;b", False), ("é", False),
    ],
)  # fmt: skip
def test_request_ids(client: httpx.Client, sent: str, kept: bool) -> None:  # noqa: FBT001
    """A client's own request id is kept if it is harmless, else it is given a new one."""
    response = client.get("/healthz", headers={b"x-request-id": sent.encode()})
    given = response.headers["x-request-id"]
    assert (given == sent) == kept
    assert kept or re.fullmatch("[0-9a-f]{16}", given)


@pytest.mark.parametrize("path", ["/healthz", "/nope", SMALL, "/docs/assets/x", "/v1/checkpoints"])
def test_every_answer_has_a_request_id(client: httpx.Client, path: str) -> None:
    """Every answer has an id, errors too, and no two the same."""
    first, second = (client.get(path).headers["x-request-id"] for _ in range(2))
    assert first != second


def test_a_line_a_request(client: httpx.Client, server: Server) -> None:
    """The log has one line for each request, which says what it was and what became of it."""
    response = client.get(f"{SMALL}?seed=5", headers={"x-request-id": "a-line"})
    line = line_of(server, "a-line")
    assert line.pop("seconds") >= 0
    assert line.pop("timestamp")
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "a-line",
        "method": "GET",
        "target": f"{SMALL}?seed=5",
        "status": 200,
        "sent_bytes": len(response.content),
        "complete": True,
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nope", 404), ("PUT", "/healthz", 405), ("HEAD", SMALL, 200), ("HEAD", "/nope", 404)],
)
def test_lines_of_other_answers(
    client: httpx.Client, server: Server, method: str, path: str, status: int
) -> None:
    """Errors have their line too, and HEAD sends no bytes."""
    request_id = f"other-{method}-{status}"
    response = client.request(method, path, headers={"x-request-id": request_id})
    line = line_of(server, request_id)
    assert (line["status"], line["method"], line["target"]) == (status, method, path)
    assert line["sent_bytes"] == len(response.content)
    assert line["complete"]
    assert line.get("problem") == {404: "not-found", 405: "method-not-allowed"}.get(status)


def test_no_line_can_be_forged(client: httpx.Client, server: Server) -> None:
    """Line ends and quotes in a path stay percent-encoded, and a long one is cut."""
    client.get("/a%0A%22b%1b[31m", headers={"x-request-id": "forged"})
    assert line_of(server, "forged")["target"] == "/a%0A%22b%1b[31m"
    client.get("/" + "x" * 9000, headers={"x-request-id": "long"})
    assert len(line_of(server, "long")["target"]) < 400


def test_lines_are_json_from_the_start(client: httpx.Client, server: Server) -> None:
    """Every line of the log is one JSON object, what uvicorn says included."""
    with Raw(server.port) as raw:
        assert raw.send(b"nonsense\r\n\r\n").answer().status == 400
    wait_until(
        lambda: any("Invalid HTTP" in line["event"] for line in lines(server)), "uvicorn's line"
    )
    client.get("/healthz")
    events = [line["event"] for line in lines(server)]
    assert events[:2] == ["ready", "listening"]
    listening = lines(server)[1]
    assert (listening["host"], listening["port"]) == ("127.0.0.1", server.port)


def test_metrics_of_answers() -> None:
    """Requests, bytes and times are counted by route, and unknown paths all together."""
    with Local(engine="numpy") as local, local.client() as client:
        size = len(client.get(SMALL).content)
        client.get(f"{SMALL}?seed=1")
        client.head(SMALL)
        for i in range(3):
            client.get(f"/nope/{i}")
        client.put("/healthz")
        answered = "seedbed_requests_total"
        assert local.metric(answered, method="GET", route=ROUTE, status="200") == 2
        assert local.metric(answered, method="HEAD", route=ROUTE, status="200") == 1
        assert local.metric(answered, method="GET", route="unknown", status="404") == 3
        assert local.metric(answered, method="PUT", route="/healthz", status="405") == 1
        assert local.metric("seedbed_sent_bytes_total", route=ROUTE) == 2 * size
        assert local.metric("seedbed_first_byte_seconds_count", route=ROUTE) == 3
        assert local.metric("seedbed_aborted_responses_total", route=ROUTE) == 0


def test_streams_are_gauged() -> None:
    """What is being sent and what waits can be seen while it does."""
    with Local(engine="numpy", max_streams=1) as local:
        CountingEngine().install(local.service)
        with Raw(local.port) as first, Raw(local.port) as second:
            first.get(TERABYTE).head()
            second.get(TERABYTE)
            wait_until(lambda: local.metric("seedbed_streams_waiting") == 1, "the second to wait")
            assert local.metric("seedbed_streams") == 1
        wait_until(lambda: local.metric("seedbed_streams") == 0, "both to end")
        assert local.metric("seedbed_streams_waiting") == 0


def test_bytes_are_counted_while_they_are_sent() -> None:
    """A download that goes on for ever shows in the bytes, and its first byte in the times."""
    with Local(engine="numpy", chunk_bytes=2**16) as local, Raw(local.port) as raw:
        raw.get(TERABYTE).head()
        assert len(raw.take(2**18)) == 2**18
        assert local.metric("seedbed_sent_bytes_total", route=ROUTE) >= 2**18
        assert local.metric("seedbed_first_byte_seconds_count", route=ROUTE) == 1
        assert local.metric("seedbed_requests_total", route=ROUTE) == 0


def test_first_byte_waits_for_the_body() -> None:
    """The first byte is one that has been drawn, and headers are not sent before it."""
    drawing = threading.Event()
    with Local(engine="numpy", log_level="error") as local, Raw(local.port) as raw:
        engine = CountingEngine(before=lambda _: drawing.wait(60) and None).install(local.service)
        raw.get(TERABYTE)
        wait_until(lambda: engine.calls, "it to be drawn")
        assert local.metric("seedbed_first_byte_seconds_count", route=ROUTE) == 0
        drawing.set()
        raw.head()
        raw.take(1)
        wait_until(
            lambda: local.metric("seedbed_first_byte_seconds_count", route=ROUTE) == 1, "a byte"
        )


def test_draws_are_counted() -> None:
    """Every element that is drawn counts once; constants and what is not asked for do not."""
    with Local(engine="numpy") as local, local.client() as client:
        path = "/v1/tensors/normal/100x50.safetensors"
        size = len(client.get(path).content)
        assert local.metric("seedbed_drawn_elements_total") == 5000
        client.get(path, headers={"range": f"bytes={size - 40}-"})
        assert local.metric("seedbed_drawn_elements_total") == 5010
        assert local.metric("seedbed_draw_seconds_total") > 0
        client.get(SMALL)
        client.head(path)
        assert local.metric("seedbed_drawn_elements_total") == 5010


def test_cache_lookups_are_counted() -> None:
    """Plans and whole matrices count as missed when they are made, and as hit after that."""

    def lookups(cache: str) -> tuple[float, float]:
        name = "seedbed_cache_lookups_total"
        hit, miss = (local.metric(name, cache=cache, result=result) for result in ("hit", "miss"))
        return hit, miss

    with Local(engine="numpy") as local, local.client() as client:
        for cuts in (1, 2, 3):
            for first in range(cuts):
                client.get(
                    "/v1/tensors/orthogonal/256x256.safetensors",
                    headers={"range": f"bytes={-64 * (first + 1)}"},
                ).raise_for_status()
            asked = cuts * (cuts + 1) / 2
            assert lookups("plans") == (asked - 1, 1)
            assert lookups("matrices") == (asked - 1, 1)


REFUSALS = {
    "not-found": ("GET", "/nowhere/{}", {}, b""),
    "method-not-allowed": ("DELETE", "/v1/dtypes", {}, b""),
    "invalid-spec": ("GET", "/v1/tensors/he_normal/4x4.safetensors?a=b{}", {}, b""),
    "invalid-token": ("GET", "/v1/checkpoints/x{}/model.safetensors", {}, b""),
    "limit": ("GET", "/v1/tensors/normal/99999999x9{}.safetensors", {}, b""),
    "invalid-json": ("POST", "/v1/checkpoints", {"content-type": "application/json"}, b"{{{}"),
    "unsupported-media-type": ("POST", "/v1/checkpoints", {"content-type": "text/x{}"}, b""),
    "range-not-satisfiable": ("GET", SMALL, {"range": "bytes=99{}-"}, b""),
    "precondition-failed": ("GET", SMALL, {"if-match": '"{}"'}, b""),
}


def test_refusals_are_counted_by_reason() -> None:
    """A refusal counts by its kind, which the log has too, and what was refused makes no series."""
    with Local(engine="numpy") as local, local.client() as client:
        for number in (1001, 1002):
            for reason, (method, path, headers, body) in REFUSALS.items():
                response = client.request(
                    method,
                    path.format(number),
                    headers={name: value.format(number) for name, value in headers.items()},
                    content=body.replace(b"{}", b"%d" % number),
                )
                assert response.json()["type"] == f"urn:seedbed:problem:{reason}"
        text = client.get("/metrics").text
    found = re.findall(r'^seedbed_refusals_total\{reason="([^"]*)"\} (\S+)$', text, re.MULTILINE)
    assert dict(found) == dict.fromkeys(REFUSALS, "2.0")


def test_waiting_is_measured() -> None:
    """A download that finds no slot counts with the time it waits, and as refused if in vain."""
    with Local(engine="numpy", max_streams=1, queue_seconds=0.05) as local, Raw(local.port) as raw:
        CountingEngine().install(local.service)
        raw.get(TERABYTE).head()
        assert local.metric("seedbed_queue_seconds_count") == 0
        with local.client() as client:
            assert client.get(TERABYTE).status_code == 429
        assert local.metric("seedbed_queue_seconds_count") == 1
        assert local.metric("seedbed_queue_seconds_sum") > 0  # timers and clocks differ in grain
        assert local.metric("seedbed_refusals_total", reason="busy") == 1
        assert local.metric("seedbed_streams_limit") == 1


def exchange(app: Any, method: str = "GET") -> tuple[list[Message], Metrics]:
    """What the middleware sends of what an application says, and what it counts."""
    metrics = Metrics(Admission(1, 0, 0, 1))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": "/a\nb", "query_string": b"", "headers": [],
    }  # fmt: skip
    asyncio.run(Observability(app, metrics)(scope, receive, send))
    return sent, metrics


def counted(metrics: Metrics, status: int, method: str = "GET") -> float:
    """How many requests were counted with this status."""
    labels = {"method": method, "route": "unknown", "status": str(status)}
    return metrics.registry.get_sample_value("seedbed_requests_total", labels) or 0


def test_failure_before_the_answer() -> None:
    """An error that nobody answered becomes a 500 with the id under which it was logged."""

    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise RuntimeError("provoked")

    sent, metrics = exchange(app)
    assert sent[0]["status"] == 500
    assert dict(sent[0]["headers"])[b"x-request-id"]
    assert b"provoked" not in sent[1]["body"]
    assert counted(metrics, 500) == 1


def test_failure_within_the_answer() -> None:
    """An error in the middle of a body sends nothing more, so that the server sees it cut."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("provoked")

    sent, metrics = exchange(app)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert counted(metrics, 200) == 1
    aborted = "seedbed_aborted_responses_total"
    assert metrics.registry.get_sample_value(aborted, {"route": "unknown"}) == 1


def test_client_that_leaves_before_the_answer() -> None:
    """A client that leaves within its own request is counted as 499, and is no failure."""

    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise ClientDisconnect

    sent, metrics = exchange(app)
    assert sent == []
    assert counted(metrics, 499) == 1


def test_strange_methods_are_one() -> None:
    """Methods that nobody knows do not make new series."""
    _, metrics = exchange(empty, "X" * 50)
    assert counted(metrics, 200, "other") == 1


@contextlib.contextmanager
def logging_to(
    capsys: pytest.CaptureFixture[str],
    into: list[str],
    form: Literal["console", "json"] = "json",
    level: str = "info",
) -> Iterator[None]:
    """Within the block logging is configured like this; `into` gets the lines."""
    kept, handlers, log = structlog.get_config(), logging.getLogger().handlers[:], observability.log
    configure_logging(form, level)
    configure_logging(form, level)  # which may happen any number of times
    observability.log = structlog.get_logger("test")  # one that was used keeps its configuration
    try:
        yield
        into += capsys.readouterr().err.splitlines()
    finally:
        structlog.configure(**kept)
        logging.getLogger().handlers = handlers
        observability.log = log


async def empty(_: Scope, __: Receive, send: Send) -> None:
    """An application that has nothing to say."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_standard_error_that_was_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of libraries go where standard error leads now, as after a test that captured it."""
    kept, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    before, now = io.StringIO(), io.StringIO()
    try:
        monkeypatch.setattr(sys, "stderr", before)
        configure_logging("json", "info")
        before.close()
        monkeypatch.setattr(sys, "stderr", now)
        logging.getLogger("library").warning("a line")
    finally:
        structlog.configure(**kept)
        logging.getLogger().handlers = handlers
    assert json.loads(now.getvalue())["event"] == "a line"


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """On a console the same facts are in a line that is no JSON and has no colours in a file."""
    logged: list[str] = []
    with logging_to(capsys, logged, "console"):
        sent, _ = exchange(empty)
    (line,) = logged
    request_id = dict(sent[0]["headers"])[b"x-request-id"].decode()
    assert re.search(r"\binfo\b", line)
    for fact in (f"request_id={request_id}", "method=GET", "status=200", "target=/a%0Ab"):
        assert fact in line
    assert "\x1b" not in line


def test_levels(capsys: pytest.CaptureFixture[str]) -> None:
    """At a higher level the lines of requests are left out."""
    logged: list[str] = []
    with logging_to(capsys, logged, level="warning"):
        exchange(empty)
    assert logged == []


def test_failures_are_logged_with_their_cause(capsys: pytest.CaptureFixture[str]) -> None:
    """The log has the error, its traceback and the id that the client was given, in one line."""

    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise RuntimeError("provoked")

    logged: list[str] = []
    with logging_to(capsys, logged):
        sent, _ = exchange(app)
    failure, request = map(json.loads, logged)
    request_id = dict(sent[0]["headers"])[b"x-request-id"].decode()
    assert failure["request_id"] == request["request_id"] == request_id
    assert (failure["event"], failure["level"]) == ("failure", "error")
    assert "RuntimeError: provoked" in failure["exception"]
    assert "Traceback" in failure["exception"]
    assert (request["event"], request["status"]) == ("request", 500)


def test_libraries_log_in_our_form(capsys: pytest.CaptureFixture[str]) -> None:
    """What a library logs comes out once, in our form, however often logging is configured."""
    logged: list[str] = []
    with logging_to(capsys, logged):
        logging.getLogger("some.library").warning("it is %s", "late")
    (line,) = map(json.loads, logged)
    assert (line["event"], line["level"]) == ("it is late", "warning")
