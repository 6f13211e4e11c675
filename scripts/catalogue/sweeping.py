"""Every class at its library's own defaults and at many depths, against the library's word.

    python -m scripts.catalogue.sweeping --log build/sweep.jsonl [--only qwen3_next] [--table]

A line a config: exact, refused, WRONG, or what the library itself cannot build. What the log has is
not done again, so that a run can be broken off. Needs the interop environment; niced, in one
process, it takes an hour or two of a core.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.catalogue import comparing, oracle
from scripts.catalogue.limited import Timeout
from scripts.resumable import logged
from seedbed.errors import SeedbedError
from seedbed.models import registry
from seedbed.models.catalogue import types
from seedbed.models.transformers import FAMILIES

DEPTHS = (1, 2, 3, 5, 8, 13, 21, 48, 64, 96)
"""Numbers of layers: past every period that a pattern of layers has."""

RECORDED = 5
"""Layers up to which initial values are recorded too."""

FEW_EXPERTS = 8
"""Of a mixture, where there are many layers: their number is told by the defaults."""

MOST_STACKS = 5
"""Of a type, each varied alone and all together."""

_LAYERS = re.compile(r"(^|_)(n_layers?|num_layers|layers|depth|num_blocks|n_blocks)$")
_EXPERTS = re.compile(r"(^|_)experts$")

Json = Mapping[str, Any]


def classes() -> Iterator[tuple[str, str]]:
    """Every class that is answered, by the catalogue or by a family."""
    known = {(kind, name) for kind, family in FAMILIES.items() for name in family.classes()}
    known |= {
        (kind, name)
        for kind, states in types().items()
        for name, state in states.items()
        if state["status"] == "exact"
    }
    yield from sorted(known)


def numbers(kind: str, pattern: re.Pattern[str], least: int = 1) -> dict[tuple[str, ...], int]:
    """Fields of a type that are whole numbers and are called so, by path, with their defaults."""
    found: dict[tuple[str, ...], int] = {}

    def look(config: Any, prefix: tuple[str, ...]) -> None:
        for field in dataclasses.fields(config):
            value = getattr(config, field.name, None)
            if dataclasses.is_dataclass(value):
                look(value, (*prefix, field.name))
            elif pattern.search(field.name) and type(value) is int and value >= least:
                found[*prefix, field.name] = value

    look(oracle.config_of({"model_type": kind}), ())
    return found


def having(config: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The same with another value at a path."""
    first, *rest = path
    inner = having(config.get(first, {}), tuple(rest), value) if rest else value
    return {**config, first: inner}


def cases(kind: str, few: bool = True) -> Iterator[tuple[str, dict[str, Any]]]:
    """Configs of a type, each with its name: defaults, and depths of each stack and of all."""
    yield "defaults", {}
    stacks = list(numbers(kind, _LAYERS))[:MOST_STACKS]
    experts = numbers(kind, _EXPERTS, FEW_EXPERTS + 1)
    spellings = [(".".join(path), (path,)) for path in stacks]
    if len(stacks) > 1:
        spellings.append(("all", tuple(stacks)))
    aliases = type(oracle.config_of({"model_type": kind})).attribute_map
    spellings += [
        (alias, ((alias,),))
        for alias, name in aliases.items()
        if (name,) in stacks and alias != name
    ]
    for depth in DEPTHS:
        for name, paths in spellings:
            config: dict[str, Any] = {}
            for path in paths:
                config = having(config, path, depth)
            if few and depth > RECORDED:
                for path in experts:
                    config = having(config, path, FEW_EXPERTS)
            yield f"{name}={depth}", config


