from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from seedbed.web.application import create_app
from seedbed.web.observability import forget_worker
from seedbed.web.settings import Settings
from tests.serving import Server, wait_until
from tests.web.local import TERABYTE, Local, Raw


def test_alive_and_ready(client: httpx.Client) -> None:
    """A service that runs says so, and with what."""
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert ready.pop("engine") in Settings.model_fields["engine"].annotation.__args__
    assert ready == {"status": "ready", "registry": "up"}


def ask_before_the_start(*paths: str) -> list[httpx.Response]:
    """What an application says whose lifespan has not begun."""
    settings = Settings(engine="numpy", log_level="error", registry_url="none")
    transport = httpx.ASGITransport(create_app(settings))

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(ask())


def test_not_ready_before_the_start() -> None:
    """Before it has started a service is alive, but not ready, and says that it is starting."""
    alive, ready = ask_before_the_start("/healthz", "/readyz")
    assert alive.status_code == 200
    assert ready.status_code == 503
    assert ready.headers["content-type"] == "application/problem+json"
    body = ready.json()
    assert (body["type"], body["state"]) == ("urn:seedbed:problem:not-ready", "starting")
    assert "starting" in body["detail"]


def test_not_ready_while_it_drains() -> None:
    """While it drains a service is not ready, says so, and goes on sending."""
    with Local(engine="numpy", drain_seconds=60) as local, Raw(local.port) as download:
        download.get(TERABYTE).head()
        with local.client() as client:
            assert client.get("/readyz").json()["registry"] == "none"
            local.begin_to_stop()
            wait_until(lambda: client.get("/readyz").status_code == 503, "readiness to turn")
            assert client.get("/readyz").json()["state"] == "draining"
            assert client.get("/healthz").status_code == 200
        assert len(download.take(1 << 20)) == 1 << 20
        local.stop_at_once()


def test_registry_that_goes_and_comes_back(tmp_path: Path) -> None:
    """A registry that is gone is reported, by /readyz and a gauge, and nothing else suffers."""
    database, aside = tmp_path / "registry.db", tmp_path / "aside.db"
    with (
        Local(engine="numpy", registry_url=f"sqlite:///{database}") as local,
        local.client() as client,
    ):

        def state() -> tuple[int, str, float, int]:
            ready = client.get("/readyz")
            preset = client.head("/v1/tensors/he_normal/4x4.safetensors")
            return (
                ready.status_code,
                ready.json()["registry"],
                local.metric("seedbed_registry_up"),
                preset.status_code,
            )

        assert state() == (200, "up", 1, 200)
        database.rename(aside)
        assert state() == (200, "down", 0, 200)
        aside.rename(database)
        assert state() == (200, "up", 1, 200)


METRICS = {
    "seedbed_aborted_responses": "counter",
    "seedbed_build_info": "gauge",
    "seedbed_cache_lookups": "counter",
    "seedbed_draw_seconds": "counter",
    "seedbed_drawn_elements": "counter",
    "seedbed_first_byte_seconds": "histogram",
    "seedbed_queue_seconds": "histogram",
    "seedbed_refusals": "counter",
    "seedbed_registry_up": "gauge",
    "seedbed_requests": "counter",
    "seedbed_sent_bytes": "counter",
    "seedbed_streams": "gauge",
    "seedbed_streams_limit": "gauge",
    "seedbed_streams_waiting": "gauge",
}


def test_metrics(client: httpx.Client) -> None:
    """/metrics is in Prometheus' text format, and has the series that dashboards rely on."""
    client.get("/v1/tensors/zeros/1.safetensors")
    client.get("/nowhere")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    ours = {name: family for name, family in families.items() if name.startswith("seedbed_")}
    assert {name: family.type for name, family in ours.items()} == METRICS
    assert families.keys() - ours.keys() >= {"process_resident_memory_bytes", "process_open_fds"}
    assert all(family.documentation for family in ours.values())
    assert ours["seedbed_streams"].samples[0].value == 0
    routes = {
        sample.labels["route"]
        for sample in ours["seedbed_requests"].samples
        if sample.name == "seedbed_requests_total"
    }
    assert "/v1/tensors/{scheme}/{shape}.safetensors" in routes


def test_processes_that_share_their_metrics(tmp_path: Path) -> None:
    """Whichever of several processes is asked answers for all, and for none that has ended."""
    shared = tmp_path / "metrics"
    shared.mkdir()
    variables = {"PROMETHEUS_MULTIPROC_DIR": str(shared)}

    def values(server: Server) -> dict[str, float]:
        text = httpx.get(f"{server.url}/metrics").text
        return {
            sample.name + str(sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    route = "/v1/tensors/{scheme}/{shape}.safetensors"
    answered = f"seedbed_requests_total{sorted(['GET', '200', route])}"
    first, second = (
        Server(tmp_path, variables, engine="numpy", max_streams=most) for most in (3, 4)
    )
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(Server.start, (first, second)))
    try:
        for server, count in ((first, 2), (second, 3)):
            for _ in range(count):
                httpx.get(f"{server.url}/v1/tensors/normal/8.safetensors")
        assert values(first)[answered] == values(second)[answered] == 5
        assert values(second)["seedbed_drawn_elements_total[]"] == 5 * 8
        assert values(first)["seedbed_streams_limit[]"] == 7
        ended = second.pid
        second.end()
        forget_worker(ended, shared)
        assert values(first)["seedbed_streams_limit[]"] == 3
        assert values(first)[answered] == 5
    finally:
        second.end()
        first.end()
