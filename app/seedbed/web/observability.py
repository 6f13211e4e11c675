"""Request ids, log lines and metrics, as one plain ASGI middleware."""

from __future__ import annotations

import logging
import re
import secrets
import sys
import time
from contextvars import ContextVar
from functools import cache
from typing import Literal, NamedTuple
from urllib.parse import quote

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedbed.web.admission import Admission
from seedbed.web.problems import failure

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_CLIENT_GONE = 499
"""In the log and the metrics: the client left before there was an answer (nginx's number)."""

_MAX_TARGET_CHARS = 300

log = structlog.get_logger("seedbed.access")

_current: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request that is being answered."""


class Counters(NamedTuple):
    """What one kind of request counts on."""

    requests: Counter
    sent_bytes: Counter
    first_byte_seconds: Histogram
    aborted: Counter


class Metrics:
    """What Prometheus is told, in a registry of the application's own."""

    def __init__(self, admission: Admission) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the time of each series' birth, which doubles their number
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "seedbed_requests", "Requests answered.", ["method", "route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.sent_bytes = Counter(
            "seedbed_sent_bytes", "Bytes of response bodies handed to the network.", ["route"],
            registry=self.registry,
        )  # fmt: skip
        self.first_byte_seconds = Histogram(
            "seedbed_first_byte_seconds", "From the request to the first byte of the answer.",
            ["route"], registry=self.registry,
            buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )  # fmt: skip
        self.aborted = Counter(
            "seedbed_aborted_responses", "Bodies that ended before their announced length.",
            ["route"], registry=self.registry,
        )  # fmt: skip
        streams = Gauge("seedbed_streams", "Downloads being sent.", registry=self.registry)
        streams.set_function(lambda: admission.active)
        waiting = Gauge(
            "seedbed_streams_waiting", "Downloads in the queue.", registry=self.registry
        )
        waiting.set_function(lambda: admission.waiting)
        # Looking labels up costs more than counting. Kinds are few: routes are the application's.
        self.counters = cache(self._counters)

    def _counters(self, method: str, route: str, status: int) -> Counters:
        return Counters(
            self.requests.labels(method, route, status),
            self.sent_bytes.labels(route),
            self.first_byte_seconds.labels(route),
            self.aborted.labels(route),
        )


class Observability:
    """Gives each request an id, counts it, and logs one line when it ends.

    An error that nobody answered is a failure of the service: it is logged, and answered if the
    answer has not begun. If it has, the server sees it incomplete and cuts the connection.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch what is sent."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(scope)
        token = _current.set(request_id)
        has_body = scope["method"] != "HEAD"
        status, sent, complete, first_byte = 0, 0, False, 0.0

        async def watched_send(message: Message) -> None:
            nonlocal status, sent, complete, first_byte
            if message["type"] == "http.response.start":
                first_byte = time.perf_counter() - began
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                ]
            else:
                if has_body:
                    sent += len(message.get("body", b""))
                complete = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except ClientDisconnect:
            pass  # in the middle of its own request
        except Exception:
            log.exception("failure", method=scope["method"], target=_target(scope))
            if not status:
                await failure()(scope, receive, watched_send)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            counters = self._metrics.counters(method, route, status or _CLIENT_GONE)
            counters.requests.inc()
            counters.sent_bytes.inc(sent)
            if status:
                counters.first_byte_seconds.observe(first_byte)
            if not complete:
                counters.aborted.inc()
            _log_end(scope, status or _CLIENT_GONE, sent, began, complete=complete)
            _current.reset(token)


def _log_end(scope: Scope, status: int, sent: int, began: float, *, complete: bool) -> None:
    """One line for a request that has ended."""
    if log.is_enabled_for(logging.INFO):
        log.info(
            "request",
            method=scope["method"],
            target=_target(scope),
            status=status,
            sent_bytes=sent,
            complete=complete,
            seconds=round(time.perf_counter() - began, 6),
        )


def _target(scope: Scope) -> str:
    """Path and query as they were sent, percent-encoded, so that no line of the log is forged."""
    target: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    if query := scope["query_string"]:
        target += b"?" + query
    text = target.decode("ascii", "backslashreplace")
    return text if len(text) <= _MAX_TARGET_CHARS else f"{text[:_MAX_TARGET_CHARS]}…"


def _request_id(scope: Scope) -> str:
    """The client's own request id if it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value.decode())
    return secrets.token_hex(8)


class _Forward(logging.Handler):
    """Lines of libraries that log in the standard way, uvicorn's and asyncio's, in our form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log it again."""
        structlog.get_logger(record.name).log(
            record.levelno, record.getMessage(), exc_info=record.exc_info
        )


def _with_request_id(
    _logger: object, _method: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    """Add the request's id to what is logged while it is answered."""
    if (request_id := _current.get()) is not None:
        event["request_id"] = request_id
    return event


def configure_logging(form: Literal["console", "json"], level: str) -> None:
    """Send all log lines to standard error, for people or as JSON objects."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            _with_request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    others = [handler for handler in root.handlers if not isinstance(handler, _Forward)]
    root.handlers = [*others, _Forward()]
