from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = sorted((ROOT / "tests").rglob("*.py"))


@pytest.mark.parametrize("page", ["security", "registry"])
def test_tests_that_are_named_exist(page: str) -> None:
    """Each module or test that a page names as its proof is there."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    modules = set(re.findall(r"`(?:tests/)?([a-z_/]+\.py)`", text))
    functions = set(re.findall(r"`(test_[a-z_]+)`", text))
    assert modules
    names = [path.relative_to(ROOT / "tests").as_posix() for path in TESTS]
    assert [m for m in modules if not any(n == m or n.endswith(f"/{m}") for n in names)] == []
    source = "".join(path.read_text(encoding="utf-8") for path in TESTS)
    assert [name for name in functions if f"def {name}(" not in source] == []
