"""Request ids, log lines and metrics, as one plain ASGI middleware."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedbed.stream import STREAM_VERSION, Box, Distribution, Engine, Form
from seedbed.web.admission import Admission
from seedbed.web.clients import KEY_NAME
from seedbed.web.problems import PROBLEM_KIND, failure
from seedbed.web.redaction import without_keys

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_CLIENT_GONE = 499
"""In the log and the metrics: the client left before there was an answer (nginx's number)."""

_MAX_TARGET_CHARS = 300

_FIRST_BYTE_SECONDS = (
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
)  # fmt: skip
_QUEUE_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 10, 30)

_FACTS = (("problem", PROBLEM_KIND), ("key", KEY_NAME))
"""What the line of a request has if there is such a thing, and where in its scope that is."""

log = structlog.get_logger("seedbed.access")

_current: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request that is being answered."""

TRACE_ID: ContextVar[str | None] = ContextVar("trace_id", default=None)
"""Id of the trace that it belongs to, if there are traces."""


class Counters(NamedTuple):
    """What one kind of request counts on."""

    requests: Counter
    sent_bytes: Counter
    first_byte_seconds: Histogram
    aborted: Counter


class Metrics:
    """What Prometheus is told, in a registry of the application's own.

    Each number is one of this process, unless PROMETHEUS_MULTIPROC_DIR names a directory that
    several share: then whichever is asked answers for all of them. That is prometheus_client's own
    way, which has to be chosen before it is imported, and it is why gauges are told of changes
    instead of being asked.

    Args:
        admission: whose slots and queue are gauged.
        engine: name of the one that draws.
    """

    def __init__(self, admission: Admission, engine: str = "") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the time of each series' birth, which doubles their number
        self.registry = CollectorRegistry()
        self.requests = self._counter(
            "seedbed_requests", "Requests answered.", "method", "route", "status"
        )
        self.refusals = self._counter(
            "seedbed_refusals", "Answers that were a problem, by its kind.", "reason"
        )
        self.sent_bytes = self._counter(
            "seedbed_sent_bytes", "Bytes of response bodies handed to the network.", "route"
        )
        self.first_byte_seconds = Histogram(
            "seedbed_first_byte_seconds",
            "From the request to the first byte of the answer's body, queue and drawing included.",
            ["route"], registry=self.registry, buckets=_FIRST_BYTE_SECONDS,
        )  # fmt: skip
        self.aborted = self._counter(
            "seedbed_aborted_responses", "Bodies that ended before their announced length.", "route"
        )
        self._elements = self._counter("seedbed_drawn_elements", "Random elements drawn.")
        self._draw_seconds = self._counter(
            "seedbed_draw_seconds", "Time spent drawing, added up over threads."
        )
        self._lookups = self._counter(
            "seedbed_cache_lookups",
            "Plans and whole matrices that were wanted, by whether they were there.",
            "cache", "result",
        )  # fmt: skip
        queue_seconds = Histogram(
            "seedbed_queue_seconds", "How long downloads waited that found no free slot.",
            registry=self.registry, buckets=_QUEUE_SECONDS,
        )  # fmt: skip
        admission.on_wait = queue_seconds.observe
        streams = self._gauge("seedbed_streams", "Downloads being sent.")
        waiting = self._gauge("seedbed_streams_waiting", "Downloads in the queue.")
        self._gauge("seedbed_streams_limit", "Downloads that may be sent at the same time.").set(
            admission.slots
        )
        self.registry_up = self._gauge(
            "seedbed_registry_up",
            "Processes whose registry answered when they were last asked whether they are ready.",
        )
        self._gauge(
            "seedbed_build_info", "Processes, by what they are.",
            "version", "stream_version", "engine",
        ).labels(version("seedbed"), STREAM_VERSION, engine).set(1)  # fmt: skip

        def gauge() -> None:
            streams.set(admission.active)
            waiting.set(admission.waiting)

        admission.on_change = gauge
        self._shared = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if not self._shared:
            ProcessCollector(registry=self.registry)
        # Looking labels up costs more than counting. Kinds are few: routes are the application's.
        self.counters = cache(self._counters)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        if not self._shared:
            return generate_latest(self.registry)
        of_all = CollectorRegistry()
        try:
            MultiProcessCollector(of_all, self._shared)  # type: ignore[no-untyped-call]
            return generate_latest(of_all)
        except (OSError, ValueError) as error:  # the directory has gone: then those of this one
            log.warning("no directory for metrics", why=str(error))
            return generate_latest(self.registry)

    def counted(self, engine: Engine) -> Engine:
        """The engine, counting what it draws."""
        fill, clock = engine.fill, time.perf_counter
        count, count_seconds = self._elements.inc, self._draw_seconds.inc

        def counting(
            key: bytes, distribution: Distribution, form: Form, box: Box, out: Any
        ) -> None:
            began = clock()
            fill(key, distribution, form, box, out)
            count_seconds(clock() - began)
            count(out.size)

        return replace(engine, fill=counting)

    def lookups(self, name: str) -> Callable[[bool], None]:
        """What a cache of this name tells of each lookup: whether it was a hit."""
        hit, miss = (self._lookups.labels(name, result) for result in ("hit", "miss"))

        def seen(is_hit: bool) -> None:  # noqa: FBT001
            (hit if is_hit else miss).inc()

        return seen

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """A gauge that is the sum of those of all processes that live."""
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode="livesum")

    def _counters(self, method: str, route: str, status: int) -> Counters:
        return Counters(
            self.requests.labels(method, route, status),
            self.sent_bytes.labels(route),
            self.first_byte_seconds.labels(route),
            self.aborted.labels(route),
        )


def forget_worker(pid: int, shared: Path) -> None:
    """Leave a process that has ended out of the gauges of those that share its metrics.

    What it has counted goes on to count.

    Args:
        pid: its process id.
        shared: their PROMETHEUS_MULTIPROC_DIR.
    """
    with contextlib.suppress(OSError):  # there may be no such directory any more
        mark_process_dead(pid, str(shared))  # type: ignore[no-untyped-call]


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
        status, sent, complete = 0, 0, False
        counters: Counters | None = None

        async def watched_send(message: Message) -> None:
            nonlocal status, sent, complete, counters
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                ]
            else:
                if counters is None:
                    counters = self._counters(scope, status)
                    counters.first_byte_seconds.observe(time.perf_counter() - began)
                if has_body and (size := len(message.get("body", b""))):
                    sent += size
                    counters.sent_bytes.inc(size)
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
            status = status or _CLIENT_GONE
            self._count_end(scope, counters or self._counters(scope, status), complete=complete)
            _log_end(scope, status, sent, began, complete=complete)
            _current.reset(token)

    def _count_end(self, scope: Scope, counters: Counters, *, complete: bool) -> None:
        counters.requests.inc()
        if not complete:
            counters.aborted.inc()
        if (kind := scope.get(PROBLEM_KIND)) is not None:
            self._metrics.refusals.labels(kind).inc()

    def _counters(self, scope: Scope, status: int) -> Counters:
        route = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"] if scope["method"] in METHODS else "other"
        return self._metrics.counters(method, route, status)


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
            **{name: scope[place] for name, place in _FACTS if place in scope},
        )


def _target(scope: Scope) -> str:
    """Path and query as they were sent, percent-encoded, so that no line of the log is forged.

    But for keys. Only so much is looked at for them as could come to be logged.
    """
    target: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    if query := scope["query_string"]:
        target += b"?" + query
    text = without_keys(target[: 4 * _MAX_TARGET_CHARS].decode("ascii", "backslashreplace"))
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
    if (trace_id := TRACE_ID.get()) is not None:
        event["trace_id"] = trace_id
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
        # The standard error of now, not of then: it may have been exchanged and closed.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    others = [handler for handler in root.handlers if not isinstance(handler, _Forward)]
    root.handlers = [*others, _Forward()]
