"""Programs run by the tests, with a bound on how long they may hang."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.serving import PATIENCE_SECONDS


def run(
    *command: str | Path, check: bool = True, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """What a command says; if it has to succeed, what it complains of is in the error."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_SECONDS,
        cwd=cwd,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done
