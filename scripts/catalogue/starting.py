"""How tensors start, solved from the recorder's word: where the data guesses, and where it is wrong.

    python -m scripts.catalogue.starting [--only clip,t5] [--every] [--log build/starting.jsonl]
    python -m scripts.catalogue.starting --apply [--log build/starting.jsonl]

Of each class, sampled configs are recorded, with every number that an init may follow from drawn
anew. An init is a structure with numbers in it: which structure, is told by a condition; each number
by a constant, a field, or fields over the roots of dimensions. What is found is held to configs that
took no part and to the library's defaults; what differs once is not written. The log is what
`--apply` writes into the data, so that it can be written into data that has changed meanwhile.
Needs the interop environment; some ten seconds a class.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import math
import random
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scripts.catalogue import comparing, heading, measure, oracle, ordering, reading
from scripts.catalogue.fitting import Fitter, Row, flattened
from scripts.catalogue.keeping import DATA, packed
from scripts.catalogue.limited import Timeout
from scripts.resumable import logged
from seedbed.errors import SeedbedError
from seedbed.models.catalogue import engine, types
from seedbed.models.catalogue.expressions import evaluate
from seedbed.models.catalogue.store import index, load

SOLVED, UNSEEN = 12, 4
"""Sampled configs: to solve from, and to hold what was solved to."""

SPREADS = re.compile(r"init|std|range|factor|scale|gain|dt_|time_step|a_|drop_path|layer_scale")
"""Numbers whose name says that a weight may start from them."""

SECONDS = 20.0
"""To look for configs that the library builds."""

FEW = 400
"""Tensors of a model that is really built where the recorder has no word for a table."""

LARGEST = 6000
"""Tensors of a default model that is still recorded."""

Json = dict[str, Any]


@dataclass(slots=True)
class Sample:
    """A config, what the data reads of it, and what the library makes of it."""

    config: Json
    scope: Json
    truth: tuple[Any, ...]
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Found:
    """What became of a class.

    Attributes:
        cases: of an entry of the data, by its name and condition.
        wrong: entries that started otherwise than the data said, and how.
        left: entries that are not explained, and why.
    """

    cases: dict[str, list[Json]] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    samples: int = 0
    other: str | None = None
    order: list[str] = field(default_factory=list)
    passes: Json = field(default_factory=dict)


def key(entry: Sequence[Any]) -> str:
    """An entry of the data by what does not change when inits are solved."""
    return f"{entry[0]} if {entry[1]}"


def guessed(one: Mapping[str, Any]) -> set[str]:
    """Entries of a class that no init is known of."""
    return {
        key(entry)
        for entry in one["tensors"]
        if not one["inits"][entry[4]] or any(not c.get("scheme") for c in one["inits"][entry[4]])
    }


# ---------------------------------------------------------------- samples


def varied(config: Json, data: Json, chance: random.Random, number: int) -> Json:
    """The same with every number that may be a spread drawn anew, and other ties and biases."""
    found = heading.tied(config, data, number)
    if number % 3 == 1:
        found = heading.biased(found, data)
    for path in flattened(data["defaults"]):
        at = tuple(path.split("."))
        value = reading.level(data["defaults"], at)
        if isinstance(value, float) and math.isfinite(value) and value and SPREADS.search(at[-1]):
            drawn = float(f"{value * chance.uniform(0.55, 1.45):.4g}")
            found = reading.having(found, at, drawn)
    return found


def reaching(one: Json, data: Json, configs: Sequence[Json]) -> Iterator[Json]:
    """Configs that should have the tensors that none of these has: with switches in conditions."""
    known = set(flattened(data["defaults"]))
    for text in sorted({entry[1] for entry in one["tensors"]} - {"True"}):
        for path in re.findall(r"[a-z_][\w.]*", re.sub(r"'[^']*'", "", text)):
            at = tuple(path.split("."))
            if path not in known:
                continue
            value = reading.level(data["defaults"], at)
            if isinstance(value, bool):
                for config in configs[:2]:
                    yield reading.having(config, at, not value)


def recorded(kind: str, name: str, data: Json, config: Json) -> Sample | None:
    """A config with its truth, if both the data and the library take it."""
    whole = {**config, "model_type": kind, "architectures": [name]}
    program = engine._Program(data, name)
    try:
        scope = program.settled.settle(whole)
        heading.built(data, name, whole)
        truth = oracle.truth(whole, name, seconds=30).tensors
        values = tables(whole, name, truth) if len(truth) <= FEW else {}
    except (Exception, Timeout):
        return None
    return Sample(whole, scope, truth, values)


def tables(config: Json, name: str, truth: Sequence[Any]) -> dict[str, Any]:
    """Values of what the recorder has no word for, and two real builds give alike."""
    unsaid = [one for one in comparing.unsaid(truth) if math.prod(_shape(truth, one)) <= 1 << 20]
    if not unsaid:
        return {}
    one, two = (oracle.values(config, name, unsaid, seed) for seed in (1, 2))
    return {key: one[key] for key in unsaid if np.array_equal(one[key], two[key])}


def _shape(truth: Sequence[Any], name: str) -> tuple[int, ...]:
    return next(one.shape for one in truth if one.name == name)


def drawn(kind: str, name: str, seed: int, count: int) -> list[Json]:
    """Configs that the library builds, as many as there are within `SECONDS`."""
    sys.path.insert(0, str(Path(__file__).parent))
    import sampling
    import studying

    end = time.process_time() + SECONDS
    builder = studying.Builder(kind, name)
    found: list[Json] = []
    sampler = sampling.Sampler(builder.config_class, seed=seed)
    for _ in sampler.walk(builder.build, lambda: time.process_time() > end):
        assert builder.last is not None
        found.append(json.loads(json.dumps(builder.last.given)))
        if len(found) >= count:
            break
    return found


def samples(kind: str, name: str, data: Json, count: int, seed: int) -> list[Sample]:
    """Recorded models of sampled configs."""
    chance = random.Random(seed)
    found = []
    for number, config in enumerate(drawn(kind, name, seed, count)):
        one = None
        if number % 4:
            one = recorded(kind, name, data, varied(config, data, chance, number))
        one = one or recorded(kind, name, data, config)
        if one is not None:
            found.append(one)
    return found


# ---------------------------------------------------------------- one class


def rows_of(one: Json, every: Iterable[Sample]) -> dict[str, list[Row]]:
    """Tensors of each entry of the data, with what they are told by."""
    by_name: dict[str, list[Any]] = {}
    for entry in one["tensors"]:
        by_name.setdefault(entry[0], []).append(entry)
    rows: dict[str, list[Row]] = {}
    for number, sample in enumerate(every):
        for tensor in sample.truth:
            pattern, at = ordering.split(tensor.name)
            scope = {**sample.scope, **dict(zip(engine.INDICES, at, strict=False))}
            for entry in by_name.get(pattern, ()):
                try:
                    there = len(by_name[pattern]) == 1 or evaluate(entry[1], scope)
                except SeedbedError:
                    continue
                if there:
                    row = Row(
                        number, scope, tensor.init, tuple(tensor.shape), tensor.same_as,
                        sample.values.get(tensor.name),
                    )  # fmt: skip
                    rows.setdefault(key(entry), []).append(row)
    return rows


def differing(kind: str, name: str, data: Json, every: Iterable[Sample]) -> dict[str, str]:
    """Entries that the data has start otherwise than the library does."""
    found: dict[str, str] = {}
    entries: dict[str, list[str]] = {}
    for entry in data["classes"][name]["tensors"]:
        entries.setdefault(entry[0], []).append(key(entry))
    for sample in every:
        parameters, unknown = heading.built(data, name, sample.config)
        for tensor, what in comparing.starts(parameters, sample.truth, unknown).items():
            for one in entries[ordering.split(tensor)[0]]:
                found.setdefault(one, f"{tensor} {what}")
    return found


def having_cases(data: Json, name: str, cases: Mapping[str, list[Json]]) -> Json:
    """Data with other cases for some entries of a class."""
    data = {**data, "classes": {**data["classes"], name: copy.deepcopy(data["classes"][name])}}
    one = data["classes"][name]
    wanted = [
        cases[key(entry)] if key(entry) in cases else one["inits"][entry[4]]
        for entry in one["tensors"]
    ]
    inits: list[Any] = []
    for entry, these in zip(one["tensors"], wanted, strict=True):
        if these not in inits:
            inits.append(these)
        entry[4] = inits.index(these)
    if [] not in inits:
        inits.append([])
    one["inits"] = inits
    return data


def solve(
    kind: str, name: str, data: Json, *, count: int = SOLVED, published: Sequence[Json] = ()
) -> Found:
    """Solve what a class guesses or has wrong; published configs are among those to solve from."""
    found = Found()
    every = samples(kind, name, data, count, 11)
    every += [one for c in published if (one := recorded(kind, name, data, c)) is not None]
    one = data["classes"][name]
    missing = {key(e) for e in one["tensors"]} - rows_of(one, every).keys()
    if missing:
        for config in itertools.islice(reaching(one, data, [s.config for s in every]), 12):
            sample = recorded(kind, name, data, config)
            if sample is not None:
                every.append(sample)
    found.samples = len(every)
    if len(every) < 3:
        found.other = f"only {len(every)} samples"
        return found
    found.other = unlike(data, name, every)
    if found.other is not None and found.other.startswith("order"):
        data = ordered(data, name, every, found)
        one = data["classes"][name]
    found.wrong = differing(kind, name, data, every)
    todo = guessed(one) | found.wrong.keys()
    fit(one, every, todo, found)
    hold(kind, name, data, every, found)
    return found


def fit(one: Json, every: Sequence[Sample], todo: Iterable[str], found: Found) -> None:
    """Find cases of some entries; those that were wrong and are not explained have none."""
    rows, fitter = rows_of(one, every), Fitter(one)
    for entry in one["tensors"]:
        this = key(entry)
        if this not in todo:
            continue
        found.left.pop(this, None)
        cases = fitter.fit(entry, rows[this]) if this in rows else "in no sample"
        if isinstance(cases, str):
            found.left[this] = cases
            if this in found.wrong:
                found.cases[this] = []
        else:
            found.cases[this] = cases


def unlike(data: Json, name: str, every: Iterable[Sample]) -> str | None:
    """The first difference in names, shapes, dtypes or order."""
    found = (comparing.tensors(heading.built(data, name, s.config)[0], s.truth) for s in every)
    differences = [one for one in found if one is not None]
    return min(differences, key=lambda one: one.startswith("order"), default=None)


def ordered(data: Json, name: str, every: Sequence[Sample], found: Found) -> Json:
    """Data in the library's order, if these have one."""
    arrangement = ordering.arranged([[one.name for one in s.truth] for s in every])
    if arrangement is None:
        found.other = f"no order: {found.other}"
        return data
    found.order, found.passes = arrangement.patterns, arrangement.passes
    data = in_order(data, name, found.order, found.passes)
    found.other = unlike(data, name, every)
    if found.other is not None:
        found.other = f"still: {found.other}"
    return data


