"""HTTP/1.1 as uvicorn speaks it, where it is not strict or not patient enough."""

from __future__ import annotations

from collections import deque
from typing import Any

import httptools
import structlog
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from seedbed.web.connections import Connections
from seedbed.web.heads import Refusal, too_large, wrong_with
from seedbed.web.problems import problem
from seedbed.web.settings import Settings
from seedbed.web.sockets import is_reset, owed_bytes, reset

_PIPELINED = 16
"""Requests behind the one that is being answered that are read ahead."""

_ARE_YOU_THERE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""What a client skips (RFC 9110 §15.2), and a system whose client has gone answers by a reset."""

log = structlog.get_logger("seedbed")


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with these differences.

    - A request line and headers of limited size, which must come in time.
    - Exactly one Host, as RFC 9112 §3.2 wants, and no transfer coding but chunked.
    - A request to go on in another protocol (Upgrade: h2c) is ignored, as RFC 9110 §7.8 allows.
      uvicorn would stop parsing behind its head, and take its body for the next request.
    - A client that only stops sending gets what it has asked for.
    - What is no HTTP is answered by problem+json; but while a response is being sent, with nothing:
      uvicorn would write its refusal into the middle of that body.
    - A client that leaves is noticed by all requests of its connection. uvicorn tells only the last
      one, so a download with a pipelined request behind it would not be cancelled.
    - A client that takes nothing of its answer for too long loses the connection, by a reset, so
      that what it has cannot look whole.
    - A limited number of connections, in all and from one host. One that comes takes the place of
      an idle one; where there is none, its request is refused.

    Time is what `tick` is told, not a clock: a process that was stopped for an hour has not
    waited for anybody in that hour.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *arguments: Any,
        settings: Settings,
        places: Connections,
        **named: Any,
    ) -> None:
        super().__init__(config, *arguments, **named)
        self._settings = settings
        self._places = places
        self._one_too_many_for: str | None = None
        self._cycles: deque[RequestResponseCycle] = deque()
        self._heads_begun = 0
        self._reading_head = False
        self._head_bytes = 0
        self._refused: Refusal | None = None
        self._waited_seconds = 0.0
        self._owed_bytes = 0
        self._stalled_seconds = 0.0
        self._asks_for_upgrade = False
        self._sends_no_more = False

    def connection_made(self, transport: Any) -> None:
        """Take the connection; beyond the limits, only to say so."""
        super().connection_made(transport)
        limit = self._places.enter(self, self.client[0] if self.client else "")
        if limit is not None:
            self._one_too_many_for = limit
            self.app = self._too_many

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered or sent."""
        return not self._is_answering() and not self.transport.get_write_buffer_size()

    def drop(self) -> None:
        """Close the connection, which is idle, in favour of another."""
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse, and give up on a head that does not end."""
        heads_begun = self._heads_begun
        self._unset_keepalive_if_required()
        try:
            self._parse(memoryview(data))
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("What came is no HTTP request.")
            return
        if self._reading_head and heads_begun == self._heads_begun:
            self._head_bytes += len(data)
            if self._head_bytes > self._settings.max_head_bytes:
                self._refuse(too_large(self.url, self._settings.max_head_bytes))

    def _parse(self, data: memoryview) -> None:
        """Have the requests in some data parsed, those that ask for an upgrade as if they did not.

        The parser stops behind the head of one that does. Another is given that head again without
        the field, so that it finds the body where it is.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                head = self._head_without_upgrade()
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn
                self.parser.feed_data(head)
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        """The head that was read last. Only with an Upgrade does the parser look at Connection."""
        version = self.parser.get_http_version().encode()
        line = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)
        fields = [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join((line, *fields, b"", b""))

    def on_message_begin(self) -> None:
        """What is read now is a head."""
        super().on_message_begin()
        self._heads_begun += 1
        self._reading_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """Start the request, unless there is something wrong with its head."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        most = self._settings.max_head_bytes
        self._refused = wrong_with(method, self.url, version, self.headers, most)
        if self._refused:
            raise ValueError(self._refused)  # ends in send_400_response
        self._asks_for_upgrade = self.parser.should_upgrade()
        if self._asks_for_upgrade:
            return  # it is parsed again
        self._reading_head, self._waited_seconds = False, 0.0
        super().on_headers_complete()
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._cycles.append(self.cycle)
        if 0 < len(self.pipeline) <= _PIPELINED:
            # uvicorn reads on only when the next answer is due. Who does not read cannot see that a
            # client leaves, which may be waiting for a slot all that time.
            self.flow.resume_reading()

    def on_message_complete(self) -> None:
        """The request has ended, unless it is one that is parsed again."""
        if not self._asks_for_upgrade:
            super().on_message_complete()

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio.Protocol says
        """The client sends no more, but may still read: it gets all that it has asked for.

        Returns:
            Whether to keep the connection: not if there is no request, or only half of one.
        """
        self._sends_no_more = self._is_answering() and not self.cycle.more_body
        if self._sends_no_more:
            self._watch_presence()
        return self._sends_no_more

    def on_response_complete(self) -> None:
        """Go on with the next request, if there can be one."""
        super().on_response_complete()
        self._places.used(self)
        if self._sends_no_more and not self._is_answering():
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse to go on with this connection: what came is no HTTP, or was refused above."""
        self._refuse(self._refused or Refusal(400, "bad-request", msg))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request."""
        self._places.leave(self)
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
        if self._sends_no_more:
            self._watch_presence()

    def _watch_presence(self) -> None:
        """Find out whether a client that sends no more still reads, or has closed.

        Both look the same until something is sent to it. So while there is no answer to send, and
        someone may be working on a long one for nobody, a line is sent that says nothing.
        """
        if self.transport.is_closing():
            return
        if is_reset(self.transport):
            self.transport.abort()
            return
        for cycle in self._cycles:
            if not cycle.response_complete:
                if not cycle.response_started and cycle.scope["http_version"] == "1.1":
                    self.transport.write(_ARE_YOU_THERE)
                return

    def _watch_writing(self, seconds: float) -> None:
        """Break off when nothing has been taken of what is to be sent."""
        owed = owed_bytes(self.transport)
        self._stalled_seconds = self._stalled_seconds + seconds if owed == self._owed_bytes else 0.0
        self._owed_bytes = owed
        if not owed or self._stalled_seconds < self._settings.stall_seconds:
            return
        log.info("stalled", client=self.client, owed_bytes=owed)
        reset(self.transport)

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
            detail = (
                f"URL and headers did not arrive within {limit:g} seconds (SEEDBED_HEAD_SECONDS)."
            )
            self._refuse(Refusal(408, "request-timeout", detail))
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, if no answer is under way, and close the connection."""
        if self.transport.is_closing():
            return
        if not any(
            cycle.response_started and not cycle.response_complete for cycle in self._cycles
        ):
            status, kind, detail = refusal
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
        limit = self._one_too_many_for or ""
        if limit == "max_connections":
            detail = f"The service has {self._places.most:,} connections open already"
        else:
            detail = f"Your address has {self._places.most_each:,} connections open already"
        response = problem(
            429, "too-many-connections", "Too Many Requests",
            f"{detail} (SEEDBED_{limit.upper()}), none of them idle. Try again in {again} seconds.",
            headers={"retry-after": str(again), "connection": "close"},
        )  # fmt: skip
        await response(scope, receive, send)
