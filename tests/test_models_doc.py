from __future__ import annotations

import json
import re
from typing import Any

import pytest

from scripts import models_doc
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.models import presets

TEXT = models_doc.DOCUMENT.read_text(encoding="utf-8")


def test_the_page_is_fresh() -> None:
    """Rendering the page changes nothing: after a change, run scripts/models_doc.py."""
    assert models_doc.render(TEXT) == TEXT


def test_every_preset_has_its_row() -> None:
    """The page has a row for each preset, once."""
    rows = re.findall(
        r"^\| `([^`]+)` \| .* \| [\d,]+ \| [\d,]+ \| [\d.]+ .?B \|$", TEXT, re.MULTILINE
    )
    assert sorted(rows) == sorted(presets())


def test_the_example_is_a_checkpoint() -> None:
    """The spec at the head of the page is one, of ten classes."""
    (example,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    file = VirtualFile(CheckpointSpec.model_validate(json.loads(example)))
    assert {one.name: one.shape for one in file.tensors}["fc.weight"] == (10, 2048)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (246824, "247 kB"), (999_600, "1.00 MB"),
     (25_557_032 * 4, "102 MB"), (2_580_912_552, "2.58 GB"), (31_400_000, "31.4 MB")],
)  # fmt: skip
def test_sizes_in_three_digits(count: int, text: str) -> None:
    """Units of a thousand, and never a thousand of them."""
    assert models_doc.size(count) == text


def test_stale_pages_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """`--check` fails on a page that differs, and says what to run; without it, it is written."""
    page = tmp_path / "models.md"
    page.write_text(TEXT.replace("61,706", "61,707"), encoding="utf-8")
    monkeypatch.setattr(models_doc, "DOCUMENT", page)
    monkeypatch.setattr("sys.argv", ["models_doc.py", "--check"])
    with pytest.raises(SystemExit, match=r"models_doc\.py"):
        models_doc.main()
    monkeypatch.setattr("sys.argv", ["models_doc.py"])
    models_doc.main()
    assert page.read_text(encoding="utf-8") == TEXT
