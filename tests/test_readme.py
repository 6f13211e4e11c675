from __future__ import annotations

import re
from pathlib import Path

from seedbed.web.settings import Settings

ROOT = Path(__file__).parent.parent
MOST_LINES = 150
"""What somebody reads who has a minute."""


def test_the_readme_is_short() -> None:
    """What is longer has a page in docs."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_every_page_is_reached_from_the_readme() -> None:
    """The README leads to each page of docs."""
    linked = set(re.findall(r"\(docs/([\w-]+\.md)\)", (ROOT / "README.md").read_text("utf-8")))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")}


NAMED = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Dockerfile", ROOT / "Makefile",
    *(path for folder in ("deploy", "docs", "examples", "scripts", "benchmarks", ".ci")
      for path in (ROOT / folder).rglob("*") if path.is_file()),
]  # fmt: skip
"""Where people read what to set, and where it is set."""


def test_no_other_setting_is_named() -> None:
    """Each variable that is named there is a setting, since the service refuses all others."""
    for path in NAMED:
        named = set(re.findall(r"\bSEEDBED_[A-Z0-9_]+", path.read_text(errors="replace")))
        assert named <= {f"SEEDBED_{name.upper()}" for name in Settings.model_fields}, path
