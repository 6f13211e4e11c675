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
from itertools import chain
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

_LONGEST_PAUSE_SECONDS = 10.0

_MOST_FAILURES = 5
"""Starts in a row that a worker may fail before it counts as one that cannot start."""

_BACKLOG = 2048
"""Connections that may wait to be taken."""

log = structlog.get_logger("seedbed.workers")


class Supervisor:
    """The parent of some workers.

    Once a worker has served, it does not end until it is asked to: what kills workers may pass, and
    the port is better served by few, or late, than by nobody. It ends by itself only if no worker
    has ever served and each ends by its own doing, again and again: a mistake that no pause mends.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._listeners: list[list[socket.socket]] = []
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
        self._listeners = [listeners(settings.host, settings.port)]
        if settings.probe_port:
            self._listeners.append(listeners(settings.host, settings.probe_port))
        before = {sign: signal.getsignal(sign) for sign in (signal.SIGTERM, signal.SIGINT)}
        for sign in before:
            signal.signal(sign, self._note)
        shared = _metrics_directory()
        environment = {key: text for key, text in os.environ.items() if key != _SHARED}
        if shared:
            environment[_SHARED] = shared
        try:
            self._workers = [
                _Worker(settings, self._listeners, environment) for _ in range(settings.workers)
            ]
            while not self._stop:
                time.sleep(_TICK_SECONDS)
                for worker in self._workers:
                    worker.mend()
                if all(worker.cannot_start for worker in self._workers):
                    log.error("no worker starts")
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
        for listener in chain.from_iterable(self._listeners):
            listener.close()  # else connections would wait here for nobody
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
        self, settings: Settings, shared: list[list[socket.socket]], environment: dict[str, str]
    ) -> None:
        self._settings = settings
        self._listeners = shared
        self._environment = environment
        self._failures = 0
        self._failed_starts = 0
        self._has_served = False
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

    @property
    def cannot_start(self) -> bool:
        """Whether no process has lived long, and the last several have each ended by themselves."""
        return not self._has_served and self._failed_starts > _MOST_FAILURES

    def mend(self) -> None:
        """Start another process for one that has ended, now or after a pause."""
        now = time.monotonic()
        if self.is_running:
            self._has_served |= now - self._began > _YOUNG_SECONDS
        elif not self._begin_at:
            code = self._process.returncode
            young = now - self._began < _YOUNG_SECONDS
            self._failures = self._failures + 1 if young else 0
            self._failed_starts = self._failed_starts + 1 if code > 0 else 0  # below: by a signal
            pause = min(_PAUSE_SECONDS * (2**self._failures - 1), _LONGEST_PAUSE_SECONDS)
            self._begin_at = now + pause
            if metrics := self._environment.get(_SHARED):
                forget_worker(self.pid, Path(metrics))
            log.warning("a worker has ended", pid=self.pid, code=code, pause_seconds=pause)
        elif now >= self._begin_at:
            self._start()

    def _start(self) -> None:
        descriptors = [[each.fileno() for each in port] for port in self._listeners]
        self._process = subprocess.Popen(  # noqa: S603
            [
                sys.executable,
                "-m",
                "seedbed.web.workers",
                *(",".join(map(str, port)) for port in descriptors),
            ],
            stdin=subprocess.PIPE,
            pass_fds=[*chain.from_iterable(descriptors)],
            env=_with_metrics(self._environment),
            start_new_session=True,  # Ctrl+C is for the parent, which passes it on
        )
        self._began, self._begin_at = time.monotonic(), 0.0
        assert self._process.stdin is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):  # it has died already
            self._process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()


def _with_metrics(environment: dict[str, str]) -> dict[str, str]:
    """The environment, without the directory for metrics if that has gone and cannot be made."""
    if shared := environment.get(_SHARED):
        try:
            Path(shared).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            log.warning("no directory for metrics: each worker has its own", why=str(error))
            return {key: text for key, text in environment.items() if key != _SHARED}
    return environment


def _metrics_directory() -> str | None:
    """Where the workers put their metrics, so that each can answer for all; None if nowhere."""
    if folder := os.environ.get(_SHARED):
        return folder
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
    sockets: list[socket.socket] = []
    places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, _, _, _, address in dict.fromkeys(places):
        same = sockets[0].getsockname()[1] if sockets else port  # where the system has chosen it
        sockets.append(
            socket.create_server((str(address[0]), same), family=family, backlog=_BACKLOG)
        )
    return sockets


def work(descriptors: list[int], probe_descriptors: list[int]) -> None:
    """Serve at these sockets, with the settings that come on standard input, until that ends."""
    from seedbed.web.server import Server  # noqa: PLC0415  # the parent has no application

    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    probes = [socket.socket(fileno=descriptor) for descriptor in probe_descriptors]
    server = Server(settings, probes, warm=True)

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
    ports = [[int(each) for each in port.split(",")] for port in sys.argv[1:]]
    work(ports[0], ports[1] if len(ports) > 1 else [])
