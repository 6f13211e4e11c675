"""Operations: alive, ready, metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from seedbed.web.documentation import PROBLEMS
from seedbed.web.problems import RequestProblem
from seedbed.web.schemas import Health
from seedbed.web.service import ServiceOf

router = APIRouter(tags=["operations"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", operation_id="getHealth", summary="Is it alive?", responses=PROBLEMS)
async def get_health() -> Health:
    """200 as long as the process answers at all."""
    return Health(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", operation_id="getReadiness", summary="Is it ready?", responses=PROBLEMS)
async def get_readiness(service: ServiceOf) -> Health:
    """200 when kernels are compiled and requests are welcome, 503 before and while stopping."""
    if not service.ready:
        raise RequestProblem(503, "not-ready", "The service is starting or stopping.")
    return Health(status="ready")


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
async def get_metrics(service: ServiceOf) -> Response:
    """Counters and gauges in Prometheus' text format."""
    return Response(
        generate_latest(service.metrics.registry), headers={"content-type": CONTENT_TYPE_LATEST}
    )
