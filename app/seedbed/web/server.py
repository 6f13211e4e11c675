"""Run the application under uvicorn."""

from __future__ import annotations

import uvicorn

from seedbed.web.application import create_app
from seedbed.web.settings import Settings


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then let downloads end for a while."""
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,  # the application logs each request itself, with its id
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
