"""Data of the catalogue, corrected where the light path reads a config otherwise than the library.

    python -m scripts.catalogue.mending [--only lfm2] [--cache build/mended]

For each class: `reading` says which field is read otherwise when which one is given. What can be
learnt is (rules for derived fields are solved anew at every depth, flat fields, nested defaults,
older words); what cannot is refused, with the field that was given named. A class that is still
read otherwise after that is no longer served. Needs the interop environment.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import inspect
import json
import random
import re
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.catalogue import envelope, inert, oracle, reading, rules
from scripts.catalogue.fitting import flattened
from scripts.catalogue.keeping import DATA, packed
from scripts.resumable import logged
from seedbed.models.catalogue.settling import HARMLESS
from seedbed.models.catalogue.store import index, load
from seedbed.models.config import INERT

ROUNDS = 6


def mend(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """What was changed, by class; `data` is changed in place."""
    notes: dict[str, Any] = {}
    _nested(kind, data)
    _computed(kind, data)
    _written(kind, data)
    notes[""] = envelope.bound(kind, data)
    for name in list(data["classes"]):
        notes[name] = _class(kind, name, data)
    return notes


def _library(kind: str, config: Mapping[str, Any]) -> Any:
    try:
        return oracle.config_of({"model_type": kind, **config})
    except Exception:
        return None


def _nested(kind: str, data: dict[str, Any]) -> None:
    """Nested configs that start from the same when given in part, and flat ones."""
    every = list(flattened(data["defaults"]))

    def alike(one: Any, two: Any, paths: list[str]) -> bool:
        return (
            one is not None
            and two is not None
            and all(reading.reached(one, path) == reading.reached(two, path) for path in paths)
        )

    bare = _library(kind, {})
    for path, facts in data["nested"].items():
        inside = [one for one in every if one.startswith(f"{path}.")]
        empty = _library(kind, reading.having({}, tuple(path.split(".")), {}))
        if facts.get("absent") and alike(bare, empty, inside):
            facts["over"] = True
    flat = []
    for path in data["nested"]:
        if "." in path:
            continue
        tried = moved = 0
        for name, value in data["defaults"][path].items():
            if type(value) is int and value > 1 and name not in data["defaults"]:
                top, inner = (
                    _library(kind, {name: value * 2}),
                    _library(kind, {path: {name: value * 2}}),
                )
                if top is None or inner is None or alike(bare, inner, [f"{path}.{name}"]):
                    continue
                tried += 1
                moved += alike(top, inner, [f"{path}.{name}"])
        if tried and tried == moved:
            flat.append(path)
    if flat:
        data["flat"] = flat


def _computed(kind: str, data: dict[str, Any]) -> None:
    """Have what a config works out, and what stands in its saved form, follow from the rest.

    What the model reads, and no rule explains, is refused: set by hand it overrules what it would
    have come to. What was refused, and moves nothing of a model, is taken as it comes.
    """
    bare = _library(kind, {})
    if bare is None:
        return
    module = type(bare).__module__.replace(".configuration_", ".modeling_")
    try:
        source = inspect.getsource(importlib.import_module(module))
    except (ImportError, OSError):
        return
    read = set(re.findall(r"config\.(\w+)", source))
    known = {*data["defaults"], *HARMLESS, *data["aliases"].get("", ()), "id2label"}
    for name, value in reading.plain(bare.to_dict()).items():
        if name in known or name[:1] == "_":
            continue
        for architecture, one in data["classes"].items():
            heard = one["heard"].setdefault("", [])
            refused = {name, f"{name}?"} & set(heard)
            if any(rule["field"] == name for rule in one["derived"]):
                continue
            if name not in read and not refused:
                continue
            rule = rules.solve(kind, name, data, random.Random(2))
            if rule is not None:
                one["derived"].append(rule)
            if rule is not None or (refused and not inert.moves(kind, architecture, name, value)):
                one["heard"][""] = [word for word in heard if word not in refused]
            elif not refused:
                heard.append(f"{name}?" if value is None else name)


def _written(kind: str, data: dict[str, Any]) -> None:
    """List what a config class works out, writes beside its fields, and no weight depends on."""
    bare = _library(kind, {})
    if bare is None:
        return

    def look(form: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str) -> Iterator[str]:
        aliases = data["aliases"].get(prefix, ())
        for name, value in form.items():
            path = f"{prefix}{name}"
            if path in data["nested"] and isinstance(value, Mapping):
                yield from look(value, defaults.get(name) or {}, f"{path}.")
            elif name[:1] != "_" and not any(
                name in some for some in (defaults, HARMLESS, INERT, aliases)
            ):
                yield path

    written = sorted(look(reading.plain(bare.to_dict()), data["defaults"], ""))
    if written:
        data["written"] = written


def _class(kind: str, name: str, data: dict[str, Any]) -> dict[str, Any]:
    """One class, until nothing is read otherwise."""
    note: dict[str, Any] = {"rules": [], "refused": []}
    one = data["classes"][name]
    for _ in range(ROUNDS):
        found = reading.read(kind, name, data)
        if not found:
            return note
        before = json.dumps(data)
        derived = {rule["field"]: rule for rule in one["derived"]}
        broken = {f.field for f in found if f.case in {"bare", "depth", "given"}} & derived.keys()
        for field in sorted(broken):
            if field in note["rules"]:
                continue  # solved already: then it is what was given that does it
            note["rules"].append(field)
            rule = rules.solve(kind, field, data, random.Random(1))
            if rule is not None:
                one["derived"][one["derived"].index(derived[field])] = rule
        if json.dumps(data) == before:
            for finding in found:
                _refuse(finding, one, data, note)
        if json.dumps(data) == before:
            break
    note["left"] = [f"{f.case} {f.given} → {f.field}" for f in found][:6]
    del data["classes"][name]
    return note


def _refuse(
    finding: reading.Finding, one: dict[str, Any], data: dict[str, Any], note: dict[str, Any]
) -> None:
    """Have the field that was given refused, or else have what follows from it asked for."""
    prefix, _, name = finding.given.rpartition(".")
    prefix = f"{prefix}." if prefix else ""
    rule = next((rule for rule in one["derived"] if rule["field"] == finding.field), None)
    own = finding.given == finding.field
    if finding.case in {"bare", "depth"} or (own and rule is not None):
        if rule is not None and rule["mode"] == "absent":
            rule.clear()
            rule.update(field=finding.field, mode="asked")
            note["refused"].append(f"{finding.field} absent")
            return
        if finding.case != "depth":
            return
    if finding.case in {"spelling", "flat", "alias"}:
        data["aliases"].get(prefix, {}).pop(name, None)
        heard = one["heard"].setdefault(prefix, [])
        if name not in heard:
            heard.append(name)
            note["refused"].append(finding.given)
        return
    default = reading.level(data["defaults"], tuple(finding.given.split(".")))
    if one["fixed"].get(finding.given, one) != default:
        one["fixed"][finding.given] = default
        one["kinds"].pop(finding.given, None)
        one["choices"].pop(finding.given, None)
        became = reading.reached(_library(data["type"], {}), finding.given)
        if became != default and became is not None:
            one["alike"][finding.given] = became
        note["refused"].append(finding.given)


def main() -> None:
    """Correct every type, each once; what the log has is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, default=Path("build/mending.jsonl"))
    parser.add_argument("--only", default="", help="Types, with commas between.")
    given = parser.parse_args()
    done = {line["type"] for line in logged(given.log)}
    wanted = set(given.only.split(",")) if given.only else None
    for kind, states in index()["types"].items():
        exact = any(state["status"] == "exact" for state in states.values())
        if not exact or kind in done or (wanted is not None and kind not in wanted):
            continue
        data = copy.deepcopy(dict(load(kind)))
        try:
            notes = mend(kind, data)
            (DATA / f"{kind}.json.gz").write_bytes(packed(data))
        except Exception:
            notes = {"failed": traceback.format_exc()[-600:]}
        with given.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"type": kind, "notes": notes}) + "\n")


if __name__ == "__main__":
    main()
