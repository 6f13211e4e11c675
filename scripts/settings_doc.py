"""Write the table of docs/settings.md from the settings; `--check` only says if it is fresh."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from seedbed.web.settings import Settings

DOCUMENT = Path(__file__).parent.parent / "docs" / "settings.md"

MARKER = "<!-- what follows is written by scripts/settings_doc.py -->\n"

SIGNS: dict[type[Any], str] = {Ge: "≥", Gt: ">", Le: "≤", Lt: "<"}


def allowed(field: FieldInfo) -> str:
    """The values that a setting takes, where its type or its bounds say so."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    bounds = [
        f"{SIGNS[type(bound)]} {getattr(bound, type(bound).__name__.lower()):,}"
        for bound in field.metadata
        if type(bound) in SIGNS
    ]
    return " and ".join(bounds)


def rows() -> Iterator[str]:
    """A row for each setting."""
    for name, field in Settings.model_fields.items():
        meaning = (field.description or "").replace("|", "\\|")
        yield f"| `SEEDBED_{name.upper()}` | `{field.default}` | {allowed(field)} | {meaning} |"


def render(page: str) -> str:
    """The page with its table renewed."""
    prose, marker, _ = page.partition(MARKER)
    head = ("| variable | default | allowed | meaning |", "|---|---|---|---|")
    return prose + marker + "\n" + "\n".join((*head, *rows())) + "\n"


def main() -> None:
    """Write the page, or say that it is stale."""
    page = DOCUMENT.read_text(encoding="utf-8")
    text = render(page)
    if sys.argv[1:] == ["--check"]:
        if page != text:
            sys.exit(f"{DOCUMENT.name} is stale: run scripts/settings_doc.py")
        return
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
