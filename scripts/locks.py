"""Lock what the image installs: exact versions, and the hashes of their files.

    python -m scripts.locks            writes both locks, by uv
    python -m scripts.locks --check    without a network: do they agree with constraints.txt and
                                       pyproject.toml?

`requirements.lock` is what the service needs with the extras that the image has,
`requirements-build.lock` what builds its wheel. Versions come from constraints.txt, so there is one
place to change them: `make constraints`. That leaves out root certificates (certifi), which are
pinned in the lock alone. Hashes are of the files that the package index has for any machine;
neither its address nor that of a mirror is written down.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.constraints import UNPINNED

ROOT = Path(__file__).parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
SERVICE, BUILD = ROOT / "requirements.lock", ROOT / "requirements-build.lock"
EXTRAS = ("otel", "postgres")
PYTHON = "3.13"

HEAD = (
    "# Written by scripts/locks.py (`make constraints`); held to constraints.txt by `make check`.\n"
)

_ENTRY = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)(?: ;[^\\\n]*)?"
    r"(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)


def write() -> None:
    """Resolve both, and write them.

    Raises:
        SystemExit: uv cannot, and has said why.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [f"--extra={extra}" for extra in EXTRAS]
    resolved = (
        (SERVICE, ["pyproject.toml", *extras], None),
        (BUILD, ["-"], "\n".join(project["build-system"]["requires"])),
    )
    for path, arguments, given in resolved:
        uv = Path(sys.executable).with_name("uv")
        done = subprocess.run(
            [
                str(uv), "pip", "compile", "--quiet", "--no-header", "--no-annotate",
                "--generate-hashes", f"--python-version={PYTHON}",
                "--python-platform=linux", f"--constraint={CONSTRAINTS}", *arguments,
            ],
            cwd=ROOT, input=given, stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(done.returncode)
        path.write_text(HEAD + done.stdout, encoding="utf-8")


def locked(text: str) -> dict[str, str]:
    """Versions by name of a lock.

    Raises:
        ValueError: there is anything else in it than entries with hashes.
    """
    rest = _ENTRY.sub("", text.removeprefix(HEAD))
    if rest.strip():
        raise ValueError(f"no entry with hashes: {rest.strip().splitlines()[0][:100]}")
    return {entry["name"]: entry["version"] for entry in _ENTRY.finditer(text)}


def pinned() -> dict[str, str]:
    """Versions by name of the constraints."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").split()
    return dict(line.split("==") for line in lines)


def wrong() -> list[str]:
    """In what the locks do not agree with constraints.txt or pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    optional = project["project"]["optional-dependencies"]
    service = [*project["project"]["dependencies"], *(d for e in EXTRAS for d in optional[e])]
    versions = pinned()
    found = []
    for path, requirements in ((SERVICE, service), (BUILD, project["build-system"]["requires"])):
        try:
            lock = locked(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            found.append(f"{path.name}: {error}")
            continue
        for requirement in map(Requirement, requirements):
            version = lock.get(canonicalize_name(requirement.name))
            if version is None or version not in requirement.specifier:
                found.append(f"{path.name} has {version} of {requirement}")
        found += [
            f"{path.name} has {name} {version}, constraints.txt {versions.get(name)}"
            for name, version in lock.items()
            if name not in UNPINNED and versions.get(name) != version
        ]
    return found


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        write()
    if complaints := wrong():
        sys.exit("\n".join([*complaints, "`make constraints` writes them anew"]))
