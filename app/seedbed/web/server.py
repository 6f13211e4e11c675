"""Run the application under uvicorn, and mend where uvicorn is not strict enough."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import deque
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from seedbed.web.application import create_app
from seedbed.web.problems import problem
from seedbed.web.settings import Settings

_TICK_SECONDS = 0.1

log = structlog.get_logger("seedbed")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then let downloads end for a while."""
    with contextlib.suppress(KeyboardInterrupt):  # SIGINT, raised again after all has ended
        Server(settings).run()


class Server(uvicorn.Server):
    """A server of the application, which says where it listens and when it is about to stop."""

    def __init__(self, settings: Settings) -> None:
        app = create_app(settings)
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=Protocol,
            ws="none",
            log_config=None,  # the application has configured it
            log_level="warning",
            access_log=False,  # the application logs each request itself, with its id
            server_header=False,
            timeout_graceful_shutdown=settings.shutdown_seconds,
            h11_max_incomplete_event_size=settings.max_head_bytes,
        )
        super().__init__(config)
        self._service = app.state.service
        self._drain_seconds = settings.drain_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        for server in self.servers if self.started else ():
            for listener in server.sockets:
                host, port, *_ = listener.getsockname()
                log.info("listening", host=host, port=port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop being ready, go on for a while, then take no more connections and drain."""
        self._service.ready = False
        log.info("stopping")
        end = time.monotonic() + self._drain_seconds
        # A second SIGINT sets `force_exit`, which is a flag and wakes nobody.
        while time.monotonic() < end and not self.force_exit:  # noqa: ASYNC110
            await asyncio.sleep(_TICK_SECONDS)
        await super().shutdown(sockets)


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with three differences.

    - A request line and headers of limited size.
    - What is no HTTP is answered by problem+json; but while a response is being sent, with nothing:
      uvicorn would write its refusal into the middle of that body.
    - A client that leaves is noticed by all requests of its connection. uvicorn tells only the last
      one, so a download with a pipelined request behind it would not be cancelled.
    """

    def __init__(self, config: uvicorn.Config, *arguments: Any, **named: Any) -> None:
        super().__init__(config, *arguments, **named)
        self._max_head_bytes = config.h11_max_incomplete_event_size or 0
        self._cycles: deque[RequestResponseCycle] = deque()
        self._heads_begun = 0
        self._reading_head = False
        self._head_bytes = 0
        self._too_large = False

    def data_received(self, data: bytes) -> None:
        """Parse, and give up on a head that does not end."""
        heads_begun = self._heads_begun
        super().data_received(data)
        if self._reading_head and heads_begun == self._heads_begun:
            self._head_bytes += len(data)
            if self._head_bytes > self._max_head_bytes and not self.transport.is_closing():
                self._too_large = True
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """What is read now is a head."""
        super().on_message_begin()
        self._heads_begun += 1
        self._reading_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """Start the request, unless its head is too large."""
        head = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if head > self._max_head_bytes:
            self._too_large = True
            raise ValueError("the head of the request is too large")  # ends in send_400_response
        self._reading_head = False
        super().on_headers_complete()
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._cycles.append(self.cycle)

    def send_400_response(self, msg: str) -> None:
        """Refuse to go on with this connection."""
        if not any(
            cycle.response_started and not cycle.response_complete for cycle in self._cycles
        ):
            self.transport.write(self._refusal(msg))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request."""
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)

    def _refusal(self, msg: str) -> bytes:
        limit = self._max_head_bytes
        if not self._too_large:
            response = problem(400, "bad-request", "Bad Request", msg)
        elif len(self.url) > limit:
            response = problem(
                414, "uri-too-long", "URI Too Long",
                f"The URL has more than {limit:,} bytes (SEEDBED_MAX_HEAD_BYTES).",
            )  # fmt: skip
        else:
            response = problem(
                431, "head-too-large", "Request Header Fields Too Large",
                f"URL and headers have more than {limit:,} bytes (SEEDBED_MAX_HEAD_BYTES).",
            )  # fmt: skip
        headers = [*self.server_state.default_headers, *response.raw_headers]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return b"".join(
            (
                STATUS_LINE[response.status_code],
                lines,
                b"connection: close\r\n\r\n",
                bytes(response.body),
            )
        )
