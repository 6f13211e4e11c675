from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from seedbed.init import LAYERS, SCHEMES

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_examples_are_the_code() -> None:
    """The classes that are shown are those of the app, to the letter."""
    classes = {kind.__name__: kind for kind in (*SCHEMES.values(), *LAYERS.values())}
    shown = re.findall(r"```python\n(class (\w+)\(.*?)```", TEXT, re.DOTALL)
    assert len(shown) == 2
    for text, name in shown:
        assert text == inspect.getsource(classes[name])


@pytest.mark.parametrize(
    "path", sorted({*re.findall(r"`((?:app|tests|scripts|docs)/[^`]*)`", TEXT)})
)
def test_places_are_there(path: str) -> None:
    """Every file and folder that is named exists."""
    assert (ROOT / path).exists()


def test_verbs_are_those_of_the_makefile() -> None:
    """Every `make …` is a target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {*re.findall(r"^([\w-]+):", makefile, re.MULTILINE)}
    targets |= {
        ".venv-interop/" + name
        for name in re.findall(r"^\$\(INTEROP\)/(\S+):", makefile, re.MULTILINE)
    }
    assert {*re.findall(r"`make ([\w./-]+)", TEXT)} <= targets
