from __future__ import annotations

import contextlib
import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving import PATIENCE_SECONDS, Server, free_port, serving, wait_until
from tests.stress.loads import SIXTEEN_MIB, digest_of, metric
from tests.stress.scale import QUICK, note
from tests.web.local import Local, Raw

NGINX = """
daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    upstream seedbed {{ {replicas} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://seedbed; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_buffering off; proxy_connect_timeout 2s;
        }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(place: Path, replicas: list[Server]) -> Iterator[str]:
    """Debian's nginx before some replicas; yields its URL."""
    port = free_port()
    servers = " ".join(
        f"server 127.0.0.1:{replica.port} max_fails=1 fail_timeout=1s;" for replica in replicas
    )
    configuration = place / "nginx.conf"
    configuration.write_text(NGINX.format(place=place, port=port, replicas=servers))
    process = subprocess.Popen(["nginx", "-p", str(place), "-c", str(configuration)])
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url), "nginx to answer")
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _sending(replicas: list[Server]) -> Server | None:
    """The replica that sends a download now, if one does."""
    for replica in replicas:
        with contextlib.suppress(httpx.TransportError):
            if metric(replica, "seedbed_streams"):
                return replica
    return None


def _read(url: str, begun: bytearray) -> None:
    """Read on where a download was cut, until it is cut again or complete."""
    headers = {"range": f"bytes={len(begun)}-"}
    with (
        contextlib.suppress(httpx.TransportError),
        httpx.stream("GET", url, headers=headers, timeout=PATIENCE_SECONDS) as response,
    ):
        if response.status_code in (502, 504):  # nginx knows of no replica that lives
            time.sleep(0.2)
            return
        assert response.status_code == 206, response.status_code
        for part in response.iter_raw(2**14):
            begun += part


@pytest.mark.stress
@pytest.mark.parametrize("kills", [10 if QUICK else 100])
def test_replicas_behind_nginx(tmp_path: Path, kills: int) -> None:
    """A download whose replica is killed goes on from another, and is the file, each time."""
    expected, size = digest_of(1), 2048 * 2048 * 4
    choice = random.Random(kills)
    cut = resumed = 0
    starting: deque[threading.Thread] = deque()
    with contextlib.ExitStack() as stack:
        replicas = [
            stack.enter_context(serving(_new(tmp_path / f"replica{i}"), log_level="error"))
            for i in range(3)
        ]
        url = stack.enter_context(nginx(_new(tmp_path / "nginx"), replicas))
        url += f"{SIXTEEN_MIB}?seed=1"
        for _ in range(kills):
            begun = bytearray()
            with Raw(int(url.split(":")[2].split("/")[0]), receive_buffer=2**14) as raw:
                path = f"{SIXTEEN_MIB}?seed=1"
                status, headers = raw.get(path).head()
                assert status == 200
                begun += raw.take(choice.randrange(1, 2**20))
                wait_until(lambda: _sending(replicas), "a replica to send")
                victim = _sending(replicas)
                assert victim is not None
                victim.end(signal.SIGKILL)
                begun += raw.rest()  # what was under way
            assert len(begun) < int(headers["content-length"])
            cut += 1
            again = threading.Thread(target=victim.start)
            again.start()
            starting.append(again)
            while len(begun) < int(headers["content-length"]):
                _read(url, begun)
                resumed += 1
            assert hashlib.sha256(begun).hexdigest() == expected
            while len(starting) > 1:  # one of three may be starting while the next is killed
                starting.popleft().join(PATIENCE_SECONDS)
        starting.popleft().join(PATIENCE_SECONDS)
    assert cut == kills
    note("replicas_behind_nginx", kills=kills, resumed=resumed, mib=size >> 20)


def _new(directory: Path) -> Path:
    directory.mkdir()
    return directory


