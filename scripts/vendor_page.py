"""What the page at / has from others: fetched again from npm, or held to its digests.

`app/seedbed/web/page/vendor.json` names each package, its version, npm's own digest of the archive,
and which of its files are taken. Without arguments every archive is fetched by `npm pack`, compared
with that digest, unpacked, and the digest of each file written down. With --check nothing is
fetched: the files are compared with what is written down, and none may be missing or left over.

One thing is changed on the way: KaTeX's style sheet loses its references to fonts in formats that
no browser of the last ten years asks for, which are not taken.
"""

from __future__ import annotations

import argparse
import base64
import fnmatch
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "app" / "seedbed" / "web" / "page"
MANIFEST = PAGE / "vendor.json"
VENDOR = PAGE / "vendor"

_OLD_FONTS = re.compile(rb',url\([^)]*\) format\("(?:woff|truetype)"\)')
_TIMEOUT_SECONDS = 300


def pack(package: dict[str, Any], directory: Path) -> Path:
    """The archive of a package, by npm's ordinary client and of the digest that is written down.

    Raises:
        SystemExit: npm gives other bytes than those that were looked at.
    """
    what = f"{package['name']}@{package['version']}"
    command = ["npm", "pack", "--silent", "--pack-destination", str(directory), what]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS
    )
    archive = directory / done.stdout.strip().splitlines()[-1]
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != package["integrity"]:
        raise SystemExit(f"{what} is sha512-{digest}, not {package['integrity']}")
    return archive


def take(package: dict[str, Any], archive: Path, into: Path) -> None:
    """Copy the files of an archive that the manifest names."""
    with tarfile.open(archive) as tar:
        contents = {m.name.partition("/")[2]: m for m in tar.getmembers() if m.isfile()}
        for pattern, place in package["files"].items():
            names = fnmatch.filter(contents, pattern)
            if not names:
                raise SystemExit(f"{package['name']} has no {pattern}")
            for name in names:
                target = into / place
                if place.endswith("/"):
                    target /= Path(name).name
                target.parent.mkdir(parents=True, exist_ok=True)
                stream = tar.extractfile(contents[name])
                assert stream is not None
                content = stream.read()
                if target.name == "katex.min.css":
                    content = _OLD_FONTS.sub(b"", content)
                target.write_bytes(content)


def digests() -> dict[str, str]:
    """SHA-256 of every file that is there, by its path."""
    return {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(VENDOR.rglob("*"))
        if path.is_file()
    }


def fetch(manifest: dict[str, Any]) -> None:
    """Put fresh copies in place of what is there, and write their digests down."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "vendor"
        for package in manifest["packages"]:
            take(package, pack(package, Path(scratch)), fresh)
        shutil.rmtree(VENDOR, ignore_errors=True)
        shutil.copytree(fresh, VENDOR)
    manifest["sha256"] = digests()
    MANIFEST.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def main() -> int:
    """Fetch, or check what was fetched."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only, without a network")
    check = parser.parse_args().check
    manifest = json.loads(MANIFEST.read_text())
    if not check:
        fetch(manifest)
        return 0
    here, written = digests(), manifest["sha256"]
    wrong = sorted(name for name in here | written if here.get(name) != written.get(name))
    for name in wrong:
        print(f"app/seedbed/web/page/vendor/{name} is not what vendor.json says", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
