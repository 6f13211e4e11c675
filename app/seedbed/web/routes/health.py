"""Operations: alive, ready, metrics."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from seedbed.errors import UnavailableError
from seedbed.registry import SpecStore
from seedbed.web.access import PROBE
from seedbed.web.documentation import PROBLEMS
from seedbed.web.problems import RequestProblem, problem
from seedbed.web.schemas import Health, Readiness
from seedbed.web.service import Service, ServiceOf

router = APIRouter(tags=["operations"])

_REGISTRY_SECONDS = 0.5
"""How long the registry may take to answer a probe, which has little time itself."""


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", operation_id="getHealth", summary="Is it alive?", responses=PROBLEMS)
async def get_health() -> Health:
    """200 as long as the process answers at all."""
    return Health(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    operation_id="getReadiness",
    summary="Is it ready?",
    response_model=Readiness,
    responses=PROBLEMS,
)
async def get_readiness(service: ServiceOf) -> Response:
    """200 when kernels are loaded and requests are welcome, 503 before, and while it drains.

    A registry that does not answer is reported and changes nothing else: everything but named
    specs can be had without it, and another replica would not have it either.
    """
    engine = service.engine.name
    if not service.ready:
        state = "draining" if service.started else "starting"
        why = {"starting": "it is starting", "draining": "it drains, and will stop"}[state]
        return problem(
            503, "not-ready", "Service Unavailable", f"The service is not ready: {why}.",
            state=state, engine=engine,
        )  # fmt: skip
    registry = await _registry_state(service)
    if registry != "none":
        service.metrics.registry_up.set(registry == "up")
    readiness = Readiness(status="ready", engine=engine, registry=registry)
    return JSONResponse(readiness.model_dump())


async def _registry_state(service: Service) -> Literal["none", "up", "down"]:
    if not service.registry.exists:
        return "none"
    try:
        await asyncio.wait_for(service.registry.ask(SpecStore.list, limit=1), _REGISTRY_SECONDS)
    except (UnavailableError, TimeoutError):
        return "down"
    return "up"


@router.head("/metrics", include_in_schema=False)
@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus' text format",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **PROBLEMS,
    },
)
async def get_metrics(request: Request, service: ServiceOf) -> Response:
    """Counters, gauges and histograms in Prometheus' text format: docs/operations.md.

    Where there is a port for probes, they are to be had at that port alone.
    """
    if service.settings.probe_port and PROBE not in request.scope:
        detail = "Metrics are at another port of this service (SEEDBED_PROBE_PORT)."
        raise RequestProblem(404, "not-found", detail)
    return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})