def in_order(data: Json, name: str, order: list[str], passes: Json) -> Json:
    """Data with the tensors of a class in another order."""
    data = {**data, "classes": {**data["classes"], name: copy.deepcopy(data["classes"][name])}}
    ordering.reorder(data["classes"][name], ordering.Arrangement(order, passes))
    return data


def hold(kind: str, name: str, data: Json, every: list[Sample], found: Found) -> None:
    """Hold all to configs that took no part; what differs is solved again with them, or taken back.

    Anew, it is held to others.
    """
    default = defaults(kind, name, data)
    wrong: dict[str, str] = {}
    for seed in (977, 4242, 31337):
        unseen = samples(kind, name, data, UNSEEN, seed) + [default] * (default is not None)
        changed = having_cases(data, name, found.cases)
        wrong = differing(kind, name, changed, unseen)
        found.other = found.other or unlike(changed, name, unseen)
        found.wrong |= {one: f"unseen: {what}" for one, what in wrong.items()}
        if not wrong:
            return
        every += unseen
        fit(data["classes"][name], every, wrong, found)
    for one, what in wrong.items():
        found.left[one] = f"unseen: {what}"[:200]
        found.cases[one] = []


def defaults(kind: str, name: str, data: Json) -> Sample | None:
    """The library's default model, unless it has very many tensors."""
    whole = {"model_type": kind, "architectures": [name]}
    try:
        if len(heading.built(data, name, whole)[0]) > LARGEST:
            return None
    except SeedbedError:
        return None
    return recorded(kind, name, data, {})


