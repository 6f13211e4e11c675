"""Say what a new scheme, layer, dtype or family of models lacks of what no program writes.

That is the words of docs/stream.md, the reader in JavaScript that is written from them, and the row
by which tests compare with a truth from elsewhere. Everything else is made: see `generate.py`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from seedbed.init import LAYERS, SCHEMES
from seedbed.init.schemes.directed import ByFans
from seedbed.models.vision import PRESETS
from seedbed.stream import DTYPES

ROOT = Path(__file__).parent.parent
DOCUMENT = "docs/stream.md"
READER = "tests/interop/stream"
ORACLES = "tests/oracles.py"
MEASURED_ANYWAY = re.compile("tiny-|lenet|mlp").match
"""Presets so small that tests measure every one."""


@cache
def text_of(path: str) -> str:
    """What stands in a file, or in all of a folder's."""
    place = ROOT / path
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def has(path: str, *names: str) -> bool:
    """Whether one of the names stands in a file as a word."""
    return any(re.search(rf"\b{re.escape(name)}(?!\w)", text_of(path)) for name in names)


def of_schemes() -> Iterator[str]:
    """What schemes lack."""
    for name, scheme in SCHEMES.items():
        family = re.sub("_(normal|uniform)$", "_*", name)
        if not has(DOCUMENT, name, family):
            yield f"{DOCUMENT} §5: what the elements of {name} are"
        if not has(READER, name, family.removesuffix("_*")):
            yield f"{READER}/schemes.mjs: {name}, from {DOCUMENT} alone"
        if issubclass(scheme, ByFans) and not has("tests/init/test_schemes.py", name):
            yield f"tests/init/test_schemes.py: a row of FORMULAS for {name}"


def of_layers() -> Iterator[str]:
    """What layers lack; those of several ranks stand as a family."""
    for kind in LAYERS:
        if not has(DOCUMENT, kind, re.sub(r"\dd$", "1d", kind)):
            yield f"{DOCUMENT} §6.1: parameters, defaults and layouts of {kind}"
        if not has(READER, kind, re.sub(r"\dd$", "${rank}d", kind)):
            yield f"{READER}/layers.mjs: {kind}, from {DOCUMENT} alone"
        if not has("tests/interop/test_layers.py", kind, re.sub(r"\dd$", "{rank}d", kind)):
            yield f"tests/interop/test_layers.py: a row of CASES for {kind}"


def of_dtypes() -> Iterator[str]:
    """What dtypes lack."""
    for code in DTYPES:
        if not has(DOCUMENT, code):
            yield f"{DOCUMENT} §4 and §6: rounding and rank of {code}"
        if not has(READER, code):
            yield f"{READER}/draws.mjs: {code}, from {DOCUMENT} alone"
        if not has(ORACLES, code) and DTYPES[code].is_float:
            yield f"{ORACLES}: a row of FLOAT_DTYPES for {code}, by NumPy or ml_dtypes"
        if not has("docs/spec.md", code) and DTYPES[code].is_float:
            yield f"docs/spec.md: {code}, in the row on dtypes"


def of_vision() -> Iterator[str]:
    """What families of torchvision's kind lack, each of which has several presets."""
    cases, measured = "tests/models/vision/cases.py", "tests/interop/test_vision.py"
    families: dict[str, list[str]] = {}
    for preset in PRESETS:
        families.setdefault(preset.architecture.__name__, []).append(preset.name)
    for family, names in families.items():
        if not has(cases, *names):
            yield f"{cases}: a row of ARGUMENTS for {family}, with some of its arguments"
        if not has(measured, *names) and not any(map(MEASURED_ANYWAY, names)):
            yield f"{measured}: a row of ALSO_MEASURED for {family}"


def main() -> int:
    """Exit code: 1 if anything is to be written."""
    todo = [*of_schemes(), *of_layers(), *of_dtypes(), *of_vision()]
    for line in todo:
        print(f"by hand: {line}", file=sys.stderr)
    return bool(todo)


if __name__ == "__main__":
    sys.exit(main())
