"""Add to tests/golden/torchvision-0.28.0.json what torchvision has for presets that are new.

Names, dtypes and shapes, as a digest of each case in tests/models/vision/cases.py. Only a new one
needs torchvision, which `make .venv-interop/.torchvision` installs; it is asked in a process of its
own. What is there is not asked again: `make test-interop` does that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.models.vision.cases import CASES

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden" / "torchvision-0.28.0.json"
SIDE = ROOT / "tests" / "interop" / "torchvision_side.py"
INTEROP = ROOT / os.environ.get("INTEROP", ".venv-interop")
PATIENCE_SECONDS = 600

Case = dict[str, Any]


def asked(cases: list[Case]) -> list[Case]:
    """What torchvision has for some cases."""
    if not (INTEROP / "torchvision").exists():
        names = ", ".join(case["name"] for case in cases)
        sys.exit(
            f"{names}: torchvision says what they hold, and is not installed; "
            f"run make {INTEROP.name}/.torchvision, which takes gigabytes, and then this again"
        )
    done = subprocess.run(
        [INTEROP / "bin" / "python", SIDE, "digest"],
        input=json.dumps(cases),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env={**os.environ, "PYTHONPATH": str(INTEROP / "torchvision")},
    )
    if done.returncode:
        sys.exit("torchvision does not build them so: see above")
    answers: list[Case] = json.loads(done.stdout)
    return answers


def main() -> None:
    """Add entries, in the order of the cases; say so."""
    golden: list[Case] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    known = {(case["name"], str(case["arguments"])): case for case in golden}
    new = [
        {"name": name, "arguments": arguments}
        for name, arguments in CASES
        if (name, str(arguments)) not in known
    ]
    if new:
        known |= {(case["name"], str(case["arguments"])): case for case in asked(new)}
        lines = [
            json.dumps(known[name, str(arguments)], separators=(",", ":"))
            for name, arguments in CASES
        ]
        GOLDEN.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    print(f"{len(new)} entries added to {GOLDEN}")


if __name__ == "__main__":
    main()
