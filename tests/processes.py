"""Programs that tests run: with the environment that they name, and a bound on every wait."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 300.0
"""How long to wait for what must come about. A bound on a hang, not a claim about speed."""

SCRIPT = str(Path(sys.executable).parent / "seedbed")
"""The command line, as it is installed."""


def environment(**more: str) -> dict[str, str]:
    """All that a process is told: where programs are, a home of its own, UTF-8, and `more`.

    Nothing else is inherited, so that no test needs what one machine happens to set.
    """
    return {"PATH": os.environ["PATH"], "HOME": _home(), "LANG": "C.UTF-8", **more}


def _home() -> str:
    """A home directory for all processes of this session, empty at first."""
    global _directory  # noqa: PLW0603  made once, removed at exit
    if _directory is None:
        _directory = tempfile.TemporaryDirectory(prefix="seedbed-home-")
    return _directory.name


_directory: tempfile.TemporaryDirectory[str] | None = None


def run(*command: str | Path, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """What a program that ends by itself says; `more` is for `subprocess.run`."""
    return subprocess.run(
        [str(part) for part in command],
        check=False,
        **{
            "capture_output": True, "stdin": subprocess.DEVNULL, "env": environment(),
            "timeout": PATIENCE_SECONDS, **more,
        },
    )  # fmt: skip


def start(*command: str | Path, **more: Any) -> subprocess.Popen[bytes]:
    """A program that goes on, to be ended by whoever starts it; `more` is for `Popen`."""
    return subprocess.Popen(
        [str(part) for part in command],
        **{"stdin": subprocess.DEVNULL, "env": environment(), **more},
    )


def attempts(what: str) -> Iterator[int]:
    """0, 1, 2 … for a loop that ends by itself, since what it waits for comes about.

    Raises:
        TimeoutError: it never did; `what` says what was waited for.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    for attempt in itertools.count():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_SECONDS:g} seconds for {what}")
        yield attempt


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Poll until a condition holds.

    Raises:
        TimeoutError: it never did; `what` says what was waited for.
    """
    for _ in attempts(what):
        if condition():
            return
        time.sleep(0.01)
