"""Look the pinned versions up in a database of vulnerabilities, by pip-audit.

    .venv/bin/python scripts/audit.py [--if-possible] [--osv-url URL]

Ends with 0 if every package of constraints.txt was looked up and nothing is known against it, 1 if
something is, and 2 if not all could be looked up, as without a network or behind a mirror that
has files and no advisories. pip-audit itself ends with 0 there. With --if-possible that is said,
and ends with 0: nothing is known to be wrong, and nothing is claimed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
COMMAND = ("-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner=off", "-f", "json")


def main(arguments: list[str]) -> int:
    """Audit, say what was found, and give the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--if-possible", action="store_true")
    parser.add_argument("--osv-url", help="another database that speaks OSV's protocol")
    given = parser.parse_args(arguments)
    service = ("-s", "osv", "--osv-url", given.osv_url) if given.osv_url else ()
    done = subprocess.run(
        [sys.executable, *COMMAND, "-r", ROOT / "constraints.txt", *service],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        lines = done.stderr.strip().splitlines() or ["pip-audit said nothing"]
        print(f"NOT AUDITED: {lines[-1][:300]}")
        return 0 if given.if_possible else 2
    wrong = [(each, one) for each in found for one in each.get("vulns", ())]
    for each, one in wrong:
        print(f"{each['name']} {each['version']}: {one['id']}, mended in {one['fix_versions']}")
    missing = [each["name"] for each in found if "skip_reason" in each]
    print(f"{len(found) - len(missing)} packages looked up, {len(wrong)} findings")
    if missing:
        print(f"NOT AUDITED: {len(missing)} packages, of which the service knows nothing")
    if wrong:
        return 1
    return 2 if missing and not given.if_possible else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
