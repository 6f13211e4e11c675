"""What the tensors of a base are called in a head, told by builds of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.catalogue import ordering

Json = dict[str, Any]


class Unsolved(Exception):
    """Why a head is not explained."""


def renamed(pairs: Sequence[tuple[Sequence[Any], Sequence[Any]]]) -> dict[str, str | None]:
    """Pattern of the base → pattern of the head, the same for all pairs of builds.

    None is for what the head does not have. Names that agree in more parts, from the end, are taken
    first, so that of an encoder and a decoder the one that is left finds its own.

    Raises:
        Unsolved: nothing of the base is in the head.
    """
    near: dict[str, set[str]] = {}
    for base, head in pairs:
        theirs: dict[tuple[Any, ...], set[str]] = {}
        for one in head:
            pattern, place = ordering.split(one.name)
            theirs.setdefault((place, one.shape, one.dtype), set()).add(pattern)
        for one in base:
            pattern, place = ordering.split(one.name)
            there = theirs.get((place, one.shape, one.dtype), set())
            near[pattern] = near.get(pattern, there) & there
    ranked = sorted(
        ((_common(one, other), one, other) for one, others in near.items() for other in others),
        key=lambda item: (tuple(-n for n in item[0]), item[1:]),
    )
    found: dict[str, str | None] = dict.fromkeys(near)
    taken: set[str] = set()
    for (parts, _), one, other in ranked:
        if found[one] is None and other not in taken and parts >= min(2, one.count(".") + 1):
            found[one] = other
            taken.add(other)
    if not taken:
        raise Unsolved("nothing of the base is in the head")
    return found


def _common(one: str, two: str) -> tuple[int, int]:
    """How many parts of two names are the same, counted from the end; then how near in length."""
    count = 0
    for a, b in zip(reversed(one.split(".")), reversed(two.split(".")), strict=False):
        if a != b:
            break
        count += 1
    return count, -abs(len(one) - len(two))


def neighbouring(pattern: str, names: Mapping[str, str | None]) -> str | None:
    """What a tensor that no sample had, such as a bias, is called in the head: as its neighbours.

    Raises:
        Unsolved: it has none, or its name does not begin as theirs.
    """

    def near(other: str) -> int:
        return _same(pattern, other)

    for other in sorted(names, key=near, reverse=True):
        new = names[other]
        if new is None:
            if other.partition(".")[0] == pattern.partition(".")[0]:
                return None
            continue
        same = _same(other[::-1], new[::-1])
        old, start = other[: len(other) - same], new[: len(new) - same]
        if pattern.startswith(old):
            return start + pattern.removeprefix(old)
        break
    raise Unsolved(f"{pattern} was in no sample")


def _same(one: str, two: str) -> int:
    """How many letters two names have in common from the start."""
    pairs = enumerate(zip(one, two, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(two)))


def respell(one: Json, names: Mapping[str, str | None]) -> None:
    """Give a class's tensors and loops other names, and leave out those that have none.

    Raises:
        Unsolved: two loops would be one.
    """
    loops: dict[str, Any] = {}
    kept = []
    for tensor in one["tensors"]:
        name = names[tensor[0]]
        if name is None:
            continue
        old, new = tensor[0].split("*"), name.split("*")
        for depth in range(len(old) - 1):
            key = "*".join(new[: depth + 1])
            value = one["loops"]["*".join(old[: depth + 1])]
            if loops.setdefault(key, value) != value:
                raise Unsolved(f"the loop of {key}")
        kept.append([name, *tensor[1:]])
    one["tensors"], one["loops"] = kept, loops
    one.pop("passes", None)
