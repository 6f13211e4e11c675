"""What holds for all tests: however they were started, they find what any machine has."""

from __future__ import annotations

import inspect
import os
import signal

import httpx

from tests.processes import PATIENCE_SECONDS


def pytest_configure() -> None:
    """Forget settings, and what makes programs colour their output, whoever has set it.

    Shells start what runs in the background with SIGINT ignored, which would be inherited by all
    programs that tests start, some of which are ended by it. A handler is not inherited.

    A client of HTTP that is told no bound has that of all tests: its own, 5 seconds, would be a
    claim about speed.
    """
    usual = inspect.signature(httpx.get).parameters["timeout"].default
    usual.connect = usual.read = usual.write = usual.pool = PATIENCE_SECONDS
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [*os.environ]:
        if name.startswith("SEEDBED_") or name in _COLOURS:
            del os.environ[name]


_COLOURS = {"FORCE_COLOR", "NO_COLOR", "PY_COLORS", "CLICOLOR", "CLICOLOR_FORCE", "GITHUB_ACTIONS",
            "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}  # fmt: skip
