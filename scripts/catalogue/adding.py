"""Solved types that the package does not have yet: mended, ordered, held to more, and added.

    python -m scripts.catalogue.solve --cache build/solved --only siglip_text_model,yolos
    python -m scripts.catalogue.adding --cache build/solved [--only yolos]

What `solve` left in its cache goes the way of all types: how the library's config classes read each
field (`mending`), the library's own order, and then configs of another seed, the defaults at full
size, all depths and the saved form of each (`holding`). A class that is wrong once is not added,
and the index says why. Needs the interop environment.
"""

from __future__ import annotations

import argparse
import copy
import traceback
from pathlib import Path
from typing import Any

from scripts.catalogue import holding, keeping, mending, ordering, solve, sweeping
from scripts.catalogue.limited import Timeout
from seedbed.models.catalogue.store import index

ORDERED = 8
"""Sampled configs from which the order of tensors is read."""


def arrange(kind: str, architecture: str, data: dict[str, Any]) -> str | None:
    """Give a class the library's order; says if there is none."""
    configs = [{}, *holding.sampled(kind, architecture, 77, ORDERED)]
    names = []
    for config in configs:
        try:
            names.append([one.name for one in holding.outlined(kind, architecture, config)])
        except (Exception, Timeout):
            continue
    arrangement = ordering.arranged(names)
    if arrangement is None:
        return "not in the library's order"
    ordering.reorder(data["classes"][architecture], arrangement)
    return None


def checked(kind: str, data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is said of each class; those that are wrong leave the data."""
    states: dict[str, dict[str, Any]] = {}
    solved = list(data["classes"])
    mending.mend(kind, data)
    for architecture in solved:
        if architecture not in data["classes"]:
            states[architecture] = {"status": "wrong", "why": "reads its config otherwise"}
            continue
        why = arrange(kind, architecture, data)
        held = holding.Held()
        if why is None:
            held = holding.hold(kind, architecture, data, depths=sweeping.DEPTHS)
            if held.wrong is not None:
                why = "differs on an unseen config"
                print(f"{kind} {architecture}: {held.wrong}", flush=True)
        if why is not None:
            states[architecture] = {"status": "wrong", "why": why}
        elif not held.exact:
            states[architecture] = {"status": "unchecked", "why": solve.UNCHECKED}
        else:
            states[architecture] = held.state(data, architecture)
            continue
        del data["classes"][architecture]
    return states


def add(kind: str, cache: Path) -> str:
    """Add the classes of a type that hold; says what came of each."""
    known = index()["types"].get(kind, {})
    if any(state["status"] == "exact" for state in known.values()):
        return "is known: its further classes are added by heading"
    kept = solve.read(cache / f"{kind}.json.gz")
    data = copy.deepcopy(kept["data"])
    states = {
        name: {"status": state["status"], "why": solve.reason(state)}
        for name, state in kept["states"].items()
        if state["status"] != "exact"
    }
    if data["classes"]:
        states |= checked(kind, data)
    keeping.keep(kind, data if data["classes"] else None, states)
    return ", ".join(f"{name} {state['status']}" for name, state in states.items())


def main() -> None:
    """Add what a cache has and the package has not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--only", default="", help="Types, with commas between.")
    given = parser.parse_args()
    wanted = {one for one in given.only.split(",") if one}
    for path in sorted(given.cache.glob("*.json.gz")):
        kind = path.name.removesuffix(".json.gz")
        if wanted and kind not in wanted:
            continue
        try:
            what = add(kind, given.cache)
        except (Exception, Timeout):
            what = traceback.format_exc()[-300:]
        print(f"{kind}: {what}", flush=True)


if __name__ == "__main__":
    main()
