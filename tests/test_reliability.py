from __future__ import annotations

from pathlib import Path

import pytest

from scripts import reliability

PAGE = reliability.DOCUMENT.read_text(encoding="utf-8")


def test_every_test_is_there() -> None:
    """Each test that the page names exists."""
    assert reliability.missing() == []


def test_the_page_is_about_these_promises() -> None:
    """Each promise has its row, with the same words and tests."""
    assert reliability.said(PAGE) == reliability.said(reliability.tables({}, []))
    assert len(reliability.said(PAGE)) == len(list(reliability.promises()))


def test_nothing_failed() -> None:
    """The page tells of no case that fails."""
    assert "fail**" not in PAGE


def test_rows() -> None:
    """A row says what was measured, and how many cases passed or did not."""
    promise = reliability.Promise("Words.", ("a.py::b", "c.py::d"), "n", reliability.last("{x} y"))
    notes = [{"name": "n", "x": 1}, {"name": "m", "x": 3}, {"name": "n_long", "x": 2}]
    assert reliability.row(promise, {"a.py::b": (3, 3), "c.py::d": (1, 1)}, notes) == (
        "| Words. | `a.py::b`<br>`c.py::d` | 2 y; 4 cases pass |"
    )
    assert "**1 of 4 cases fail**" in reliability.row(
        promise, {"a.py::b": (2, 3), "c.py::d": (1, 1)}, []
    )
    assert "**1 of 2 cases fail**" in reliability.row(promise, {"a.py::b": (1, 1)}, [])


def test_what_is_missing_or_stale_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--check` fails on a page that differs and on a test that does not exist."""
    page = tmp_path / "reliability.md"
    page.write_text(PAGE.replace("A clock", "A watch"), encoding="utf-8")
    monkeypatch.setattr(reliability, "DOCUMENT", page)
    monkeypatch.setattr("sys.argv", ["reliability.py", "--check"])
    with pytest.raises(SystemExit, match="stale"):
        reliability.main()
    gone = reliability.Promise("Words.", ("tests/test_reliability.py::test_nothing_of_the_kind",))
    monkeypatch.setattr(reliability, "SECTIONS", {"Load": [gone]})
    with pytest.raises(SystemExit, match="test_nothing_of_the_kind"):
        reliability.main()
