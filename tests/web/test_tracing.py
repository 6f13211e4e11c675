from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from seedbed.web.settings import Settings
from tests import processes
from tests.serving import free_port, serving, wait_until
from tests.web.local import TERABYTE, Local, Raw

SMALL = "/v1/tensors/ones/8.safetensors"
ROUTE = "/v1/tensors/{scheme}/{shape}.safetensors"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass
class Collector:
    """An OTLP/HTTP collector, which takes what comes and keeps it."""

    url: str = ""
    resource: dict[str, Any] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)

    def servers(self) -> list[Span]:
        """Spans of whole requests."""
        return [span for span in self.spans if span.kind == Span.SPAN_KIND_SERVER]

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep it."""
        for of_resource in request.resource_spans:
            self.resource = facts(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans += of_scope.spans


def facts(attributes: Any) -> dict[str, Any]:
    """Attributes of OTLP as a dict."""
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value")
        for each in attributes
    }


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens until the block ends."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            collector.take(ExportTraceServiceRequest.FromString(body))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield collector
        finally:
            server.shutdown()


def test_a_span_a_request() -> None:
    """Each request is a span by the conventions, with the time to its first byte and that after."""
    with collecting() as collector:
        with (
            Local(engine="numpy", otlp_endpoint=collector.url) as local,
            local.client() as client,
        ):
            size = len(client.get(f"{SMALL}?seed=5", headers={"range": "bytes=0-"}).content)
            assert client.get("/nowhere").status_code == 404
            for quiet in ("/healthz", "/readyz", "/metrics"):
                assert client.get(quiet).status_code == 200
        whole, missing = collector.servers()
        assert collector.resource["service.name"] == "seedbed"
        assert {"service.version", "service.instance.id"} <= collector.resource.keys()
        assert whole.name == f"GET {ROUTE}"
        assert facts(whole.attributes) == {
            "http.request.method": "GET",
            "http.request.header.range": "bytes=0-",
            "http.response.body.size": size,
            "http.response.status_code": 206,
            "http.route": ROUTE,
            "client.address": "127.0.0.1",
            "network.protocol.version": "1.1",
            "url.path": SMALL,
            "url.query": "seed=5",
            "url.scheme": "http",
            "seedbed.complete": True,
        }
        assert whole.status.code == Status.STATUS_CODE_UNSET
        halves = [span for span in collector.spans if span.parent_span_id == whole.span_id]
        first, send = sorted(halves, key=lambda span: span.start_time_unix_nano)
        assert (first.name, send.name) == ("first byte", "send")
        assert whole.start_time_unix_nano == first.start_time_unix_nano
        assert first.end_time_unix_nano == send.start_time_unix_nano
        assert send.end_time_unix_nano <= whole.end_time_unix_nano
        assert missing.name == "GET"
        found = facts(missing.attributes)
        assert (found["http.response.status_code"], found["seedbed.problem"]) == (404, "not-found")


def test_cut_downloads_are_errors() -> None:
    """A download whose client leaves is an error in its trace."""
    with collecting() as collector:
        with Local(engine="numpy", otlp_endpoint=collector.url) as local:
            with Raw(local.port) as raw:
                raw.get(TERABYTE).head()
                raw.take(1)
            wait_until(lambda: local.metric("seedbed_aborted_responses_total", route=ROUTE), "end")
        (span,) = collector.servers()
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert facts(span.attributes)["error.type"] == "incomplete"


@pytest.mark.parametrize(("flags", "ratio", "sent"), [("01", 0.0, True), ("00", 1.0, False)])
def test_traces_of_others_go_on(flags: str, ratio: float, sent: bool) -> None:  # noqa: FBT001
    """A trace that a client has begun is continued, and sent if and only if the client says so."""
    with collecting() as collector:
        with (
            Local(engine="numpy", otlp_endpoint=collector.url, trace_ratio=ratio) as local,
            local.client() as client,
        ):
            client.get(SMALL, headers={"traceparent": f"00-{TRACE}-{PARENT}-{flags}"})
        assert [
            (span.trace_id.hex(), span.parent_span_id.hex()) for span in collector.servers()
        ] == [(TRACE, PARENT)] * sent


def test_traces_are_named_in_the_log(tmp_path: Path) -> None:
    """The log says of each request which trace it belongs to."""
    with (
        collecting() as collector,
        serving(tmp_path, engine="numpy", log_format="json", otlp_endpoint=collector.url) as server,
    ):
        traced = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "traced"}
        httpx.get(f"{server.url}{SMALL}", headers=traced).raise_for_status()
        wait_until(lambda: "traced" in server.log.read_text(), "the line")
        lines = map(json.loads, server.log.read_text().splitlines())
        (line,) = (line for line in lines if line.get("request_id") == "traced")
        assert line["trace_id"] == TRACE


def test_collector_that_is_not_there() -> None:
    """Without its collector the service answers as ever, and ends."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    with Local(engine="numpy", otlp_endpoint=endpoint, log_level="error") as local:
        assert httpx.get(f"{local.url}{SMALL}").status_code == 200


def run(code: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A Python of its own, which looks for modules in `path` first."""
    more = {} if path is None else {"PYTHONPATH": str(path)}
    return processes.run(sys.executable, "-c", code, env=processes.environment(**more), text=True)


APPLICATION = """
import sys
from seedbed.web.application import create_app
from seedbed.web.settings import Settings
app = create_app(Settings(engine="numpy", registry_url="none"))
names = [middleware.cls.__name__ for middleware in app.user_middleware]
print(names, sorted({name for name in sys.modules if name.startswith("opentelemetry.sdk")}))
"""


def test_nothing_is_imported_without_the_setting() -> None:
    """An application that makes no traces has no middleware for them, and imports no SDK."""
    ended = run(APPLICATION)
    assert ended.stdout.strip() == "['Observability', 'SecurityHeaders'] []", ended.stderr


def test_missing_extra(tmp_path: Path) -> None:
    """Who sets an endpoint without the extra is told what to install."""
    hidden = tmp_path / "opentelemetry" / "exporter"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").touch()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    ended = run(
        "from seedbed.web.settings import Settings; Settings(otlp_endpoint='http://here:4318')",
        tmp_path,
    )
    assert ended.returncode == 1
    assert "traces need pip install 'seedbed[otel]'" in ended.stderr


@pytest.mark.parametrize("text", ["", "here:4318", "ftp://here"])
def test_endpoints_that_are_none(text: str) -> None:
    """An endpoint is a URL of HTTP."""
    with pytest.raises(ValueError, match="otlp_endpoint"):
        Settings(otlp_endpoint=text)
