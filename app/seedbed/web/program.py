"""The service as a program: one process, or several on one port."""

from __future__ import annotations

from seedbed.web.settings import Settings


def start(settings: Settings) -> int:
    """Serve until told to stop.

    Returns:
        The exit code.
    """
    # FastAPI takes half a second, which other commands have no use for.
    if settings.workers > 1:
        from seedbed.web.workers import Supervisor  # noqa: PLC0415

        return Supervisor(settings).run()
    from seedbed.web.server import serve  # noqa: PLC0415

    serve(settings)
    return 0
