"""Heads of solved bases: what another class of a type has beside the tensors of one that is known.

    python -m scripts.catalogue.heading qwen2_vl=Qwen2VLForConditionalGeneration …

A head is its base under other names, a few tensors more, and perhaps a few less: a bare model has
no `lm_head`. Which name became which is told by builds of both; the further tensors are explained
by the fields that all builds agree with. Then the class is held to builds that took no part, to the
library's defaults at full size, and to depths; what differs once is not written. Needs the interop
environment.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
from collections.abc import Sequence
from typing import Any

from scripts.catalogue import (
    comparing,
    holding,
    keeping,
    oracle,
    ordering,
    reading,
)
from scripts.catalogue.fitting import flattened
from scripts.catalogue.limited import Timeout
from scripts.catalogue.naming import Unsolved, neighbouring, renamed, respell
from seedbed.errors import SeedbedError
from seedbed.models.catalogue import engine
from seedbed.models.catalogue.expressions import evaluate
from seedbed.models.catalogue.settling import at
from seedbed.models.catalogue.store import index, load

SOLVED = 14
"""Sampled configs to solve from."""

HELD = (3, 21, 64)
"""Depths that a class is held to; its base was held to more."""

Json = dict[str, Any]


def biased(config: Json, data: Json) -> Json:
    """The same with every bias that a field says, so that each has its place in the order."""
    for path in flattened(data["defaults"]):
        at_ = tuple(path.split("."))
        if "bias" in at_[-1] and isinstance(reading.level(data["defaults"], at_), bool):
            config = reading.having(config, at_, True)
    return config


def size(values: Sequence[int], settled: Sequence[Json]) -> tuple[str, list[str]]:
    """An expression for a dimension, and the fields in it.

    Raises:
        Unsolved: no field, and no product of two, is it.
    """
    if len(set(values)) == 1:
        fields = _agreeing(values, settled)
        return (fields[0], [fields[0]]) if fields else (str(values[0]), [])
    fields = _agreeing(values, settled)
    if fields:
        return fields[0], [fields[0]]
    raise Unsolved(f"a dimension of {sorted(set(values))[:5]}")


def _agreeing(values: Sequence[int], settled: Sequence[Json]) -> list[str]:
    """Fields that have these values: those at the top first."""
    names = [
        path
        for path in flattened(settled[0])
        if all(
            type(at(one, path)) is int and at(one, path) == value
            for one, value in zip(settled, values, strict=True)
        )
    ]
    wide = ("vocab_size", "hidden_size", "projection_dim", "num_labels")
    return sorted(names, key=lambda n: (n.rpartition(".")[2] not in wide, n.count("."), n))


def present(where: Sequence[bool], settled: Sequence[Json], data: Json) -> str:
    """When a further tensor is there.

    Raises:
        Unsolved: no condition says it.
    """
    if all(where):
        return "True"
    texts = [
        f"not {path}"
        for path in flattened(data["defaults"])
        if path.rpartition(".")[2] == "tie_word_embeddings"
    ]
    pairs = list(itertools.combinations(texts, 2))
    texts += [f"{a} {word} {b}" for word in ("and", "or") for a, b in pairs]
    for text in texts:
        try:
            if all(bool(evaluate(text, s)) == w for s, w in zip(settled, where, strict=True)):
                return text
        except SeedbedError:
            continue
    raise Unsolved("the presence of a further tensor")


def solve(kind: str, architecture: str, base: str, data: Json) -> Json:
    """The data of a head.

    Raises:
        Unsolved: it is not the base and a few tensors.
    """
    configs = [
        holding.tied(config, data, n)
        for n, config in enumerate(holding.sampled(kind, architecture, 77, SOLVED))
    ]
    configs += [biased(config, data) for config in configs[:2]]
    program = engine._Program(data, base)
    rows = []
    for config in configs:
        try:
            settled = program.settled.settle({**config, "model_type": kind})
            rows.append(
                (
                    settled,
                    holding.outlined(kind, base, config),
                    holding.outlined(kind, architecture, config),
                )
            )
        except (SeedbedError, Timeout):
            continue
    if len(rows) < 4:
        raise Unsolved(f"{len(rows)} configs that the base takes")
    names = renamed([(b, h) for _, b, h in rows])
    one = copy.deepcopy(data["classes"][base])
    for pattern in sorted({t[0] for t in one["tensors"]} - set(names)):
        names[pattern] = neighbouring(pattern, names)
    respell(one, names)
    further = sorted(
        {ordering.split(h.name)[0] for _, _, head in rows for h in head} - set(names.values())
    )
    for pattern in further:
        if "*" in pattern:
            raise Unsolved(f"{pattern} is further, and in a loop")
        shapes = [next((h.shape for h in head if h.name == pattern), None) for *_, head in rows]
        when = present([s is not None for s in shapes], [r[0] for r in rows], data)
        there = [(s, r[0]) for s, r in zip(shapes, rows, strict=True) if s is not None]
        texts = []
        for column in zip(*(s for s, _ in there), strict=True):
            text, fields = size(column, [settled for _, settled in there])
            texts.append(text)
            for field in fields:
                if field in data["defaults"] or "." in field:
                    one["kinds"].setdefault(field, "i")
        one["tensors"].append([pattern, when, texts, "", one["inits"].index([])])
    whole = {**data, "classes": {**data["classes"], architecture: one}}
    _started(kind, architecture, whole, further, list(configs)[:4])
    _ordered(kind, architecture, whole, [[t.name for t in head] for *_, head in rows])
    return one


def _started(kind: str, architecture: str, data: Json, further: list[str], configs: Any) -> None:
    """Give further tensors the init of another that starts as they do, if there is one."""
    one = data["classes"][architecture]
    truths = []
    for config in configs:
        whole = {**config, "model_type": kind, "architectures": [architecture]}
        truths.append((whole, oracle.truth(whole, architecture).tensors))
    for tensor in (t for t in one["tensors"] if t[0] in further):
        plain = sorted(enumerate(one["inits"]), key=lambda item: "row" in json.dumps(item[1]))
        for number, cases in plain:
            if not cases or any(" i" in json.dumps(c) or "[i" in json.dumps(c) for c in cases):
                continue
            tensor[4] = number
            try:
                if all(
                    _right(data, architecture, config, truth, tensor[0]) for config, truth in truths
                ):
                    break
            except SeedbedError:
                continue
        else:
            tensor[4] = one["inits"].index([])


def _right(data: Json, architecture: str, config: Json, truth: Any, name: str) -> bool:
    parameters = [p for p in holding.built(data, architecture, config)[0] if p.name == name]
    return comparing.starts(parameters, truth) == {}


def _ordered(kind: str, architecture: str, data: Json, names: list[list[str]]) -> None:
    arrangement = ordering.arranged(names)
    if arrangement is None:
        raise Unsolved("no order of patterns")
    ordering.reorder(data["classes"][architecture], arrangement)


def add(kind: str, architecture: str, base: str) -> str:
    """Solve a head, hold it, and write it; says what came of it."""
    data = copy.deepcopy(dict(load(kind)))
    try:
        data["classes"][architecture] = solve(kind, architecture, base, data)
    except Unsolved as error:
        return f"not explained: {error}"
    held = holding.hold(kind, architecture, data, depths=HELD)
    if held.wrong is not None:
        return f"WRONG: {held.wrong}"
    if not held.exact:
        return f"too few: {held}"
    keeping.keep(kind, data, {architecture: held.state(data, architecture)})
    return f"exact: {held}"


def main() -> None:
    """Add heads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("heads", nargs="*", help="type=Class, or type=Class:Base.")
    for one in parser.parse_args().heads:
        kind, _, rest = one.partition("=")
        architecture, _, base = rest.partition(":")
        exact = [n for n, s in index()["types"][kind].items() if s["status"] == "exact"]
        base = base or next(n for n in exact if n != architecture)
        try:
            what = add(kind, architecture, base)
        except (Exception, Timeout) as error:
            what = f"{type(error).__name__}: {error}"[:200]
        print(f"{kind} {architecture}: {what}", flush=True)


if __name__ == "__main__":
    main()
