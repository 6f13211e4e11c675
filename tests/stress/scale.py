"""How large the tests of this room are, and where they write down what they have measured."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

QUICK = os.environ.get("QUICK", "") not in ("", "0")
"""`make test-stress QUICK=1`: a tenth of the work."""

FIGURES = os.environ.get("RELIABILITY_FIGURES")
"""File to which figures are appended, a JSON object a line; `scripts/reliability.py` reads it."""


def sizes(always: int, short: int, full: int) -> list[Any]:
    """A test's sizes: one for `make test`, and one for `make test-stress`, short or full."""
    return [always, pytest.param(short if QUICK else full, marks=pytest.mark.stress)]


def note(name: str, **facts: object) -> None:
    """Write down what a test has measured."""
    if FIGURES:
        with Path(FIGURES).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"name": name, **facts}) + "\n")
