from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from seedbed.files import VirtualFile
from seedbed.files.one_tensor import spec_of_one
from tests.serving import PATIENCE_SECONDS, Server, serving, wait_until
from tests.web.local import MIB, TERABYTE, Local, Raw, bytes_of

SMALL = "/v1/tensors/ones/8.safetensors"
LARGE = "/v1/tensors/uniform/3000x1000.safetensors"
CONTENT = bytes_of(VirtualFile(spec_of_one("uniform", "3000x1000", {})))


def test_a_port_that_is_chosen(tmp_path: Path) -> None:
    """With port 0 the service chooses one, and its log says which."""
    log = tmp_path / "log"
    environment = {"SEEDBED_PORT": "0", "SEEDBED_ENGINE": "numpy", "SEEDBED_LOG_FORMAT": "json",
                   "SEEDBED_REGISTRY_URL": "none"}  # fmt: skip
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "seedbed.cli", "serve"], env=environment, stderr=file
        )
    try:
        wait_until(lambda: "listening" in log.read_text(), "it to listen")
        line = next(x for x in map(json.loads, log.read_text().splitlines()) if "port" in x)
        assert httpx.get(f"http://127.0.0.1:{line['port']}/healthz").status_code == 200
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """A port that somebody else has ends the start with a line that says so."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = {"SEEDBED_PORT": str(taken.getsockname()[1]), "SEEDBED_ENGINE": "numpy",
                       "SEEDBED_REGISTRY_URL": "none"}  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "seedbed.cli", "serve"], env=environment,
            capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode != 0
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_running_download_ends_well(tmp_path: Path, by: signal.Signals) -> None:
    """On SIGTERM or SIGINT readiness turns, then downloads go on to their end, then it is over."""
    with serving(tmp_path, log_format="json", drain_seconds=0.5) as server:
        with Raw(server.port, receive_buffer=2**14) as raw:
            _, headers = raw.get(LARGE).head()
            begun = raw.take(MIB)
            ending = threading.Thread(target=server.end, args=(by,))
            ending.start()
            # New connections are still taken, for a while, and told that there will be no more.
            wait_until(lambda: _readiness(server) != 200, "readiness to turn")
            assert _readiness(server) in (503, 0)
            wait_until(lambda: _readiness(server) == 0, "connections to be refused")
            body = begun + raw.rest()
        ending.join(PATIENCE_SECONDS)
        assert not ending.is_alive()
        assert len(body) == int(headers["content-length"])
        assert body == CONTENT
        events = [json.loads(line)["event"] for line in server.log.read_text().splitlines()]
        assert "stopping" in events
        assert "failure" not in events


def _readiness(server: Server) -> int:
    """The status of /readyz, or 0 if nobody takes the connection."""
    try:
        return httpx.get(f"{server.url}/readyz", timeout=5).status_code
    except httpx.TransportError:
        return 0


def test_a_download_that_does_not_end_is_cut(tmp_path: Path) -> None:
    """A download that takes longer than the setting is cut, so that its client notices."""
    with serving(tmp_path, log_format="json", shutdown_seconds=1) as server:
        with Raw(server.port, receive_buffer=2**14) as raw:
            _, headers = raw.get(TERABYTE).head()
            raw.take(MIB)
            ending = threading.Thread(target=server.end)
            ending.start()
            count = 0
            while part := raw.take(4 * MIB):
                count += len(part)
            assert count < int(headers["content-length"])
        ending.join(PATIENCE_SECONDS)
        assert not ending.is_alive()


def test_readiness_turns_first() -> None:
    """While it drains the service answers, and says that it is not ready."""
    with Local(engine="numpy", drain_seconds=3600) as local:
        with local.client() as client:
            assert client.get("/readyz").status_code == 200
            local.begin_to_stop()
            wait_until(lambda: client.get("/readyz").status_code == 503, "readiness to turn")
            assert client.get("/healthz").status_code == 200
            assert client.get(SMALL).status_code == 200
        refused = httpx.get(f"{local.url}/readyz")  # on a new connection
        assert refused.json()["type"] == "urn:seedbed:problem:not-ready"
        local.stop_at_once()