# ---------------------------------------------------------------- all of them


def targets(every: bool) -> Iterator[tuple[str, str]]:
    """Classes with a guess, or all."""
    for kind, states in sorted(types().items()):
        for name, state in states.items():
            if state["status"] == "exact" and (every or guessed(load(kind)["classes"][name])):
                yield kind, name


def apply(lines: Iterable[Json]) -> list[str]:
    """Write what a log says into the data; returns the types that changed."""
    whole = json.loads(json.dumps(index()))
    changed = set()
    by_type: dict[str, list[Json]] = {}
    for line in lines:
        by_type.setdefault(line["type"], []).append(line)
    for kind, these in by_type.items():
        data = before = dict(load(kind))
        for line in these:
            name = line["class"]
            if name in data["classes"] and line["cases"]:
                data = having_cases(data, name, line["cases"])
            if name in data["classes"] and line["order"]:
                data = in_order(data, name, line["order"], line["passes"])
        if data != before:
            (DATA / f"{kind}.json.gz").write_bytes(packed(data))
            changed.add(kind)
    load.cache_clear()
    for kind, states in whole["types"].items():
        for name, state in states.items():
            if state["status"] == "exact":
                unknown = guessed(load(kind)["classes"][name])
                state["guessed"] = len({one.partition(" if ")[0] for one in unknown})
    (DATA / "index.json.gz").write_bytes(packed(whole))
    return sorted(changed)


