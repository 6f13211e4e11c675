from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import TypeAdapter

from scripts import schemes_doc
from seedbed.init import SCHEMES, Init, Scheme
from seedbed.init.schemes.parity import PARITY

TEXT = schemes_doc.DOCUMENT.read_text(encoding="utf-8")


def test_the_page_is_fresh() -> None:
    """Rendering the page from the table of schemes changes nothing."""
    assert schemes_doc.render() == TEXT


def test_every_scheme_has_its_heading() -> None:
    """The page has a section for each scheme, once, in the order of the catalogue."""
    assert re.findall(r"^### `(\w+)`$", TEXT, re.MULTILINE) == list(SCHEMES)


def test_stale_pages_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """`--check` fails on a page that differs, and says what to run; without it, it is written."""
    page = tmp_path / "schemes.md"
    page.write_text(TEXT.replace("he_normal", "hee_normal"), encoding="utf-8")
    monkeypatch.setattr(schemes_doc, "DOCUMENT", page)
    monkeypatch.setattr("sys.argv", ["schemes_doc.py", "--check"])
    with pytest.raises(SystemExit, match=r"schemes_doc\.py"):
        schemes_doc.main()
    monkeypatch.setattr("sys.argv", ["schemes_doc.py"])
    schemes_doc.main()
    assert page.read_text(encoding="utf-8") == TEXT


def test_every_spelling_of_a_framework_is_an_init() -> None:
    """What the table of frameworks says works, and each row is on the page."""
    adapter: TypeAdapter[Scheme] = TypeAdapter(Init)
    for row in PARITY:
        init = dict(row.init) if isinstance(row.init, Mapping) else row.init
        assert adapter.validate_python(init).scheme in SCHEMES
        assert f"| {row.framework} | `{row.initializer}" in TEXT
