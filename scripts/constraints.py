"""Print a constraints file: what is installed for these interpreters, each at its version.

    python scripts/constraints.py .venv/bin/python .venv-interop/bin/python > constraints.txt

Left out are pip and setuptools, which `python -m venv` brings; certifi, since root certificates
should be today's; what was installed from a folder, as Seedbed is; and labels of local builds:
`torch==2.13.0+cpu` is pinned as `torch==2.13.0`, which other builds satisfy as well.
"""

from __future__ import annotations

import re
import subprocess
import sys

UNPINNED = ("certifi", "pip", "setuptools")

LIST = """
from importlib.metadata import distributions
for found in distributions():
    if found.read_text("direct_url.json") is None:
        print(found.metadata["Name"], found.version)
"""


def installed(interpreter: str) -> dict[str, str]:
    """Versions by normalised name of what one interpreter can import."""
    lines = subprocess.run(
        [interpreter, "-I", "-c", LIST], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    versions = dict(line.rsplit(" ", 1) for line in lines)
    return {
        re.sub(r"[-_.]+", "-", name).lower(): version.partition("+")[0]
        for name, version in versions.items()
        if name not in UNPINNED
    }


def constraints(*environments: dict[str, str]) -> list[str]:
    """Lines for all environments, which have to agree where they have the same package."""
    union: dict[str, str] = {}
    for environment in environments:
        for name, version in environment.items():
            if union.setdefault(name, version) != version:
                raise SystemExit(f"{name} is installed as {union[name]} and as {version}")
    return [f"{name}=={version}" for name, version in sorted(union.items())]


if __name__ == "__main__":
    print("\n".join(constraints(*map(installed, sys.argv[1:]))))
