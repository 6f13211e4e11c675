from __future__ import annotations

import asyncio

import httpx
from prometheus_client.parser import text_string_to_metric_families

from seedbed.web.application import create_app
from seedbed.web.settings import Settings


def test_alive_and_ready(client: httpx.Client) -> None:
    """A service that runs says so."""
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_not_ready_before_the_start() -> None:
    """Before it has started a service is alive, but not ready."""
    transport = httpx.ASGITransport(create_app(Settings(engine="numpy", log_level="error")))

    async def ask() -> tuple[httpx.Response, httpx.Response]:
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/healthz"), await client.get("/readyz")

    alive, ready = asyncio.run(ask())
    assert alive.status_code == 200
    assert ready.status_code == 503
    assert ready.headers["content-type"] == "application/problem+json"
    assert ready.json()["type"] == "urn:seedbed:problem:not-ready"


def test_metrics(client: httpx.Client) -> None:
    """/metrics is in Prometheus' text format, and has the series that dashboards rely on."""
    client.get("/v1/tensors/zeros/1.safetensors")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert families.keys() == {
        "seedbed_requests", "seedbed_sent_bytes", "seedbed_first_byte_seconds",
        "seedbed_aborted_responses", "seedbed_streams", "seedbed_streams_waiting",
    }  # fmt: skip
    assert all(family.documentation for family in families.values())
    assert families["seedbed_streams"].samples[0].value == 0
    routes = {
        sample.labels["route"]
        for sample in families["seedbed_requests"].samples
        if sample.name == "seedbed_requests_total"
    }
    assert "/v1/tensors/{scheme}/{shape}.safetensors" in routes
