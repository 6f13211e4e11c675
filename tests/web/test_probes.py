from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from seedbed.web.keys import line_of, new_key
from seedbed.web.settings import Settings
from tests.serving import PATIENCE_SECONDS, free_port, serving, wait_until
from tests.web.local import Local, Raw


def test_what_is_at_the_port() -> None:
    """At the port for probes there are health, readiness and metrics, and nothing else."""
    with Local(engine="numpy", probe_port=free_port()) as local:
        at = f"http://127.0.0.1:{local.service.settings.probe_port}"
        assert httpx.get(f"{at}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{at}/readyz").status_code == 200
        assert "date" in httpx.get(f"{at}/readyz").headers
        assert b"seedbed_requests_total" in httpx.get(f"{at}/metrics").content
        for path in ("/", "/docs", "/v1/schemes", "/metrics/", "/v1/tensors/ones/2.safetensors"):
            answer = httpx.get(at + path)
            assert (answer.status_code, answer.json()["type"][-9:]) == (404, "not-found")
        assert httpx.get(f"{local.url}/healthz").status_code == 200
        assert httpx.get(f"{local.url}/readyz").status_code == 200
        answer = httpx.get(f"{local.url}/metrics")
        assert answer.status_code == 404
        assert "SEEDBED_PROBE_PORT" in answer.json()["detail"]


def test_it_needs_no_key() -> None:
    """Who watches needs no key, where all others need one even to read."""
    keys = line_of("ci", frozenset({"read"}), new_key())
    given = {"api_keys": keys, "anonymous": "none", "probe_port": free_port()}
    with Local(engine="numpy", **given) as local:
        at = f"http://127.0.0.1:{given['probe_port']}"
        assert httpx.get(f"{at}/metrics").status_code == 200
        assert httpx.get(f"{local.url}/metrics").status_code == 401


def test_no_crowd_fills_it() -> None:
    """Connections that fill the one port, and silent ones at the other, are in nobody's way."""
    with Local(engine="numpy", probe_port=free_port(), max_connections=2) as local:
        port = local.service.settings.probe_port
        crowd = [Raw(local.port) for _ in range(200)] + [Raw(port) for _ in range(200)]
        with Raw(port) as raw:
            assert raw.get("/healthz").answer().status == 200
            assert raw.get("/readyz").answer().status == 200
        for each in crowd:
            each.socket.close()


def test_it_is_there_until_the_end() -> None:
    """While the service drains and takes no connections any more, it is still watched."""
    with Local(engine="numpy", probe_port=free_port(), shutdown_seconds=3600) as local:
        at = f"http://127.0.0.1:{local.service.settings.probe_port}"
        with Raw(local.port, receive_buffer=2**14) as raw:
            raw.get("/v1/tensors/uniform/3000x1000.safetensors").head()
            local.begin_to_stop()
            wait_until(lambda: httpx.get(f"{at}/readyz").status_code == 503, "readiness to turn")
            assert httpx.get(f"{at}/healthz").status_code == 200
        # and ends with it: Local waits for that


def test_workers_share_it(tmp_path: Path) -> None:
    """Of several workers any answers at the one port for probes, for all of them."""
    port = free_port()
    with serving(tmp_path, workers=2, probe_port=port, engine="numpy") as server:
        for _ in range(10):
            assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
        assert httpx.get(f"{server.url}/metrics").status_code == 404


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_taken(tmp_path: Path, workers: int) -> None:
    """A port for probes that somebody else has ends the start with a line that says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {
            "SEEDBED_PORT": "0", "SEEDBED_PROBE_PORT": str(port), "SEEDBED_REGISTRY_URL": "none",
            "SEEDBED_WORKERS": str(workers), "SEEDBED_ENGINE": "numpy",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "seedbed.cli", "serve"], env=environment,
            capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode != 0
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_is_another_port() -> None:
    """One port cannot be both."""
    with pytest.raises(ValidationError, match="SEEDBED_PROBE_PORT is SEEDBED_PORT"):
        Settings(port=8000, probe_port=8000)
    assert json.loads(Settings(port=0).model_dump_json())["probe_port"] == 0
