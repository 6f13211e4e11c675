"""Configs as the library saves them: what its classes write into config.json is no unknown field.

    python -m scripts.catalogue.saving [--only t5] [-o tests/models/catalogue/saved.json.gz]

For each type: the defaults and two more configs that its classes take, each as it was given and as
the library wrote it. Prints what is refused only as it was written, or read otherwise. Needs the
interop environment.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.catalogue import oracle, reading
from scripts.catalogue.keeping import packed
from scripts.catalogue.sweeping import plain
from seedbed.errors import SeedbedError
from seedbed.models.catalogue import types
from seedbed.models.catalogue.settling import Settled
from seedbed.models.catalogue.store import load

SAMPLES = 2
"""Of a type, beside its defaults, in the file that the quick tests have."""


def saved(kind: str, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """A config as the library writes it, if it takes it."""
    try:
        read = oracle.config_of({"model_type": kind, **config})
        return {**json.loads(json.dumps(plain(read.to_dict()))), "model_type": kind}
    except Exception:
        return None


def forms(kind: str, name: str, data: Mapping[str, Any]) -> Iterator[tuple[Any, Any, str | None]]:
    """Configs that a class takes: as given, as saved, and what is wrong with the latter."""
    reader = reading.Reader(kind, name, data)
    for case, _, config in reader.cases():
        if case not in {"bare", "depth", "given"}:
            continue
        settled = settle(reader.settled, {"model_type": kind, **config})
        written = None if isinstance(settled, str) else saved(kind, config)
        if written is None:
            continue
        again = settle(reader.settled, written)
        what = again if isinstance(again, str) else None
        for path in reader.fields if what is None else ():
            one, two = (reading.reached(form, path) for form in (settled, again))
            if one != two:
                what = f"{path}: {one!r} as given, {two!r} as saved"
        yield config, written, what


def settle(settled: Settled, config: Mapping[str, Any]) -> Any:
    """A config, or why it is refused."""
    try:
        return settled.settle(copy.deepcopy(dict(config)))
    except SeedbedError as error:
        return f"{'.'.join(map(str, getattr(error, 'path', ())))}: {error.message}"[:160]


def _weight(config: Mapping[str, Any]) -> str:
    """Says which configs are picked: by their own content, so that no other one shifts it."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def main() -> None:
    """Show what is refused as saved, or write what the tests have."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="Types, with commas between.")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    wanted = set(given.only.split(",")) if given.only else None
    kept: dict[str, Any] = {}
    for kind, states in types().items():
        if wanted is not None and kind not in wanted:
            continue
        data = load(kind) if any(s["status"] == "exact" for s in states.values()) else {}
        for name in data.get("classes", ()):
            right = []
            shown: set[str] = set()
            for config, written, what in forms(kind, name, data):
                if what is None:
                    right.append((config, written))
                elif what[:30] not in shown:
                    shown.add(what[:30])
                    print(f"{kind} {name} {json.dumps(config)[:80]} | {what}", flush=True)
            chosen = [one for one in right if not one[0]][:1]
            chosen += sorted((one for one in right if one[0]), key=lambda one: _weight(one[0]))
            bare = saved(kind, {}) or {}
            kept[name] = [
                {"given": one, "saved": {k: v for k, v in two.items() if v != bare.get(k, one)}}
                for one, two in chosen[: SAMPLES + 1]
            ]
            kept.setdefault(f"{kind}.", bare)
    if given.output:
        given.output.write_bytes(packed(kept))


if __name__ == "__main__":
    main()
