"""The application, composed: settings → service, middleware, error handlers, routes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from importlib.metadata import version

import structlog
from fastapi import FastAPI

from seedbed.errors import UnavailableError
from seedbed.registry import SpecStore
from seedbed.stream import AUTO, NUMPY
from seedbed.web import documentation, problems
from seedbed.web.access import Access
from seedbed.web.cors import CORS, parse_origins
from seedbed.web.keys import ANONYMOUS
from seedbed.web.observability import Observability, configure_logging
from seedbed.web.routes import (
    catalogue,
    checkpoints,
    compare,
    docs,
    health,
    hub,
    layers,
    models,
    page,
    s3,
    specs,
    tensors,
)
from seedbed.web.security_headers import SecurityHeaders
from seedbed.web.service import Service
from seedbed.web.settings import Settings, read_settings

log = structlog.get_logger("seedbed")

DESCRIPTION = """\
Initial weights of neural networks as safetensors files, streamed.

A file is a pure function of its spec and seed: its size and ETag are known before a weight is
drawn, any byte range can be fetched on its own, and the bytes are the same on every machine.
"""

TAGS = [
    {"name": "checkpoints", "description": "A spec in, a safetensors file out."},
    {"name": "tensors", "description": "One tensor by a line of curl."},
    {"name": "models", "description": "Whole architectures with names."},
    {"name": "specs", "description": "Specs with names, kept by this service."},
    {"name": "catalogue", "description": "What can be asked for."},
    {"name": "compare", "description": "Schemes measured in networks, and which to use."},
    {"name": "operations", "description": "Health and metrics."},
]


_YOUNG_BEFORE_OLD = 1000
"""How often to look for garbage among what is young before all is looked through.

Nothing else runs meanwhile: for 0.2 seconds of processor, beside the plan of 80,000 tensors. With
Python's own 10, a plan that comes in is looked through each time that it has grown by a quarter.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service with these settings, or with those of the environment."""
    settings = settings or read_settings()
    configure_logging(settings.log_format, settings.log_level)
    service = Service(settings)
    app = FastAPI(
        title="Seedbed",
        summary="The weights a model starts from, as a URL",
        description=DESCRIPTION,
        version=version("seedbed"),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=TAGS,
        servers=[{"url": "/", "description": "This server"}],
        lifespan=_lifespan,
        redirect_slashes=False,  # a path has one spelling, and no answer repeats a Host header
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.state.at_end = []
    problems.install(app)
    # Their routes, not the routers: those would have every request matched once more for each.
    # Each is tried in turn, so that small answers of which many are wanted come first.
    for surface in (
        tensors,
        health,
        checkpoints,
        models,
        specs,
        catalogue,
        layers,
        compare,
        s3,
        hub,
    ):
        app.router.routes.extend(surface.router.routes)
    docs.install(app)
    page.install(app)
    documentation.install(app)
    _add_middleware(app, service)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What is done before the first request, and after the last."""
    service: Service = app.state.service
    if service.engine.name == NUMPY and service.settings.engine == AUTO:
        log.warning(
            "no compiled kernels: drawing with NumPy, the same bytes, slower",
            why=service.engine.why,
        )
    if service.registry.exists:
        try:
            await service.registry.ask(SpecStore.open)
        except UnavailableError as error:
            log.warning("no stored specs for now", why=str(error))
    gc.freeze()  # what has been imported is no garbage: to look through it takes 0.1 seconds
    gc.set_threshold(*gc.get_threshold()[:2], _YOUNG_BEFORE_OLD)
    service.started = service.ready = True
    log.info("ready", engine=service.engine.name, threads=service.settings.worker_threads)
    try:
        yield
    finally:
        service.ready = False
        service.close()
        for end in app.state.at_end:
            await asyncio.to_thread(end)


def _add_middleware(app: FastAPI, service: Service) -> None:
    """What every request passes, the innermost first."""
    settings = service.settings
    may, keys = settings.anonymous_may, settings.key_ring
    if keys or may != ANONYMOUS["all"]:
        app.add_middleware(
            Access, keys=keys, anonymous=may, retry_after_seconds=settings.retry_after_seconds
        )
    if origins := parse_origins(settings.cors_origins):
        app.add_middleware(CORS, origins=origins)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Observability, metrics=service.metrics)
    if settings.otlp_endpoint != "none":
        from seedbed.web.tracing import Tracing, provider_to  # noqa: PLC0415  # of an extra

        traces = provider_to(settings.otlp_endpoint, settings.trace_ratio, app.version)
        app.state.at_end.append(traces.shutdown)
        app.add_middleware(Tracing, provider=traces)
