"""What holds for all tests: they know only of the environment what any machine has."""

from __future__ import annotations

import os


def pytest_configure() -> None:
    """Forget settings, and what makes programs colour their output, whoever has set it."""
    for name in [*os.environ]:
        if name.startswith("SEEDBED_") or name in _COLOURS:
            del os.environ[name]


_COLOURS = {"FORCE_COLOR", "NO_COLOR", "PY_COLORS", "CLICOLOR", "CLICOLOR_FORCE", "GITHUB_ACTIONS",
            "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}  # fmt: skip
