"""Look the pinned versions up in a database of vulnerabilities, by pip-audit.

    python -m scripts.audit [--if-possible] [--osv-url URL]

Ends with 0 if every package of constraints.txt and of the image's locks was looked up and nothing
is known against it, 1 if something is, and 2 if not all could be looked up, as without a network or
behind a mirror that has files and no advisories. pip-audit itself ends with 0 there. With
--if-possible that is said as loudly, and ends with 0: nothing is known to be wrong, and nothing is
claimed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.locks import BUILD, SERVICE, locked, pinned

COMMAND = ("-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner=off", "-f", "json")


def main(arguments: list[str]) -> int:
    """Audit, say what was found, and give the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--if-possible", action="store_true")
    parser.add_argument("--osv-url", help="another database that speaks OSV's protocol")
    given = parser.parse_args(arguments)
    service = ("-s", "osv", "--osv-url", given.osv_url) if given.osv_url else ()
    wanted = {*pinned().items(), *locked(SERVICE.read_text()).items()}
    wanted |= {*locked(BUILD.read_text()).items()}
    with tempfile.TemporaryDirectory() as directory:
        every = Path(directory) / "requirements.txt"
        every.write_text("".join(f"{name}=={version}\n" for name, version in sorted(wanted)))
        done = subprocess.run(
            [sys.executable, *COMMAND, "-r", every, *service],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        lines = done.stderr.strip().splitlines() or ["pip-audit said nothing"]
        return _not_audited(f"none of {len(wanted)} packages: {lines[-1][:300]}", given)
    known = [each for each in found if "skip_reason" not in each]
    wrong = [(each, one) for each in known for one in each.get("vulns", ())]
    for each, one in wrong:
        print(f"{each['name']} {each['version']}: {one['id']}, mended in {one['fix_versions']}")
    print(f"{len(known)} of {len(wanted)} packages looked up, {len(wrong)} findings")
    if wrong:
        return 1
    if not known:
        return _not_audited(f"the service knows of none of {len(wanted)} packages", given)
    if len(known) < len(wanted):
        names = {each["name"] for each in known}
        missing = sorted(name for name, _ in wanted if name not in names)
        more = "" if len(missing) <= 10 else " …"
        said = f"{len(missing)} of {len(wanted)} packages: {', '.join(missing[:10])}{more}"
        return _not_audited(said, given)
    return 0


def _not_audited(what: str, given: argparse.Namespace) -> int:
    """Say it so that nobody takes silence for safety."""
    line = "!" * 78
    print(
        f"{line}\n!! NOT AUDITED: {what}\n"
        "!! No vulnerability has been ruled out. Run `make audit` where a database of\n"
        f"!! advisories can be reached.\n{line}",
        file=sys.stderr,
    )
    return 0 if given.if_possible else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
