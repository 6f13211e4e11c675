from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from seedbed.files import VirtualFile
from seedbed.files.one_tensor import spec_of_one
from seedbed.web.workers import listeners
from tests.processes import run
from tests.serving import PATIENCE_SECONDS, Server, serving, wait_until
from tests.web.local import MIB, Raw, bytes_of

LARGE = "/v1/tensors/uniform/3000x1000.safetensors"
CONTENT = bytes_of(VirtualFile(spec_of_one("uniform", "3000x1000", {})))
SMALL = "/v1/tensors/ones/8.safetensors"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Server]:
    """A service of two workers, both of which listen."""
    with serving(tmp_path, workers=2, log_format="json", engine="numpy") as running:
        workers_of(running)
        yield running


def workers_of(server: Server) -> set[int]:
    """Process ids of the two workers of a service, as soon as both listen."""

    def found() -> set[int]:
        lines = map(json.loads, server.log.read_text().splitlines())
        listen = {line["pid"] for line in lines if line["event"] == "listening"}
        return listen & {child.pid for child in psutil.Process(server.pid).children()}

    wait_until(lambda: len(found()) == 2, "two workers to listen")
    return found()


def worker_at(raw: Raw, server: Server) -> int:
    """The worker at the other end of a connection."""
    here = raw.socket.getsockname()
    (pid,) = (
        pid
        for pid in workers_of(server)
        for connection in psutil.Process(pid).net_connections("tcp4")
        if connection.raddr == here
    )
    return pid


def test_a_worker_that_dies_is_replaced(pair: Server) -> None:
    """Of two workers one is killed in mid-download: the other goes on, and soon there are two."""
    before = workers_of(pair)
    with Raw(pair.port, receive_buffer=2**14) as one, Raw(pair.port, receive_buffer=2**14) as two:
        assert one.get(LARGE).head()[0] == 200
        victim = worker_at(one, pair)
        assert two.get(LARGE).head()[0] == 200
        same = worker_at(two, pair) == victim
        begun = one.take(MIB)
        os.kill(victim, signal.SIGKILL)
        cut = begun + one.rest()
        assert len(cut) < len(CONTENT)
        assert CONTENT.startswith(cut)
        assert same or two.take(len(CONTENT)) == CONTENT
    rest = httpx.get(pair.url + LARGE, headers={"range": f"bytes={len(cut)}-"})
    assert (rest.status_code, cut + rest.content) == (206, CONTENT)
    after = workers_of(pair)
    assert len(before & after) == 1
    assert victim not in after
    with httpx.Client(base_url=pair.url) as client:
        assert all(client.get(SMALL).status_code == 200 for _ in range(20))


def test_sigterm_ends_all_workers_well(pair: Server) -> None:
    """On SIGTERM no connection is taken any more, downloads go on to their end, and all end."""
    pids = workers_of(pair)
    with Raw(pair.port, receive_buffer=2**14) as raw:
        assert raw.get(LARGE).head()[0] == 200
        begun = raw.take(MIB)
        ending = threading.Thread(target=pair.end)
        ending.start()
        wait_until(lambda: _refused(pair), "connections to be refused")
        assert begun + raw.rest() == CONTENT
    ending.join(PATIENCE_SECONDS)
    assert not ending.is_alive()
    assert not any(map(psutil.pid_exists, pids))
    assert "Traceback" not in pair.log.read_text()


def _refused(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_workers_end_with_their_parent(pair: Server) -> None:
    """Workers whose parent is killed end by themselves, and the port is free again."""
    pids = workers_of(pair)
    pair.end(signal.SIGKILL)
    wait_until(lambda: not any(map(psutil.pid_exists, pids)), "the workers to end")
    assert _refused(pair)
    pair.start()
    assert httpx.get(pair.url + SMALL).status_code == 200


def test_workers_that_do_not_start(tmp_path: Path) -> None:
    """If no worker has ever served, and all end by themselves again and again, the whole ends."""
    (tmp_path / "structlog.py").write_text("raise SystemExit(7)")  # what a worker finds first
    script = (
        "import os; from seedbed.web.workers import *;"
        f"os.environ['PYTHONPATH'] = {str(tmp_path)!r};"
        "settings = Settings(port=0, workers=2, log_format='json');"
        "raise SystemExit(Supervisor(settings).run())"
    )
    done = run(sys.executable, "-c", script)
    assert done.returncode == 1
    *ended, last = map(json.loads, done.stderr.splitlines())
    assert last["event"] == "no worker starts"
    assert {(line["event"], line["code"]) for line in ended} == {("a worker has ended", 7)}


def test_a_worker_killed_young_again_and_again(pair: Server) -> None:
    """However often one worker is killed young, the service goes on, and comes back to two.

    Each time it waits a little longer before it starts another.
    """
    stays, *_ = workers_of(pair)
    for _ in range(7):  # more than the failures that end a service which has never served
        wait_until(lambda: len(children_of(pair)) == 2, "another worker to be there")
        (victim,) = children_of(pair) - {stays}
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda victim=victim: victim not in children_of(pair), "it to be missed")
        assert httpx.get(pair.url + SMALL).status_code == 200
    lines = [json.loads(line) for line in pair.log.read_text().splitlines()]
    pauses = [line["pause_seconds"] for line in lines if line["event"] == "a worker has ended"]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 5
    assert stays in workers_of(pair)


def children_of(server: Server) -> set[int]:
    """Process ids of the workers that live."""
    children = psutil.Process(server.pid).children()
    return {child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE}


def test_a_directory_for_metrics_that_goes(tmp_path: Path) -> None:
    """A directory for metrics that is not there, or is removed meanwhile, ends nothing."""
    shared = tmp_path / "not" / "there"
    variables = {"PROMETHEUS_MULTIPROC_DIR": str(shared)}
    with serving(tmp_path, variables, workers=2, log_format="json", engine="numpy") as server:
        victim, _ = workers_of(server)
        assert b"seedbed_requests_total" in httpx.get(f"{server.url}/metrics").content
        shutil.rmtree(shared)
        assert httpx.get(f"{server.url}/metrics").status_code == 200
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in children_of(server), "it to be missed")
        assert len(workers_of(server)) == 2
        for _ in range(10):
            assert httpx.get(server.url + SMALL).status_code == 200
            assert httpx.get(f"{server.url}/metrics").status_code == 200
        log = server.log.read_text()
    assert "Traceback" not in log


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """A port that somebody else has ends the start with a line that says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(
            sys.executable, "-m", "seedbed.cli", "serve", "--workers", "2", "--port", port,
            text=True, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_listeners_of_a_name() -> None:
    """A name with several addresses is listened at on all of them, on one port that is chosen."""
    found = listeners("localhost", 0)
    try:
        addresses = {listener.getsockname()[0] for listener in found}
        assert addresses <= {"127.0.0.1", "::1"}
        assert len({listener.getsockname()[1] for listener in found}) == 1
    finally:
        for listener in found:
            listener.close()
