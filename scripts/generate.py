"""Write every file that is made from the code: after a new scheme, layer, model or setting.

`--check` writes nothing and names all that is stale, not only the first. Digests of golden files
are added to where they are missing, and never changed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

PAGES = (
    "openapi",
    "schemes_doc",
    "layers_doc",
    "models_doc",
    "catalogue_doc",
    "study_doc",
    "stream_doc",
    "settings_doc",
)
"""Scripts that write a file, or with `--check` say whether it is fresh."""

GOLDEN = ("make_file_golden", "make_layer_golden", "make_vision_golden")
"""Scripts that add digests to what `make test` holds the stream to."""

CHECKED = ("locks", "reliability", "vendor_page")
"""Scripts that write only with measurements or a network, and check without."""

LAST = ("by_hand",)
"""What says what is left, which no script writes."""


def main() -> int:
    """Exit code: 1 if anything is stale, or could not be made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    check = parser.parse_args().check
    scripts = (*PAGES, *CHECKED, *LAST) if check else (*GOLDEN, *PAGES, *LAST)
    arguments = ["--check"] if check else []
    failed = [
        script
        for script in scripts
        if subprocess.run(
            [sys.executable, "-m", f"scripts.{script}", *arguments], check=False, cwd=ROOT
        ).returncode
    ]
    if failed:
        said = "not fresh: " if check else "not done, for the reason said above: "
        hint = "; `make generate` writes what a program can" if check else ""
        print(f"{said}{', '.join(failed)}{hint}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
