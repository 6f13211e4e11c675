"""A real service in a process of its own: on a free port, polled until ready, ended by its id."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.processes import PATIENCE_SECONDS, environment, start, wait_until

__all__ = ["PATIENCE_SECONDS", "Server", "free_port", "serving", "wait_until"]


def free_port() -> int:
    """A TCP port of this machine that nobody has, nor will have before it is listened on.

    It is below those that a system gives to clients, and each process of pytest-xdist has its own.
    None is given twice: a test may ask for two before it listens on the first.
    """
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(10_000 + process % _PROCESSES, _FIRST_OF_CLIENTS, _PROCESSES)
    for port in random.SystemRandom().sample(ports, len(ports)):
        if port in _given:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if len(_given) > len(ports) // 2:
                _given.clear()  # the first of them are long done with
            _given.add(port)
            return port
    raise RuntimeError("no port is free")


_given: set[int] = set()

_PROCESSES = 64
_FIRST_OF_CLIENTS = 32_768
"""Linux' net.ipv4.ip_local_port_range begins here; others begin later."""


class Server:
    """`seedbed serve` as a child process, which may be killed and started again on its port.

    Args:
        directory: for its log and its registry.
        variables: of its environment, which has nothing that is not named here or by `environment`.
        settings: `SEEDBED_…` by their lower-case names.
    """

    def __init__(
        self, directory: Path, variables: Mapping[str, str] | None = None, **settings: object
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / f"serve-{self.port}.log"
        registry = f"sqlite:///{directory}/registry-{self.port}.db"
        given = {"port": self.port, "registry_url": registry, **settings}
        self._environment = environment(
            **(variables or {}),
            **{f"SEEDBED_{name.upper()}": str(value) for name, value in given.items()},
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = start(
                sys.executable, "-m", "seedbed.cli", "serve",
                env=self._environment, stdout=log, stderr=log,
            )  # fmt: skip
        wait_until(self._ready, f"{self.url} to be ready")

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End it, if it runs, by a signal; by SIGKILL if it takes no other."""
        if self._process is None:
            return
        self._process.send_signal(by)
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)
            raise
        finally:
            self._process = None

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the service did not start:\n{self.log.read_text()}")
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as response:
                status: int = response.status
                return status == 200
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False


@contextlib.contextmanager
def serving(
    directory: Path, variables: Mapping[str, str] | None = None, **settings: object
) -> Iterator[Server]:
    """A service that is ready, until the block ends."""
    server = Server(directory, variables, **settings)
    try:
        server.start()
        yield server
    finally:
        server.end()
