"""The service on a thread of this process, where a test can reach into it, and raw connections."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

import httpx
from fastapi import FastAPI

from seedbed.files import VirtualFile
from seedbed.stream import get_engine
from seedbed.web.plan_cache import PlanCache
from seedbed.web.server import Server
from seedbed.web.service import Service
from seedbed.web.settings import Settings
from tests.serving import PATIENCE_SECONDS, wait_until

TERABYTE = "/v1/tensors/normal/500000x500000.safetensors"
"""A file of 10¹² bytes and a header."""

MIB = 1 << 20


class Local:
    """A real server with its own settings, on a free port, in a thread of this process."""

    def __init__(self, **given: Any) -> None:
        usual = {"port": 0, "log_level": "error", "shutdown_seconds": 2, "registry_url": "none"}
        settings = Settings(**{**usual, **given})
        self._server = Server(settings)
        self.app: FastAPI = self._server.config.app  # type: ignore[assignment]
        self.service: Service = self.app.state.service
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._server.started, "the server to listen")
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self.begin_to_stop()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    def begin_to_stop(self) -> None:
        """What SIGTERM does."""
        self._server.should_exit = True

    def stop_at_once(self) -> None:
        """What a second SIGINT does."""
        self._server.force_exit = True

    @property
    def protocols(self) -> list[Any]:
        """What speaks HTTP on each connection there is."""
        return [*self._server.server_state.connections]

    def let_pass(self, seconds: float) -> None:
        """Have every connection told that so much time has passed, which is all that it knows."""
        told = threading.Event()

        def tell() -> None:
            for protocol in self.protocols:
                protocol.tick(seconds)
            told.set()

        self.protocols[0].loop.call_soon_threadsafe(tell)
        assert told.wait(PATIENCE_SECONDS)

    def client(self, **given: Any) -> httpx.Client:
        """A client of this server."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS, **given)

    def metric(self, name: str, **labels: str) -> float:
        """What /metrics would say of one series; 0 if it says nothing."""
        return self.service.metrics.registry.get_sample_value(name, labels) or 0.0


@dataclass
class CountingEngine:
    """The definition, which counts its calls and can be made to fail or to wait."""

    before: Callable[[int], None] = lambda _: None
    calls: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def install(self, service: Service) -> Self:
        """Draw with this from now on; plans that are remembered have another engine."""
        service.engine = replace(get_engine("numpy"), fill=self._fill)
        service.cache = PlanCache(service.settings.cache_bytes)
        return self

    def _fill(self, *arguments: Any) -> None:
        with self._lock:
            self.calls += 1
            call = self.calls
        self.before(call)
        get_engine("numpy").fill(*arguments)


@dataclass(frozen=True)
class Answer:
    """An answer as it came over the wire: header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Raw:
    """A connection by which a test says exactly what it wants, and reads exactly what comes."""

    def __init__(self, port: int, receive_buffer: int | None = None, host: str = "") -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE_SECONDS)
        if host:
            self.socket.bind((host, 0))
        self.socket.connect(("127.0.0.1", port))
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> Self:
        """Send bytes as they are."""
        self.socket.sendall(b"".join(parts))
        return self

    def get(self, target: str, *headers: str, method: str = "GET") -> Self:
        """Send a whole request without a body."""
        lines = (f"{method} {target} HTTP/1.1", "Host: here", *headers, "", "")
        return self.send("\r\n".join(lines).encode("latin-1"))

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer."""
        while b"\r\n\r\n" not in self._unread:
            if not (more := self.socket.recv(MIB)):
                raise ConnectionError(f"the connection ended within a head: {self._unread!r}")
            self._unread += more
        text, _, self._unread = self._unread.partition(b"\r\n\r\n")
        first, *lines = text.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", first)
        assert match, first
        pairs = (line.split(": ", 1) for line in lines)
        return int(match[1]), {name.lower(): value for name, value in pairs}

    def take(self, count: int) -> bytes:
        """So many bytes, or fewer if the connection ends."""
        while len(self._unread) < count and (more := self.socket.recv(MIB)):
            self._unread += more
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken

    def answer(self, method: str = "GET") -> Answer:
        """The next answer, with its body."""
        status, headers = self.head()
        length = 0 if method == "HEAD" or status == 304 else int(headers["content-length"])
        return Answer(status, headers, self.take(length))

    def rest(self) -> bytes:
        """Everything until the connection ends, in order or by a reset."""
        parts = [self._unread]
        self._unread = b""
        with contextlib.suppress(ConnectionResetError):
            while more := self.socket.recv(MIB):
                parts.append(more)
        return b"".join(parts)

    def has_ended(self) -> bool:
        """Whether the other side has closed the connection, and nothing is left to read."""
        return self.rest() == b""


def bytes_of(file: VirtualFile) -> bytes:
    """All bytes of a file, read without HTTP."""
    return bytes(file.read(0, file.size))


def parts_of(response: httpx.Response) -> Iterator[tuple[str, bytes]]:
    """Content-Range and bytes of each part of a multipart/byteranges answer (RFC 2046 §5.1)."""
    kind, _, boundary = response.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    delimiter = b"\r\n--" + boundary.encode()
    first, *parts, last = (b"\r\n" + response.content).split(delimiter)
    assert (first, last) == (b"", b"--\r\n")
    for part in parts:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        assert fields["content-type"] == "application/octet-stream"
        yield fields["content-range"], content
