"""Several processes that serve one port, and a parent that replaces those that die.

The parent opens the port and hands it on, so connections that a dying worker has not taken yet are
taken by the others. It does nothing else: no request ever reaches it. Run as a module, this is a
worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

import structlog

from seedbed.web.observability import configure_logging, forget_worker
from seedbed.web.settings import Settings

_TICK_SECONDS = 0.1

_SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Of prometheus_client, which reads it when it is imported, so it has to be in the environment."""

_YOUNG_SECONDS = 10.0
"""A worker that dies younger than this is replaced after a pause, which doubles each time."""

_PAUSE_SECONDS = 0.1

_MOST_FAILURES = 5
"""Deaths in a row, of one worker, that were all young: after that the parent ends as well."""

_BACKLOG = 2048
"""Connections that may wait to be taken."""

log = structlog.get_logger("seedbed.workers")


class Supervisor:
    """The parent of some workers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._listeners: list[socket.socket] = []
        self._workers: list[_Worker] = []
        self._stop = 0  # signals to stop that have come

    def run(self) -> int:
        """Keep the workers running until SIGTERM or SIGINT.

        Returns:
            The exit code: 0, or 1 if they do not start.

        Raises:
            OSError: the port cannot be had.
        """
        settings = self._settings
        configure_logging(settings.log_format, settings.log_level)
        self._listeners = listeners(settings.host, settings.port)
        before = {sign: signal.getsignal(sign) for sign in (signal.SIGTERM, signal.SIGINT)}
        for sign in before:
            signal.signal(sign, self._note)
        shared = _metrics_directory()
        environment = {**os.environ, _SHARED: shared} if shared else dict(os.environ)
        try:
            self._workers = [
                _Worker(settings, self._listeners, environment) for _ in range(settings.workers)
            ]
            while not self._stop:
                time.sleep(_TICK_SECONDS)
                for worker in self._workers:
                    if worker.mend() > _MOST_FAILURES:
                        log.error("a worker does not stay alive")
                        return 1
            return 0
        finally:
            self._end()
            if shared and _SHARED not in os.environ:
                shutil.rmtree(shared, ignore_errors=True)
            for sign, handler in before.items():
                signal.signal(sign, handler)

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        self._stop += 1

    def _end(self) -> None:
        """Let all workers drain, and end those that take longer than they may."""
        for listener in self._listeners:  # else connections would wait here for nobody
            listener.close()
        for worker in self._workers:
            worker.send(signal.SIGTERM)
        patience = self._settings.drain_seconds + self._settings.shutdown_seconds + 5.0
        end = time.monotonic() + patience
        while any(worker.is_running for worker in self._workers):
            if time.monotonic() > end or self._stop > 1:
                for worker in self._workers:
                    worker.send(signal.SIGKILL)
            time.sleep(_TICK_SECONDS)


class _Worker:
    """One place for a worker, and the process that has it now."""

    def __init__(
        self, settings: Settings, shared: list[socket.socket], environment: dict[str, str]
    ) -> None:
        self._settings = settings
        self._listeners = shared
        self._environment = environment
        self._failures = 0
        self._began = self._begin_at = 0.0
        self._start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether there is a process now."""
        return self._process.poll() is None

    def send(self, sign: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        self._process.send_signal(sign)

    def mend(self) -> int:
        """Start another process for one that has ended, now or after a pause.

        Returns:
            How many in a row have died young.
        """
        if self.is_running:
            return 0
        now = time.monotonic()
        if not self._begin_at:
            young = now - self._began < _YOUNG_SECONDS
            self._failures = self._failures + 1 if young else 0
            self._begin_at = now + _PAUSE_SECONDS * (2**self._failures - 1)
            if metrics := self._environment.get(_SHARED):
                forget_worker(self.pid, Path(metrics))
            log.warning("a worker has ended", pid=self.pid, code=self._process.returncode)
        elif now >= self._begin_at:
            self._start()
        return self._failures

    def _start(self) -> None:
        descriptors = [listener.fileno() for listener in self._listeners]
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "seedbed.web.workers", *map(str, descriptors)],
            stdin=subprocess.PIPE,
            pass_fds=descriptors,
            env=self._environment,
            start_new_session=True,  # Ctrl+C is for the parent, which passes it on
        )
        self._began, self._begin_at = time.monotonic(), 0.0
        assert self._process.stdin is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):  # it has died already
            self._process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()


def _metrics_directory() -> str | None:
    """Where the workers put their metrics, so that each can answer for all; None if nowhere."""
    if given := os.environ.get(_SHARED):
        return given
    try:
        return tempfile.mkdtemp(prefix="seedbed-metrics-")
    except OSError as error:
        log.warning("no directory for metrics: each worker has its own", why=str(error))
        return None


def listeners(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen at every address of a host, on one port.

    Raises:
        OSError: an address cannot be had.
    """
    found: list[socket.socket] = []
    places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, _, _, _, address in dict.fromkeys(places):
        same = found[0].getsockname()[1] if found else port  # where the system has chosen it
        found.append(socket.create_server((str(address[0]), same), family=family, backlog=_BACKLOG))
    return found


def work(descriptors: list[int]) -> None:
    """Serve at these sockets, with the settings that come on standard input, until that ends."""
    from seedbed.web.server import Server  # noqa: PLC0415  # the parent has no application

    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    server = Server(settings)

    async def run() -> None:
        loop = asyncio.get_running_loop()

        def orphaned() -> None:
            loop.remove_reader(sys.stdin)
            server.should_exit = True

        loop.add_reader(sys.stdin, orphaned)  # nothing more is written: it is readable at its end
        await server.serve([socket.socket(fileno=descriptor) for descriptor in descriptors])

    with (
        contextlib.suppress(KeyboardInterrupt),
        asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner,
    ):
        runner.run(run())


if __name__ == "__main__":
    work([int(argument) for argument in sys.argv[1:]])
