from __future__ import annotations

import re
from pathlib import Path

import pytest

from seedbed.web.settings import Settings

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_setting_is_in_the_readme(name: str) -> None:
    """The README names each environment variable, with its default."""
    default = Settings.model_fields[name].default
    assert f"| `SEEDBED_{name.upper()}` | `{default}` |" in README


def test_readme_names_no_other_setting() -> None:
    """Each variable that the README names is one."""
    named = set(re.findall(r"SEEDBED_[A-Z_]+", README)) - {"SEEDBED_"}
    assert named == {f"SEEDBED_{name.upper()}" for name in Settings.model_fields}