def main() -> None:
    """Solve what the log lacks, or apply it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, default=Path("build/starting.jsonl"))
    parser.add_argument("--only", default="", help="Types, with commas between.")
    parser.add_argument("--every", action="store_true", help="Classes without a guess, too.")
    parser.add_argument("--count", type=int, default=SOLVED, help="Sampled configs.")
    parser.add_argument("--published", type=Path, help="A folder of configs, as `measure` takes.")
    parser.add_argument("--apply", action="store_true", help="Write what the log says.")
    given = parser.parse_args()
    lines = logged(given.log)
    if given.apply:
        print("changed:", *apply(lines))
        return
    done = {(line["type"], line["class"]) for line in lines}
    published: dict[tuple[str, str], list[Json]] = {}
    for case in measure.cases(given.published) if given.published else ():
        config = {k: v for k, v in case.config.items() if k != "quantization_config"}
        published.setdefault((config["model_type"], case.architecture), []).append(config)
    wanted = set(given.only.split(",")) if given.only else None
    for kind, name in targets(given.every):
        if (kind, name) in done or (wanted is not None and kind not in wanted):
            continue
        try:
            found = solve(
                kind, name, dict(load(kind)), count=given.count,
                published=published.get((kind, name), ()),
            )  # fmt: skip
        except (Exception, Timeout) as error:
            found = Found(other=f"{type(error).__name__}: {error}"[:200])
        line = {
            "type": kind, "class": name, "cases": found.cases, "wrong": found.wrong,
            "left": found.left, "samples": found.samples, "other": found.other,
            "order": found.order, "passes": found.passes,
        }  # fmt: skip
        with given.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        solved = sum(bool(cases) for cases in found.cases.values())
        print(f"{kind} {name}: {solved} solved, {len(found.left)} left, {len(found.wrong)} wrong, "
              f"{found.samples} samples {found.other or ''}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