def generate(*arguments: str, **more: object) -> subprocess.CompletedProcess[bytes]:
    """Run `seedbed generate`."""
    return subprocess.run(
        [sys.executable, "-m", "seedbed.cli", "generate", "-q", *arguments],
        capture_output=True, check=False, timeout=PATIENCE_SECONDS, **more,  # type: ignore[call-overload]
    )  # fmt: skip


def _no_larger_than(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_no_room_for_the_file(tmp_path: Path) -> None:
    """Where a file finds no room there is none of its name, and it goes on when there is room."""
    target = tmp_path / "w.safetensors"
    arguments = ("normal", "2048x2048", "--seed", "1", "-o", str(target))
    done = generate(*arguments, preexec_fn=_no_larger_than(5_000_000))
    assert done.returncode == 1
    assert b"File too large" in done.stderr
    assert b"Traceback" not in done.stderr
    assert not target.exists()
    (partial,) = tmp_path.iterdir()
    assert 0 < partial.stat().st_size <= 5_000_000
    assert generate(*arguments).returncode == 0
    assert list(tmp_path.iterdir()) == [target]
    assert hashlib.sha256(target.read_bytes()).hexdigest() == digest_of(1)


def test_no_room_for_standard_output() -> None:
    """A full device at the end of standard output is a line and exit code 1."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "seedbed.cli", "generate", "normal", "2048x2048", "-o", "-"],
            stdout=full, stderr=subprocess.PIPE, check=False, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
    assert done.returncode == 1
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


def test_no_cache(tmp_path: Path) -> None:
    """Where compiled kernels can be neither found nor kept the file is the same."""
    target = tmp_path / "w.safetensors"
    script = (
        "import sys; from pathlib import Path; from seedbed.stream import engine;"
        "engine.obtain.__defaults__ = ((Path('/dev/null/a'), Path('/proc/b')),);"
        "from seedbed.cli.program import app; app(sys.argv[1:])"
    )
    done = subprocess.run(
        [
            sys.executable, "-c", script, "generate", "normal", "2048x2048", "--seed", "1", "-q",
            "-o", str(target),
        ],
        capture_output=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert hashlib.sha256(target.read_bytes()).hexdigest() == digest_of(1)


def test_clock_that_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is set by years, to and fro, is no reason to break off, refuse or differ."""
    real = time.time
    jump = [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + jump[0])
    with Local(head_seconds=30, stall_seconds=30, keep_alive_seconds=30) as local:
        with Raw(local.port, receive_buffer=2**14) as raw, Raw(local.port) as kept:
            assert kept.get("/healthz").answer().status == 200
            _, headers = raw.get(f"{SIXTEEN_MIB}?seed=1").head()
            body = bytearray()
            for years in (10, -30, 60, 0):
                jump[0] = years * 3.15e7
                body += raw.take(2**20)
                time.sleep(0.3)
                assert kept.get("/readyz").answer().status == 200
            body += raw.take(int(headers["content-length"]) - len(body))
        etag = httpx.head(f"{local.url}{SIXTEEN_MIB}?seed=1").headers["etag"]
    assert hashlib.sha256(body).hexdigest() == digest_of(1)
    assert etag == headers["etag"]


def test_process_that_was_stopped(tmp_path: Path) -> None:
    """A service that was stopped for longer than clients may take has not waited for them."""
    with (
        serving(tmp_path, head_seconds=2, stall_seconds=2, body_seconds=30) as server,
        Raw(server.port, receive_buffer=2**14) as raw,
    ):
        _, headers = raw.get(f"{SIXTEEN_MIB}?seed=1").head()
        half = Raw(server.port).send(b"GET /healthz HTTP/1.1\r\n")  # not before: its time counts
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(3)
        os.kill(server.pid, signal.SIGCONT)
        with half:
            assert half.send(b"Host: here\r\n\r\n").answer().status == 200
        body = raw.take(int(headers["content-length"]))
    assert hashlib.sha256(body).hexdigest() == digest_of(1)
