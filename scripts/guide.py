"""What mkdocs needs to make a site of pages that are written for the repository.

The README is the first page. Links to files outside of docs/ become their text, since a site has no
such files; whether they lead somewhere is seen by tests/test_claims.py. Formulas are shown as code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent


def on_files(files: Any, *, config: Any) -> Any:
    """Add the README, whose links are those of a page beside the others."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"\]\((?!docs/|https?:|#)", "](../", readme).replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Rewrite links that leave docs/, and formulas."""
    markdown = re.sub(r"\]\(\.\./README\.md(#[\w-]+)?\)", r"](index.md\1)", markdown)
    markdown = re.sub(r"\[([^\]]*)\]\(\.\./[^)]*\)", r"\1", markdown)
    return re.sub(r"\$(`[^`\n]*`)\$", r"\1", markdown)
