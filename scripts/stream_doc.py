"""Write the vector tables of docs/stream.md from tests/golden/stream-v1.json."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "stream.md"
VECTORS = ROOT / "tests" / "golden" / "stream-v1.json"


def tables() -> dict[str, str]:
    """The tables' text by marker."""
    vectors = json.loads(VECTORS.read_text())
    words = ["| seed | name | lane | key | words 0 … 3 |", "|---|---|---|---|---|"]
    for entry in vectors["words"]:
        if entry["start"] == 0:
            first = " ".join(entry["words"][:4])
            words.append(
                f"| {entry['seed']} | {entry['name']} | {entry['lane']} | `{entry['key']}` "
                f"| `{first}` |"
            )
    draws = ["| distribution | dtype | bytes |", "|---|---|---|"]
    draws += [
        f"| {entry['distribution']} | {entry['dtype']} | `{entry['hex']}` |"
        for entry in vectors["draws"]
        if entry["start"] == 0
    ]
    return {"words": "\n".join(words), "draws": "\n".join(draws)}


def render(text: str) -> str:
    """The document with its tables renewed."""
    for marker, table in tables().items():
        place = rf"<!-- {marker} -->\n(\n\|[^<]*?\n(?=\n|\Z))?"
        renewed = f"<!-- {marker} -->\n\n{table}\n".replace("\\", r"\\")
        text = re.sub(place, renewed, text)
    return text


def main() -> int:
    """Write the document, or say that it is stale."""
    page = DOCUMENT.read_text(encoding="utf-8")
    text = render(page)
    if sys.argv[1:] != ["--check"]:
        DOCUMENT.write_text(text, encoding="utf-8")
    elif page != text:
        print(f"{DOCUMENT.name} is stale: run scripts/stream_doc.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
