"""Networks that nobody here wrote: recorded, put, and loaded three ways with equal bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.interop

from tests.interop.recording.test_libraries import PACKAGES, ROOT  # noqa: E402
from tests.serving import Server  # noqa: E402

BOUND_SECONDS = 1800
"""Of a program that takes half a minute; a bound on a hang."""


@pytest.fixture(scope="module")
def said(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the networks are in each way."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.interop.recording.others", server.url,
         tmp_path_factory.mktemp("others")],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join(PACKAGES)},
        capture_output=True, text=True, timeout=BOUND_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("network", ["timm", "diffusers", "mambapy"])
def test_three_ways(said: dict[str, Any], network: str) -> None:
    """The served file loaded, one process in place, and a mesh of 2 × 2 have the same bytes."""
    found = said[network]
    served = found["served"]
    assert (found["refused"], found["left"]) == ({}, {})
    assert len(set(served.values())) > len(served) / 3  # the others are constants
    assert found["loaded"] == found["filled"] == found["mesh"]["digests"] == served
    assert found["mesh"]["share"] < 2 / 3  # of all elements, in one of the four processes