def hold(kind: str, architecture: str, config: Json, *, inits: bool) -> dict[str, Any]:
    """What became of one config, as given and as the library would write it."""
    whole = {**config, "model_type": kind, "architectures": [architecture]}
    try:
        if inits:
            kept = oracle.truth(whole, architecture)
            truth: Any = kept.tensors
        else:
            truth = oracle.outline(whole, architecture)
        saved = json.loads(json.dumps(plain(oracle.config_of(whole).to_dict())))
    except (Exception, Timeout) as error:
        return {"state": "no truth", "why": f"{type(error).__name__}: {error}"[:160]}
    saved["architectures"] = [architecture]
    mark = comparing.digest(truth)
    states = []
    for form, given in (("given", whole), ("saved", saved)):
        state = compare(given, truth, inits=inits)
        states.append(state | ({"form": form} if form == "saved" else {}))
    order = ("WRONG", "refused", "exact")
    return min(states, key=lambda one: order.index(one["state"])) | {
        "config": dict(config),
        "digest": mark,
    }


def compare(config: Json, truth: Any, *, inits: bool) -> dict[str, Any]:
    """What the light path says of a config whose truth is known."""
    try:
        model = registry.of_config(config)
    except SeedbedError as error:
        where = ".".join(map(str, getattr(error, "path", ())))
        return {"state": "refused", "why": f"{where}: {error.message}"[:160]}
    what = comparing.tensors(model.parameters, truth)
    if what is not None:
        return {"state": "WRONG", "why": what}
    if inits:
        wrong = comparing.starts(model.parameters, truth, model.guessed)
        if wrong:
            name = next(iter(wrong))
            return {"state": "WRONG", "why": f"init ({len(wrong)}): {name} {wrong[name]}"[:240]}
    return {"state": "exact", "guessed": len(model.guessed)}


def plain(value: Any) -> Any:
    """A config's value as JSON has it."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def table(lines: list[dict[str, Any]]) -> str:
    """Counts by config and by class."""
    states = Counter(line["state"] for line in lines)
    by_class: dict[tuple[str, str], set[str]] = {}
    for line in lines:
        by_class.setdefault((line["type"], line["class"]), set()).add(line["state"])
    worst = Counter(
        next((s for s in ("WRONG", "refused", "exact") if s in seen), "no truth")
        for seen in by_class.values()
    )
    text = [f"{len(lines)} configs: {dict(states)}; {len(by_class)} classes: {dict(worst)}"]
    for state in ("WRONG", "refused"):
        shown: Counter[tuple[str, ...]] = Counter()
        first: dict[tuple[str, ...], str] = {}
        for line in lines:
            if line["state"] == state:
                key = (line["type"], line["class"], line.get("form", "given"), line["why"][:40])
                shown[key] += 1
                first.setdefault(key, f"{line['case']}: {line['why']}")
        text += [f"{state} {n:2d} × {' '.join(k[:3])}: {first[k][:170]}" for k, n in shown.items()]
    return "\n".join(text)


def main() -> None:
    """Hold every class, or show what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, default=Path("build/sweep.jsonl"))
    parser.add_argument("--only", default="", help="Types, with commas between.")
    parser.add_argument("--table", action="store_true", help="Only show the log.")
    parser.add_argument("--depths", default=",".join(map(str, DEPTHS)), help="Numbers of layers.")
    parser.add_argument("--first", default="", help="The first type, in the order of letters.")
    parser.add_argument("--last", default="~", help="And the one where to stop.")
    parser.add_argument("--recorded", type=int, default=RECORDED, help="Layers, with inits.")
    given = parser.parse_args()
    lines = logged(given.log)
    done = {(line["type"], line["class"], line["case"]) for line in lines}
    depths = set(map(int, given.depths.split(",")))
    wanted = set(given.only.split(",")) if given.only else None
    for kind, architecture in () if given.table else classes():
        if (wanted is not None and kind not in wanted) or not given.first <= kind < given.last:
            continue
        try:
            todo = list(cases(kind))
        except Exception as error:
            todo = [("defaults", {})]
            print(f"{kind}: {error}"[:160])
        for name, config in todo:
            depth = int(name.rpartition("=")[2]) if "=" in name else 0
            if (kind, architecture, name) in done or (depth and depth not in depths):
                continue
            found = hold(kind, architecture, config, inits=depth <= given.recorded)
            line = {"type": kind, "class": architecture, "case": name, **found}
            lines.append(line)
            with given.log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
    print(table(lines))


if __name__ == "__main__":
    main()
