"""What holds for all tests: however they were started, they find what any machine has."""

from __future__ import annotations

import os
import signal


def pytest_configure() -> None:
    """Forget settings, and what makes programs colour their output, whoever has set it.

    Shells start what runs in the background with SIGINT ignored, which would be inherited by all
    programs that tests start, some of which are ended by it. A handler is not inherited.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [*os.environ]:
        if name.startswith("SEEDBED_") or name in _COLOURS:
            del os.environ[name]


_COLOURS = {"FORCE_COLOR", "NO_COLOR", "PY_COLORS", "CLICOLOR", "CLICOLOR_FORCE", "GITHUB_ACTIONS",
            "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}  # fmt: skip
