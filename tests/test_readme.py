from __future__ import annotations

import re
from pathlib import Path

from seedbed.web.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_each_setting_is_in_the_readme() -> None:
    """The README names each environment variable, with its default."""
    for name, field in Settings.model_fields.items():
        assert f"| `SEEDBED_{name.upper()}` | `{field.default}` |" in README


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
