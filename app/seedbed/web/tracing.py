"""OpenTelemetry traces, for those who ask for them: a span a request, sent by OTLP over HTTP.

Nothing here is imported unless SEEDBED_OTLP_ENDPOINT is set, so who does without pays nothing.
Spans and attributes have the names of OpenTelemetry's semantic conventions for HTTP servers. What
these have no words for begins with `seedbed`.
"""

from __future__ import annotations

import os
import socket
import time

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedbed.web.clients import KEY_NAME
from seedbed.web.observability import METHODS, TRACE_ID
from seedbed.web.problems import PROBLEM_KIND
from seedbed.web.redaction import without_keys, without_secrets

_MAX_CHARS = 4096
"""Of a path, and of a query, in a span."""

_QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""What machines ask all the time, and nobody wants to see."""


def provider_to(endpoint: str, ratio: float, version: str) -> TracerProvider:
    """What makes spans and sends them, in a thread of its own.

    Headers, compression and certificates for the collector are taken from the variables that
    OpenTelemetry has for them, as OTEL_EXPORTER_OTLP_HEADERS; further facts about the service from
    OTEL_RESOURCE_ATTRIBUTES.

    Args:
        endpoint: base URL of an OTLP/HTTP collector; spans go to `/v1/traces` below it.
        ratio: part of the traces begun here that is sent; a caller's own trace is sent if it says
            so.
        version: of the service.
    """
    instance = f"{socket.gethostname()}-{os.getpid()}"
    name = os.environ.get("OTEL_SERVICE_NAME", "seedbed")
    resource = Resource.create(
        {SERVICE_NAME: name, SERVICE_VERSION: version, SERVICE_INSTANCE_ID: instance}
    )
    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(ratio), resource=resource, shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class Tracing:
    """Makes a span of each request, and in it two: until the first byte, and from there on.

    A trace that a client has begun (`traceparent`, W3C Trace Context) is continued. The trace's id
    is in every line that is logged meanwhile.

    Args:
        app: that answers.
        provider: of spans; ended by whoever made it.
    """

    def __init__(self, app: ASGIApp, provider: TracerProvider) -> None:
        self._app = app
        self._tracer = provider.get_tracer("seedbed")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch what is sent."""
        if scope["type"] != "http" or scope["path"] in _QUIET_PATHS:
            await self._app(scope, receive, send)
            return
        began = time.time_ns()
        span = self._begin(scope, began)
        within = set_span_in_context(span)
        token = context.attach(within)
        named = TRACE_ID.set(f"{span.get_span_context().trace_id:032x}")
        status, sent, complete, first_byte = 0, 0, False, 0

        async def watched_send(message: Message) -> None:
            nonlocal status, sent, complete, first_byte
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                first_byte = first_byte or time.time_ns()
                sent += len(message.get("body", b""))
                complete = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            TRACE_ID.reset(named)
            context.detach(token)
            if span.is_recording():
                _describe(span, scope, status, complete=complete)
                if scope["method"] != "HEAD":
                    span.set_attribute("http.response.body.size", sent)
                self._halves(within, began, first_byte)
            span.end()

    def _begin(self, scope: Scope, began: int) -> Span:
        method = scope["method"]
        known = method in METHODS
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        attributes = {
            "http.request.method": method if known else "_OTHER",
            "url.scheme": scope["scheme"],
            "url.path": without_keys(scope["path"][:_MAX_CHARS]),
            "network.protocol.version": scope["http_version"],
        }
        if scope["query_string"]:
            query = scope["query_string"][:_MAX_CHARS].decode("latin-1")
            attributes["url.query"] = without_secrets(query)
        if scope.get("client"):
            attributes["client.address"] = scope["client"][0]
        if "range" in headers:
            attributes["http.request.header.range"] = headers["range"]
        return self._tracer.start_span(
            method if known else "HTTP",
            context=extract(headers, Context()),
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=began,
        )

    def _halves(self, within: Context, began: int, first_byte: int) -> None:
        """The time before the first byte, in which is planned, waited and drawn, and that after."""
        if first_byte:
            self._tracer.start_span("first byte", within, start_time=began).end(first_byte)
            self._tracer.start_span("send", within, start_time=first_byte).end()


def _describe(span: Span, scope: Scope, status: int, *, complete: bool) -> None:
    """What is known at the end."""
    route = getattr(scope.get("route"), "path", None)
    if route is not None:
        method = scope["method"] if scope["method"] in METHODS else "HTTP"
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
    if status:
        span.set_attribute("http.response.status_code", status)
    for name, place in (("seedbed.problem", PROBLEM_KIND), ("seedbed.key", KEY_NAME)):
        if place in scope:
            span.set_attribute(name, scope[place])
    span.set_attribute("seedbed.complete", complete)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", str(status))
    elif not complete:
        span.set_status(Status(StatusCode.ERROR, "the body was cut off"))
        span.set_attribute("error.type", "incomplete")
