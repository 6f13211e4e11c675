"""HTTP/1.1 as uvicorn speaks it, where it is not strict or not patient enough."""

from __future__ import annotations

import array
import contextlib
import re
import socket
import struct
from collections import deque
from typing import Any

import structlog
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from seedbed.web.problems import problem
from seedbed.web.settings import Settings

try:
    import fcntl
    import termios
except ImportError:  # not POSIX: what the system has not sent yet is then not counted
    fcntl = None  # type: ignore[assignment]

_HOST = re.compile(rb"(?:[\w.~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?", re.ASCII)
"""uri-host [ ":" port ] (RFC 9110 §7.2); empty for a target that has no authority."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER: on, and for no time."""

_PIPELINED = 16
"""Requests behind the one that is being answered that are read ahead."""

log = structlog.get_logger("seedbed")


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with these differences.

    - A request line and headers of limited size, which must come in time.
    - Exactly one Host, as RFC 9112 §3.2 wants.
    - What is no HTTP is answered by problem+json; but while a response is being sent, with nothing:
      uvicorn would write its refusal into the middle of that body.
    - A client that leaves is noticed by all requests of its connection. uvicorn tells only the last
      one, so a download with a pipelined request behind it would not be cancelled.
    - A client that takes nothing of its answer for too long loses the connection, by a reset, so
      that what it has cannot look whole.
    - A limited number of connections; requests on others are refused.

    Time is what `tick` is told, not a clock: a process that was stopped for an hour has not
    waited for anybody in that hour.
    """

    def __init__(
        self, config: uvicorn.Config, *arguments: Any, settings: Settings, **named: Any
    ) -> None:
        super().__init__(config, *arguments, **named)
        self._settings = settings
        self._cycles: deque[RequestResponseCycle] = deque()
        self._heads_begun = 0
        self._reading_head = False
        self._head_bytes = 0
        self._refused: tuple[int, str, str] | None = None
        self._waited_seconds = 0.0
        self._owed_bytes = 0
        self._stalled_seconds = 0.0

    def connection_made(self, transport: Any) -> None:
        """Take the connection; beyond the limit, only to say so."""
        super().connection_made(transport)
        if len(self.connections) > self._settings.max_connections:
            self.app = self._too_many

    def data_received(self, data: bytes) -> None:
        """Parse, and give up on a head that does not end."""
        heads_begun = self._heads_begun
        super().data_received(data)
        if self._reading_head and heads_begun == self._heads_begun:
            self._head_bytes += len(data)
            if self._head_bytes > self._settings.max_head_bytes:
                self._refuse(*self._too_large())

    def on_message_begin(self) -> None:
        """What is read now is a head."""
        super().on_message_begin()
        self._heads_begun += 1
        self._reading_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """Start the request, unless there is something wrong with its head."""
        head = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if head > self._settings.max_head_bytes:
            self._refused = self._too_large()
        else:
            self._refused = self._wrong_host()
        if self._refused:
            raise ValueError(self._refused)  # ends in send_400_response
        self._reading_head, self._waited_seconds = False, 0.0
        super().on_headers_complete()
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._cycles.append(self.cycle)
        if 0 < len(self.pipeline) <= _PIPELINED:
            # uvicorn reads on only when the next answer is due. Who does not read cannot see that a
            # client leaves, which may be waiting for a slot all that time.
            self.flow.resume_reading()

    def send_400_response(self, msg: str) -> None:
        """Refuse to go on with this connection: what came is no HTTP, or was refused above."""
        self._refuse(*(self._refused or (400, "bad-request", msg)))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request."""
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)

    def tick(self, seconds: float) -> None:
        """Give up on a client for which the server has waited too long.

        Args:
            seconds: that have passed since the last call.
        """
        self._watch_writing(seconds)
        self._watch_reading(seconds)

    def _watch_writing(self, seconds: float) -> None:
        """Break off when nothing has been taken of what is to be sent."""
        owed = self._owed()
        self._stalled_seconds = self._stalled_seconds + seconds if owed == self._owed_bytes else 0.0
        self._owed_bytes = owed
        if not owed or self._stalled_seconds < self._settings.stall_seconds:
            return
        log.info("stalled", client=self.client, owed_bytes=owed)
        connection: socket.socket | None = self.transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    def _watch_reading(self, seconds: float) -> None:
        """Give up on a head that does not come.

        Between requests uvicorn's own timer runs, until the first byte, or whatever else, arrives.
        """
        if self.timeout_keep_alive_task is not None or self._is_answering():
            return
        self._waited_seconds += seconds
        limit = self._settings.head_seconds
        if self._waited_seconds < limit or self.transport.is_closing():
            return
        if self._reading_head:
            self._refuse(
                408,
                "request-timeout",
                f"URL and headers did not arrive within {limit:g} seconds (SEEDBED_HEAD_SECONDS).",
            )
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _owed(self) -> int:
        """Bytes that were to be sent and have not arrived, those in the system's hands included."""
        owed: int = self.transport.get_write_buffer_size()
        connection: socket.socket | None = self.transport.get_extra_info("socket")
        if fcntl is not None and connection is not None:
            unsent = array.array("i", [0])
            with contextlib.suppress(OSError, ValueError):  # closed by now
                fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, unsent)
                owed += unsent[0]
        return owed

    def _wrong_host(self) -> tuple[int, str, str] | None:
        """What RFC 9112 §3.2 has to say against the request's Host."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1:
            return 400, "bad-request", f"The request has {len(hosts)} Host headers."
        if hosts and not _HOST.fullmatch(hosts[0]):
            return 400, "bad-request", "The Host header is no host name, with or without a port."
        if not hosts and self.parser.get_http_version() == "1.1":
            return 400, "bad-request", "The request has no Host header, which HTTP/1.1 asks for."
        return None

    def _too_large(self) -> tuple[int, str, str]:
        limit = self._settings.max_head_bytes
        if len(self.url) > limit:
            return (
                414,
                "uri-too-long",
                f"The URL has more than {limit:,} bytes (SEEDBED_MAX_HEAD_BYTES).",
            )
        return (
            431,
            "head-too-large",
            f"URL and headers have more than {limit:,} bytes (SEEDBED_MAX_HEAD_BYTES).",
        )

    def _refuse(self, status: int, kind: str, detail: str) -> None:
        """Answer, if no answer is under way, and close the connection."""
        if self.transport.is_closing():
            return
        if not any(
            cycle.response_started and not cycle.response_complete for cycle in self._cycles
        ):
            response = problem(status, kind, STATUS_LINE[status][13:-2].decode(), detail)
            headers = [*self.server_state.default_headers, *response.raw_headers]
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
            self.transport.write(
                b"".join(
                    (STATUS_LINE[status], lines, b"connection: close\r\n\r\n", bytes(response.body))
                )
            )
        self.transport.close()

    async def _too_many(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request on a connection beyond the limit."""
        again = self._settings.retry_after_seconds
        response = problem(
            429, "too-many-connections", "Too Many Requests",
            f"The service has {self._settings.max_connections:,} connections open already "
            f"(SEEDBED_MAX_CONNECTIONS). Try again in {again} seconds.",
            headers={"retry-after": str(again), "connection": "close"},
        )  # fmt: skip
        await response(scope, receive, send)
