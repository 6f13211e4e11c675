"""No test waits without a bound: read from the source of all of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.processes import PATIENCE_SECONDS

ROOT = Path(__file__).parent

WAITS = {"wait", "join", "communicate", "result", "acquire"}
"""Methods that wait for ever unless they are told how long."""

PROGRAMS = {"run", "check_call", "check_output", "call"}
"""Functions of `subprocess` that do."""


def unbounded(source: str) -> Iterator[int]:
    """Lines that wait without a bound; awaiting is bounded by whoever runs the loop."""
    tree = ast.parse(source)
    awaited = {
        id(call)
        for node in ast.walk(tree)
        if isinstance(node, ast.Await)
        for call in ast.walk(node.value)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.While) and isinstance(node.test, ast.Constant):
            yield node.lineno
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        named = {keyword.arg for keyword in node.keywords}
        of, name = node.func.value, node.func.attr
        if isinstance(of, ast.Name) and of.id == "subprocess" and name in PROGRAMS:
            if not named & {"timeout", None}:
                yield node.lineno
        elif name in WAITS and id(node) not in awaited:
            bounded = node.args and name != "communicate"  # whose argument is what it sends
            if not bounded and not named & {"timeout", "blocking"}:
                yield node.lineno


def test_every_wait_has_a_bound() -> None:
    """Programs, threads, events and loops are waited for only so long; see `tests.processes`."""
    waits = {
        str(path.relative_to(ROOT)): lines
        for path in sorted(ROOT.rglob("*.py"))
        if (lines := list(unbounded(path.read_text(encoding="utf-8"))))
    }
    assert waits == {}


def test_clients_of_http_have_patience() -> None:
    """A request that names no bound waits as long as all else, however busy the machine is."""
    with httpx.Client() as client:
        assert client.timeout == httpx.Timeout(PATIENCE_SECONDS)


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass", "while 1: pass", "event.wait()", "thread.join()", "lock.acquire()",
        "child.communicate(b'x')", "future.result()", "subprocess.run(['x'], check=True)",
        "barrier.wait(timeout=3); barrier.wait()",
    ],
)  # fmt: skip
def test_waits_are_found(source: str) -> None:
    """Each kind of wait without a bound is found."""
    assert list(unbounded(source)) == [1]


@pytest.mark.parametrize(
    "source",
    [
        "', '.join(x)", "event.wait(3)", "child.communicate(b'x', timeout=3)",
        "while x: pass", "subprocess.run(['x'], timeout=3)", "subprocess.run(['x'], **usual)",
        "async def f(): await event.wait()", "future.result(3)", "lock.acquire(blocking=False)",
    ],
)  # fmt: skip
def test_bounded_waits_are_not(source: str) -> None:
    """What has a bound is not found, nor what only looks like a wait."""
    assert list(unbounded(source)) == []
