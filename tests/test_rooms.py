"""The rooms and what may pass between them, read from the source without importing it."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import seedbed

ROOT = Path(seedbed.__file__).parent

ROOMS = ("stream", "init", "models", "files", "registry", "hub", "compare", "advice", "web")
"""From the innermost to the outermost: each may import those before it."""

INNER = ROOMS[:-1]

APART = ("torch", "jax", "keras")
"""Rooms for whoever has an extra: they import the files, what is within them, and `SHARED`."""

SHARED = "recording"
"""What those share; it imports no framework."""

FRAMEWORKS = {"torch", "jax", "flax", "equinox", "keras", "tensorflow"}

WEB_LIBRARIES = {"fastapi", "starlette", "uvicorn", "httpx", "structlog", "prometheus_client"}

ENVIRONMENT = re.compile(r"\b(os\.environ|os\.getenv|getenv|environb?|pydantic_settings)\b")

MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def room_of(module: Path) -> str:
    """The room that a module is in, or its own name outside of all rooms."""
    return module.parts[0] if len(module.parts) > 1 else module.stem


def imports_of(module: Path) -> set[str]:
    """Every module that a module imports, at its top or within a function."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def rooms_imported(module: Path) -> set[str]:
    """Parts of the package that a module imports."""
    names = {name for name in imports_of(module) if name.startswith("seedbed.")}
    return {name.split(".")[1] for name in names}


in_rooms = [module for module in MODULES if room_of(module) in ROOMS]


@pytest.mark.parametrize("module", in_rooms, ids=str)
def test_arrows_go_one_way(module: Path) -> None:
    """A room imports itself, the rooms within it, and the leaves."""
    allowed = {*ROOMS[: ROOMS.index(room_of(module)) + 1], "errors", "memory"}
    assert rooms_imported(module) <= allowed


@pytest.mark.parametrize(
    "module",
    [module for module in MODULES if room_of(module) in (*INNER, "disk", "memory")],
    ids=str,
)
def test_the_core_needs_no_web(module: Path) -> None:
    """Nothing of the core imports a web library or reads the environment."""
    assert not {name.split(".")[0] for name in imports_of(module)} & WEB_LIBRARIES
    assert not ENVIRONMENT.search((ROOT / module).read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_what_is_apart_is_imported_by_its_command_alone(module: Path) -> None:
    """Recording knows no web; it, and frameworks, are imported by nobody but `seedbed record`."""
    room, frameworks = room_of(module), {name.split(".")[0] for name in imports_of(module)}
    if room in (*APART, SHARED):
        within = {*ROOMS[: ROOMS.index("files") + 1], "errors", SHARED}
        assert rooms_imported(module) <= within | ({room} if room in APART else set())
        assert frameworks & FRAMEWORKS <= ({room} if room in APART else set())
    else:
        assert not frameworks & FRAMEWORKS
        apart = rooms_imported(module) & {*APART, SHARED}
        assert apart == ({"torch"} if module == Path("record_command.py") else set())


def test_errors_are_a_leaf() -> None:
    """The module that all may import imports nothing but the standard library's names for types."""
    assert rooms_imported(Path("errors.py")) == set()
    tops = {name.split(".")[0] for name in imports_of(Path("errors.py"))}
    assert tops == {"__future__", "collections", "typing"}


def test_only_the_entry_points_stand_outside() -> None:
    """Beside the rooms there are leaves, disk and command line; disk knows files, not the web."""
    assert {room_of(module) for module in MODULES} - {*ROOMS, *APART, SHARED} == {
        "__init__", "cli", "disk", "errors", "memory", "record_command", "standard_streams",
    }  # fmt: skip
    assert rooms_imported(Path("disk.py")) == {"errors", "files"}
    assert rooms_imported(Path("memory.py")) == {"errors"}


@pytest.mark.parametrize("room", ROOMS)
def test_doors(room: str) -> None:
    """`__all__` is exactly what a room's door imports, sorted; a room without exports has none."""
    source = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))
    imported = [
        alias.asname or alias.name
        for node in source.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    door = importlib.import_module(f"seedbed.{room}")
    exported = getattr(door, "__all__", [])
    assert sorted(exported) == sorted(imported)
    assert len(set(exported)) == len(exported)
    assert all(hasattr(door, name) for name in exported)
    assert ast.get_docstring(source)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_says_what_it_is(module: Path) -> None:
    """A module begins with a docstring, and with annotations that are not evaluated."""
    source = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    assert ast.get_docstring(source)
    if module.name != "__init__.py":
        assert "__future__" in imports_of(module)
