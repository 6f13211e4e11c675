"""A real service in a process of its own: on a free port, polled until ready, ended by its id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

PATIENCE_SECONDS = 120.0
"""How long to poll for what must come about. A bound on a hang, not a claim about speed."""


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Poll until a condition holds.

    Raises:
        TimeoutError: it never did; `what` says what was waited for.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_SECONDS:g} seconds for {what}")
        time.sleep(0.01)


class Server:
    """`seedbed serve` as a child process, which may be killed and started again on its port.

    Args:
        directory: for its log and its registry.
        settings: `SEEDBED_…` by their lower-case names; none are inherited from the environment.
    """

    def __init__(self, directory: Path, **settings: object) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / f"serve-{self.port}.log"
        registry = f"sqlite:///{directory}/registry-{self.port}.db"
        given = {"port": self.port, "registry_url": registry, **settings}
        self._environment = {
            **{key: text for key, text in os.environ.items() if not key.startswith("SEEDBED_")},
            **{f"SEEDBED_{name.upper()}": str(value) for name, value in given.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "seedbed.cli", "serve"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
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
            self._process.wait()
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
def serving(directory: Path, **settings: object) -> Iterator[Server]:
    """A service that is ready, until the block ends."""
    server = Server(directory, **settings)
    try:
        server.start()
        yield server
    finally:
        server.end()
