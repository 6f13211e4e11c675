from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from scripts import study_doc
from study.analysis import committed

TEXT = study_doc.DOCUMENT.read_text(encoding="utf-8")


def test_page_and_figures_are_fresh() -> None:
    """Rendering them from the result file changes nothing."""
    assert study_doc.render() == TEXT
    for name, text in study_doc.figures(committed()).items():
        assert (study_doc.FIGURES / name).read_text(encoding="utf-8") == text


def test_what_the_words_claim_holds() -> None:
    """Everything that the template says without a number is so in the result file."""
    wrong = [claim for claim, holds in study_doc.claims(committed()).items() if not holds]
    assert wrong == []


def test_every_figure_is_shown_and_is_a_drawing() -> None:
    """The page shows each figure that is written, with words for those who do not see it."""
    shown = re.findall(r"!\[[^\]]{10,}\]\(study/([\w.]+)\)", TEXT)
    assert sorted(shown) == sorted(study_doc.figures(committed()))
    for name in shown:
        root = ET.fromstring((study_doc.FIGURES / name).read_text(encoding="utf-8"))
        title = root.find("{http://www.w3.org/2000/svg}title")
        assert title is not None
        assert title.text


def test_five_minutes() -> None:
    """The prose, up to how to do it again, is at most 1,300 words: five minutes."""
    story = TEXT.partition("## Again")[0]
    prose = [line for line in story.splitlines() if not line.startswith(("|", "!", "```"))]
    assert len(" ".join(prose).split()) < 1300


def test_stale_pages_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--check` fails on a page that differs; without it, it is written."""
    page = tmp_path / "page.md"
    page.write_text(TEXT.replace("Glorot", "Glorrot"), encoding="utf-8")
    monkeypatch.setattr(study_doc, "DOCUMENT", page)
    monkeypatch.setattr("sys.argv", ["study_doc.py", "--check"])
    assert study_doc.main() == 1
    monkeypatch.setattr("sys.argv", ["study_doc.py"])
    assert study_doc.main() == 0
    assert page.read_text(encoding="utf-8") == TEXT


def test_signs() -> None:
    """Numbers have a sign and a true minus; what rounds to zero has none."""
    assert [study_doc.signed(x) for x in (0.123, -0.5, -0.001)] == ["+0.12", "−0.50", "0.00"]
