"""The data of classes in the library's own order, and truths for the quick tests.

    python -m scripts.catalogue.reordering TYPE=Class[:{"num_hidden_layers": 3}] …
    python -m scripts.catalogue.reordering --truths silent-wrongs.jsonl -o tests/…/truths.json

Needs the interop environment.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any

from scripts.catalogue import comparing, oracle, ordering
from scripts.catalogue.keeping import DATA, packed
from seedbed.models.catalogue import engine
from seedbed.models.catalogue.store import load


def reorder(kind: str, architecture: str, configs: list[dict[str, Any]]) -> str:
    """Give a class the order of what the library writes of these; says what came of it."""
    whole = [{**one, "model_type": kind, "architectures": [architecture]} for one in configs]
    truths = [[one.name for one in oracle.outline(config, architecture)] for config in whole]
    arrangement = ordering.arranged(truths)
    if arrangement is None:
        return "has no order of patterns"
    data = copy.deepcopy(dict(load(kind)))
    ordering.reorder(data["classes"][architecture], arrangement)
    program = engine._Program(data, architecture)
    for config, names in zip(whole, truths, strict=True):
        run = engine._Run(program, program.settled.settle(config), 1_000_000)
        if [one.name for one in run.parameters(program.body)] != names:
            return "is of another order still"
    (DATA / f"{kind}.json.gz").write_bytes(packed(data))
    load.cache_clear()
    engine._program.cache_clear()
    return f"in order, {len(arrangement.passes)} loops in passes"


def truths(path: Path) -> list[dict[str, Any]]:
    """What the library makes of each config of a file, as a digest."""
    found = []
    for text in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(text)
        config = one["config"]
        try:
            digest = comparing.digest(oracle.outline(config, config["architectures"][0]))
        except Exception:
            digest = None
        found.append({"what": one["what"], "config": config, "digest": digest})
    return found


def main() -> None:
    """Reorder classes, or write truths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("classes", nargs="*")
    parser.add_argument("--truths", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    if given.truths:
        text = json.dumps(truths(given.truths), indent=1, ensure_ascii=False) + "\n"
        given.output.write_text(text, encoding="utf-8")
    for one in given.classes:
        kind, _, rest = one.partition("=")
        name, _, config = rest.partition(":")
        try:
            what = reorder(kind, name, [json.loads(config or "{}")])
        except Exception as error:
            what = f"{type(error).__name__}: {error}"[:200]
        print(f"{kind} {name}: {what}", flush=True)


if __name__ == "__main__":
    main()
