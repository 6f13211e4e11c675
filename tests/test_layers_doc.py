from __future__ import annotations

import json
import re
from typing import Any

import pytest

from scripts import layers_doc
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.init import LAYERS

TEXT = layers_doc.DOCUMENT.read_text(encoding="utf-8")


def test_the_page_is_fresh() -> None:
    """Rendering the page changes nothing: after a change, run scripts/layers_doc.py."""
    assert layers_doc.render(TEXT) == TEXT


def test_every_layer_has_its_heading() -> None:
    """The page has a section for each layer, once, in the order of the catalogue."""
    assert re.findall(r"^### `(\w+)`$", TEXT, re.MULTILINE) == list(LAYERS)


def test_the_example_is_a_checkpoint() -> None:
    """The spec at the head of the page is one, and has the names that it speaks of."""
    (example,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    file = VirtualFile(CheckpointSpec.model_validate(json.loads(example)))
    assert {tensor.name for tensor in file.tensors} >= {"stem/kernel", "norm/moving_mean"}


def test_stale_pages_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """`--check` fails on a page that differs, and says what to run; without it, it is written."""
    page = tmp_path / "layers.md"
    page.write_text(TEXT.replace("| keras | `x/kernel`", "| keras | `x/kernal`"), encoding="utf-8")
    monkeypatch.setattr(layers_doc, "DOCUMENT", page)
    monkeypatch.setattr("sys.argv", ["layers_doc.py", "--check"])
    with pytest.raises(SystemExit, match=r"layers_doc\.py"):
        layers_doc.main()
    monkeypatch.setattr("sys.argv", ["layers_doc.py"])
    layers_doc.main()
    assert page.read_text(encoding="utf-8") == TEXT
