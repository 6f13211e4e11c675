"""A port of its own for those who watch the service, which no crowd of clients can fill.

It has the same loop and the same application: if that hangs, so do the answers, which is what a
probe is to find out. What it has apart is its connections.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from seedbed.web.access import PROBE
from seedbed.web.clients import Hosts
from seedbed.web.connections import Connections
from seedbed.web.problems import problem
from seedbed.web.protocol import Protocol
from seedbed.web.settings import Settings

PATHS = frozenset({"/healthz", "/readyz", "/metrics"})

_MOST_CONNECTIONS = 64
"""Those who watch are few. One more takes the place of an idle one, as on the other port."""


class Probes:
    """What listens there.

    Args:
        app: that answers.
        settings: the service's.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._settings = settings
        self._config = uvicorn.Config(
            only_probes(app), ws="none", log_config=None, access_log=False, proxy_headers=False,
            timeout_keep_alive=settings.keep_alive_seconds,
        )  # fmt: skip
        self.state = ServerState()
        self._places = Connections(_MOST_CONNECTIONS, _MOST_CONNECTIONS, Hosts("*"))
        self._servers: list[asyncio.Server] = []

    async def start(self, listeners: list[socket.socket] | None = None) -> None:
        """Listen, at the setting's port unless there are sockets that do so already.

        Raises:
            OSError: the port cannot be had.
        """
        self._config.load()
        make = partial(
            Protocol, self._config, self.state, {}, settings=self._settings, places=self._places
        )
        loop = asyncio.get_running_loop()
        if listeners is None:
            host, port = self._settings.host, self._settings.probe_port
            self._servers = [await loop.create_server(make, host, port)]
        else:
            self._servers = [await loop.create_server(make, sock=each) for each in listeners]

    @property
    def sockets(self) -> list[socket.socket]:
        """Where it listens."""
        return [listener for server in self._servers for listener in server.sockets]

    def stop(self) -> None:
        """Listen no more, and close what is open."""
        for server in self._servers:
            server.close()
        for connection in tuple(self.state.connections):
            connection.transport.close()


def only_probes(app: ASGIApp) -> ASGIApp:
    """The application, as far as those see it who watch it."""

    async def probes(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in PATHS:
            detail = f"There is nothing here but {', '.join(sorted(PATHS))}."
            await problem(404, "not-found", "Not Found", detail)(scope, receive, send)
            return
        scope[PROBE] = True
        await app(scope, receive, send)

    return probes
