from __future__ import annotations

import re

from scripts import settings_doc
from seedbed.web.settings import Settings

TEXT = settings_doc.DOCUMENT.read_text(encoding="utf-8")


def test_the_page_is_fresh() -> None:
    """Rendering the page changes nothing: after a change, run scripts/settings_doc.py."""
    assert settings_doc.render(TEXT) == TEXT


def test_each_setting_has_its_row() -> None:
    """The page names each environment variable once, with its default."""
    rows = re.findall(r"^\| `SEEDBED_([A-Z0-9_]+)` \| `([^`]*)` \|", TEXT, re.MULTILINE)
    expected = [(name.upper(), str(field.default)) for name, field in Settings.model_fields.items()]
    assert rows == expected


def test_what_is_allowed_is_said() -> None:
    """Choices and bounds stand in words: those of a switch, of a port and of a positive number."""
    assert "| `console` | `console`, `json` |" in TEXT
    assert "| `8000` | ≥ 0 and ≤ 65,535 |" in TEXT
    assert "| `120.0` | > 0 |" in TEXT
