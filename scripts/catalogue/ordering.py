"""The order in which the library writes tensors, as an order of patterns with loops around them.

Shards follow that order. It is read off recorded names: which pattern comes before which within
one turn of a loop, and which patterns have a pass of their own over the indices, as experts that
are split when a model is saved: all their down projections, then all the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Index = tuple[int, ...]
Entry = tuple[str, Index]
"""A pattern, `a.*.b`, and the numbers in its place."""


def split(name: str) -> Entry:
    """`a.3.b.0.c` as (`a.*.b.*.c`, (3, 0))."""
    parts = name.split(".")
    index = tuple(int(part) for part in parts if part.isdigit())
    return ".".join("*" if part.isdigit() else part for part in parts), index


@dataclass
class Arrangement:
    """Patterns in order.

    Attributes:
        patterns: each once.
        passes: of a loop, the patterns that have a later pass than the first.
    """

    patterns: list[str] = field(default_factory=list)
    passes: dict[str, dict[str, int]] = field(default_factory=dict)


def arranged(sequences: Sequence[Sequence[str]]) -> Arrangement | None:
    """The arrangement of names that the library wrote, if there is one for all of these models."""
    found = Arrangement()
    ok = _level([[split(name) for name in names] for names in sequences], "", 0, found)
    return found if ok else None


Key = tuple[str, int]


def _level(runs: Sequence[Sequence[Entry]], prefix: str, depth: int, into: Arrangement) -> bool:
    """Everything within one loop; a run is one turn of it."""
    firsts: list[list[Key]] = []
    inside: dict[Key, list[list[Entry]]] = {}
    for run in runs:
        order: list[Key] = []
        turns: dict[Key, dict[int, list[Entry]]] = {}
        last: dict[str, int] = {}
        passes: dict[str, int] = {}
        for pattern, index in run:
            if pattern.count("*") == depth:
                key = pattern, 0
            else:
                loop = "*".join(pattern.split("*")[: depth + 1])
                at = index[depth]
                if at < last.get(loop, at):
                    passes[loop] = passes.get(loop, 0) + 1
                last[loop] = at
                key = loop, passes.get(loop, 0)
                turns.setdefault(key, {}).setdefault(at, []).append((pattern, index))
            if key not in order:
                order.append(key)
        firsts.append(order)
        for key, by_index in turns.items():
            inside.setdefault(key, []).extend(by_index.values())
    order = topological(firsts)
    if order is None:
        return False
    for key in order:
        if key not in inside:
            into.patterns.append(key[0])
            continue
        loop, number = key
        members = {pattern for run in inside[key] for pattern, _ in run}
        if number:
            into.passes.setdefault(loop, {}).update(dict.fromkeys(sorted(members), number))
        if not _level(inside[key], loop, depth + 1, into):
            return False
    return len(set(into.patterns)) == len(into.patterns)


def topological(orders: Iterable[Sequence[Any]]) -> list[Any] | None:
    """One order that all of these are parts of, the first seen first; none if they contradict."""
    after: dict[Any, set[Any]] = {}
    nodes: dict[Any, None] = {}
    for order in orders:
        for one in order:
            nodes.setdefault(one)
        for one, two in itertools.pairwise(order):
            after.setdefault(two, set()).add(one)
    found: list[Any] = []
    left = list(nodes)
    while left:
        ready = next((one for one in left if not after.get(one, set()) & set(left)), None)
        if ready is None:
            return None
        found.append(ready)
        left.remove(ready)
    return found


def reorder(one: dict[str, Any], arrangement: Arrangement) -> None:
    """Give a class's data this order; patterns that were not seen stay behind their neighbour."""
    place = {pattern: n for n, pattern in enumerate(arrangement.patterns)}
    rank: list[tuple[float, int]] = []
    last = -1.0
    for n, tensor in enumerate(one["tensors"]):
        last = float(place.get(tensor[0], last))
        rank.append((last, n))
    one["tensors"] = [one["tensors"][n] for _, n in sorted(rank)]
    if arrangement.passes:
        one["passes"] = arrangement.passes
    else:
        one.pop("passes", None)
