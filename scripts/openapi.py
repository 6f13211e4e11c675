"""Write openapi/openapi.json from the application; with `--check`, only say whether it is stale.

The application is made with default settings, whatever the environment says, and never started.
"""

from __future__ import annotations

import difflib
import json
import sys
from itertools import islice
from pathlib import Path

from seedbed.web.application import create_app
from seedbed.web.settings import Settings

TARGET = Path(__file__).parent.parent / "openapi" / "openapi.json"

_HINT_LINES = 60


def render() -> str:
    """The application's OpenAPI as the file has it: indented, keys sorted, a newline at the end."""
    settings = Settings.model_construct(engine="numpy")  # nothing is drawn, so nothing to compile
    schema = create_app(settings).openapi()
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def difference(found: str, wanted: str) -> str:
    """How the file differs from the application, in as many lines as a person reads."""
    lines = difflib.unified_diff(
        found.splitlines(), wanted.splitlines(), "openapi/openapi.json", "application", lineterm=""
    )
    shown = list(islice(lines, _HINT_LINES))
    if next(lines, None) is not None:
        shown.append("…")
    return "\n".join(shown)


def main(arguments: list[str]) -> int:
    """Exit code: 0 if the file is, or has been made, equal to the application."""
    wanted = render()
    if arguments == ["--check"]:
        found = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
        if found == wanted:
            return 0
        print(difference(found, wanted))
        print("openapi/openapi.json is stale: run `make openapi` and look at what changed")
        return 1
    if arguments:
        print("usage: openapi.py [--check]", file=sys.stderr)
        return 2
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
