"""Those who answer: Seedbed, an empty FastAPI application, nginx; on free ports of this machine."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.serving import free_port, serving, wait_until

_NGINX = """\
daemon off;
worker_processes auto;
pid {directory}/nginx.pid;
error_log stderr error;
events {{}}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {root};
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is.

    Attributes:
        port: of 127.0.0.1.
        pid: of its process, or of that which started the others.
    """

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def seedbed(directory: Path) -> Iterator[Address]:
    """`seedbed serve` as it is shipped, but that it logs no requests."""
    with serving(directory, log_level="warning") as server:
        yield Address(server.port, server.pid)


@contextlib.contextmanager
def empty_app() -> Iterator[Address]:
    """`benchmarks.empty_app`."""
    port = free_port()
    with _running([sys.executable, "-m", "benchmarks.empty_app", str(port)], port) as address:
        yield address


def has_nginx() -> bool:
    """Whether nginx is installed."""
    return shutil.which("nginx") is not None


@contextlib.contextmanager
def nginx(directory: Path, root: Path) -> Iterator[Address]:
    """The files of `root`, by sendfile.

    Args:
        directory: for its configuration and its own files.
        root: with the files to serve, readable for everyone.
    """
    port = free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(_NGINX.format(directory=directory, port=port, root=root))
    with _running(["nginx", "-c", str(configuration), "-e", "stderr"], port) as address:
        yield address


@contextlib.contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[Address]:
    """A command that listens on a port, until the block ends."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), f"{command[0]} to listen")
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} did not start")
        yield Address(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
