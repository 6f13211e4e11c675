"""Run the application under uvicorn: when it listens, watches its clients, and stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from functools import partial
from typing import cast

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from seedbed.web.application import create_app
from seedbed.web.clients import Hosts
from seedbed.web.connections import Connections
from seedbed.web.memory import return_what_is_free
from seedbed.web.probes import Probes
from seedbed.web.protocol import Protocol
from seedbed.web.settings import Settings

_TICK_SECONDS = 0.1

log = structlog.get_logger("seedbed")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then let downloads end for a while."""
    with contextlib.suppress(KeyboardInterrupt):  # SIGINT, raised again after all has ended
        Server(settings, warm=True).run()


class Server(uvicorn.Server):
    """A server of the application, which says where it listens and when it is about to stop.

    Args:
        settings: the service's.
        probe_listeners: sockets for probes that listen already, if there are.
        warm: whether to have the process that plans ready before it is needed.
    """

    def __init__(
        self,
        settings: Settings,
        probe_listeners: list[socket.socket] | None = None,
        *,
        warm: bool = False,
    ) -> None:
        app = create_app(settings)
        self.places = Connections(
            settings.max_connections,
            settings.max_host_connections,
            proxies=Hosts(settings.trusted_proxies),
        )
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=partial(Protocol, settings=settings, places=self.places),  # type: ignore[arg-type]
            ws="none",
            log_config=None,  # the application has configured it
            log_level="warning",
            access_log=False,  # the application logs each request itself, with its id
            server_header=False,
            proxy_headers=settings.trusted_proxies != "none",
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_keep_alive=settings.keep_alive_seconds,
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )
        super().__init__(config)
        self._service = app.state.service
        self._warm = warm
        self._drain_seconds = settings.drain_seconds
        self._probes = Probes(app, settings) if settings.probe_port else None
        self._probe_listeners = probe_listeners
        self._watch_seconds = min(1.0, settings.stall_seconds / 4, settings.head_seconds / 4)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where. Who watches is answered first: not ready yet."""
        if self._probes is not None:
            await self._start_probes(self._probes)
        await super().startup(sockets)
        if self._warm and self.started:
            self._service.planners.template.start()
        return_what_is_free()
        self._watcher = asyncio.create_task(self._watch())
        listening = [each for server in self.servers if self.started for each in server.sockets]
        if self._probes is not None:
            listening += self._probes.sockets
        for listener in listening:
            host, port, *_ = listener.getsockname()
            log.info("listening", host=host, port=port, pid=os.getpid())

    async def _start_probes(self, probes: Probes) -> None:
        try:
            await probes.start(self._probe_listeners)
        except OSError as error:
            log.error("the port for probes cannot be had", why=str(error))  # noqa: TRY400
            sys.exit(STARTUP_FAILURE)

    async def on_tick(self, counter: int) -> bool:
        """What uvicorn does ten times a second: among it, give answers their Date."""
        over = await super().on_tick(counter)
        if self._probes is not None:
            self._probes.state.default_headers = self.server_state.default_headers
        return over

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop being ready, go on for a while, then take no more connections and drain."""
        self._service.ready = False
        log.info("stopping")
        end = time.monotonic() + self._drain_seconds
        # A second SIGINT sets `force_exit`, which is a flag and wakes nobody.
        while time.monotonic() < end and not self.force_exit:  # noqa: ASYNC110
            await asyncio.sleep(_TICK_SECONDS)
        await super().shutdown(sockets)
        if self._probes is not None:  # to the end, since it is watched to the end
            self._probes.stop()
        self._watcher.cancel()

    async def _watch(self) -> None:
        """Tell all connections that time passes.

        The time between two calls counts as what it was meant to be if the process was stopped or
        busy meanwhile: its clients could not have done anything about that.
        """
        last = time.monotonic()
        while True:
            await asyncio.sleep(self._watch_seconds)
            now = time.monotonic()
            probed = self._probes.state.connections if self._probes is not None else ()
            for connection in (*self.server_state.connections, *probed):
                try:
                    cast("Protocol", connection).tick(min(now - last, 2 * self._watch_seconds))
                except Exception:
                    log.exception("failure", what="watching a connection")
            last = now
