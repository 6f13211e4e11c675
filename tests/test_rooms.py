"""What holds of the rooms beside the contracts of pyproject.toml, which `make check` keeps."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import seedbed

ROOT = Path(seedbed.__file__).parent

OUTSIDE = {
    "__init__", "confinement", "disk", "errors", "links", "materialise_command", "memory",
    "record_command", "recorder", "remote", "standard_streams", "version",
}  # fmt: skip

ENVIRONMENT = re.compile(r"\b(os\.environ|os\.getenv|getenv|environb?|pydantic_settings)\b")
"""Ways to what the core must be handed as arguments."""

ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
EXTRAS = {"torch", "jax", "keras"}
"""Rooms of optional dependencies, which may not be there."""


def test_contracts_name_every_room() -> None:
    """A new room has its place among the arrows, and its door is kept unless nobody enters it."""
    text = (ROOT.parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    for room in ROOMS:
        assert re.search(rf'"[^"\n]*\bseedbed\.{room}\b[^"\n]*",', text), room
        if room not in EXTRAS | {"cli", "recording", "web"}:
            assert f'protected_modules = ["seedbed.{room}.**"]' in text, room


def test_only_the_entry_points_stand_outside() -> None:
    """Beside the rooms there are leaves, disk, and the command line."""
    assert {path.stem for path in ROOT.glob("*.py")} == OUTSIDE


def test_doors() -> None:
    """`__all__` is exactly what a room's door imports; a room without exports has none."""
    for room in set(ROOMS) - EXTRAS:
        source = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))
        imported = [
            alias.asname or alias.name
            for node in source.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        ]
        door = importlib.import_module(f"seedbed.{room}")
        assert sorted(getattr(door, "__all__", [])) == sorted(imported), room
        assert ast.get_docstring(source), room


def test_the_core_reads_no_environment() -> None:
    """Limits reach the core as arguments."""
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] not in {"web", "cli", *EXTRAS}:
            assert not ENVIRONMENT.search(path.read_text(encoding="utf-8")), path.name


def test_the_service_imports_no_framework_of_models() -> None:
    """Nor does the command line, until something is recorded."""
    code = "import sys, seedbed.web.application, seedbed.cli.program; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert not {"torch", "jax", "keras", "transformers", "flax"} & set(done.stdout.split())
