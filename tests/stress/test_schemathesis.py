from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import Server
from tests.stress.scale import QUICK, note

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


def run(server: Server, directory: Path, *arguments: str) -> str:
    """Run schemathesis with all of its checks against a service; gives what it says.

    Raises:
        AssertionError: something failed, or nothing was sent.
    """
    before = server.log.stat().st_size
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", f"--config-file={CONFIGURATION}",
            "run", f"{server.url}/openapi.json", "--checks=all", "--continue-on-failure",
            "--seed=1", "--generation-deterministic", "--warnings=off", *arguments,
        ],
        capture_output=True, text=True, cwd=directory, check=False, timeout=1500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    log = server.log.read_text()[before:]
    assert "Traceback" not in log
    assert '"failure"' not in log
    return done.stdout


def passed(said: str) -> int:
    """How many requests were sent, all of which passed."""
    match = re.search(r"(\d+) generated, (\d+) passed", said)
    assert match, said
    assert match[1] == match[2]
    return int(match[1])


def test_all_operations(target: Server, tmp_path: Path) -> None:
    """Of what the document allows and forbids, all is answered as the document says."""
    said = run(target, tmp_path, "--phases=examples,fuzzing,stateful", "--max-examples=3")
    count = passed(said)
    assert count > 40
    note("schemathesis", count=count)


@pytest.mark.stress
@pytest.mark.parametrize(
    "phases", ["examples,fuzzing", "stateful", "coverage of GET", "coverage of bodies"]
)
def test_all_operations_at_length(target: Server, tmp_path: Path, phases: str) -> None:
    """So it is with many more requests, those that cover each constraint by itself included."""
    examples = f"--max-examples={8 if QUICK else 60}"
    if not phases.startswith("coverage"):
        said = run(target, tmp_path, f"--phases={phases}", examples)
    elif phases.endswith("GET"):
        said = run(target, tmp_path, "--phases=coverage", "--include-method=GET", examples)
    else:
        said = run(
            target, tmp_path, "--phases=coverage", "--exclude-method=GET", examples,
            f"--max-time={60 if QUICK else 240}",
        )  # fmt: skip
    note("schemathesis_long", phases=phases, count=passed(said))
