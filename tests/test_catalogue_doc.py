"""The page of the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import catalogue_doc
from seedbed.models.catalogue.store import index

TYPES = {
    "a": {
        "A": {"status": "exact", "guessed": 0, "patterns": 5, "unseen": 9, "refused": 2},
        "B": {"status": "wrong", "why": "differs on an unseen config"},
    },
    "b": {"C": {"status": "unsolved", "why": "presence not explained"}},
    "c": {"D": {"status": "exact", "guessed": 1, "patterns": 4, "unseen": 6, "refused": 0}},
}


def test_the_page_is_fresh() -> None:
    """Writing the page changes nothing: after a change of the data, run the script."""
    text = "\n".join(catalogue_doc.page(index()))
    assert catalogue_doc.DOCUMENT.read_text(encoding="utf-8") == text


def test_figures_count_what_was_tried() -> None:
    """A type is exact by one class; what failed counts as tried; refusals are told."""
    assert catalogue_doc.figures(TYPES) == {
        "types tried": 3,
        "types exact": 2,
        "classes tried": 4,
        "classes exact": 2,
        "with every init known": 1,
        "unseen configs": 15,
        "refused of them": 2,
    }


def test_the_page_says_why_classes_fail_and_what_is_guessed() -> None:
    """Each type has a row with its exact classes, guesses, and reasons for the others."""
    lines = list(catalogue_doc.page({"transformers": "9.9", "types": TYPES}))
    assert "| `a` | A | B: differs on an unseen config |" in lines
    assert "| `b` | – | C: presence not explained |" in lines
    assert "| `c` | D (1 of 4) |  |" in lines
    assert "| presence not explained | 1 |" in lines


def test_a_stale_page_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` fails on another text; without it the page is written and the figure printed."""
    page = tmp_path / "catalogue.md"
    page.write_text("old", encoding="utf-8")
    monkeypatch.setattr(catalogue_doc, "DOCUMENT", page)
    monkeypatch.setattr("sys.argv", ["catalogue_doc.py", "--check"])
    with pytest.raises(SystemExit, match=r"catalogue_doc\.py"):
        catalogue_doc.main()
    monkeypatch.setattr("sys.argv", ["catalogue_doc.py"])
    catalogue_doc.main()
    assert "model types tried are exact" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8") == "\n".join(catalogue_doc.page(index()))
