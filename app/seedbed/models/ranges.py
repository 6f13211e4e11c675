"""Ranges in names: one entry for `layers.{0..60}.experts.{0..255}.up_proj.weight`.

A list of entries has an order, which shards follow. Consecutive entries that share the text up to
and including their first range are one loop, so that what a library saves layer by layer stays so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Generic, TypeVar

T = TypeVar("T")

RANGE = re.compile(r"\{(0|[1-9][0-9]{0,8})\.\.(0|[1-9][0-9]{0,8})\}")
"""An inclusive range of integers; no other form is one."""

_NUMBER = re.compile(r"(?<![0-9])(0|[1-9][0-9]{0,8})(?![0-9])")


@dataclass(frozen=True, slots=True)
class Ranged(Generic[T]):
    """An entry of a list, whose names may have ranges.

    Attributes:
        name: of its tensors.
        same_as: name of what they are equal to; its ranges are the first of the name's.
        rest: what else is said of them.
    """

    name: str
    same_as: str | None
    rest: T

    def with_first(self, text: str) -> Ranged[T]:
        """The entry with a number in place of the first range."""
        other = self.same_as
        return replace(
            self,
            name=RANGE.sub(text, self.name, count=1),
            same_as=None if other is None else RANGE.sub(text, other, count=1),
        )


def count_of(name: str) -> int:
    """How many names a name with ranges stands for; 0 if a range is empty."""
    return math.prod(max(int(b) - int(a) + 1, 0) for a, b in RANGE.findall(name))


def covers(ranged: str, name: str) -> bool:
    """Whether a name is one of those that a name with ranges stands for."""
    texts = RANGE.split(ranged)[::3]
    match = re.fullmatch("(0|[1-9][0-9]*)".join(map(re.escape, texts)), name)
    if match is None:
        return False
    ranges = RANGE.findall(ranged)
    return all(int(a) <= int(n) <= int(b) for n, (a, b) in zip(match.groups(), ranges, strict=True))


def expanded(entries: Sequence[Ranged[T]]) -> Iterator[Ranged[T]]:
    """The entries without ranges, in the order that the ranged ones stand for."""
    for head, group in groupby(entries, lambda entry: _head(entry.name)):
        if head is None:
            yield from group
            continue
        loop = list(group)
        first, last = RANGE.findall(head)[0]
        for number in range(int(first), int(last) + 1):
            yield from expanded([entry.with_first(str(number)) for entry in loop])


def _head(name: str) -> str | None:
    """The text up to and including the first range."""
    match = RANGE.search(name)
    return None if match is None else name[: match.end()]


def compressed(entries: Sequence[Ranged[T]]) -> list[Ranged[T]]:
    """Few entries with ranges that `expanded` makes these of, in this order.

    Args:
        entries: without ranges; those that look like some are given back as they are.
    """
    items = _loops([_Item(entry.name, entry.same_as, entry.rest) for entry in entries])
    packed = [Ranged(item.name, item.same_as, item.rest) for item in items]
    return packed if list(expanded(packed)) == list(entries) else list(entries)


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    """What is left of an entry's names behind the numbers that are dealt with.

    Attributes:
        name: what is left.
        same_as: what is left, if it has been equal so far; else all of it.
        rest: of the entry.
        follows: whether `same_as` begins where the name does.
    """

    name: str
    same_as: str | None
    rest: T
    follows: bool = True

    def behind(self, head: str) -> _Item[T]:
        """The item without the beginning of its name."""
        follows = self.follows and self.same_as is not None and self.same_as.startswith(head)
        other = self.same_as[len(head) :] if follows and self.same_as else self.same_as
        return _Item(self.name[len(head) :], other, self.rest, follows)

    def after(self, head: str) -> _Item[T]:
        """The item with a beginning before it."""
        other = head + self.same_as if self.follows and self.same_as is not None else self.same_as
        return _Item(head + self.name, other, self.rest, self.follows)


def _loops(items: Sequence[_Item[T]]) -> list[_Item[T]]:
    """Items with ranges, first those of the number that comes first in a name."""
    loops: list[_Item[T]] = []
    last_loop: str | None = None
    blocks = [(key, list(group)) for key, group in groupby(items, _first_number)]
    at = 0
    while at < len(blocks):
        key, block = blocks[at]
        at += 1
        if key is None:
            loops += block
            last_loop = None
            continue
        text, first = key
        bodies = [_body(block, f"{text}{first}")]
        stop = first + 1
        while at < len(blocks) and blocks[at][0] == (text, stop):
            following = _body(blocks[at][1], f"{text}{stop}")
            if following != bodies[0]:
                break
            stop, at = stop + 1, at + 1
        head = f"{text}{{{first}..{stop - 1}}}"
        if stop == first + 1 or head == last_loop:  # two loops side by side would be one
            heads = [f"{text}{number}" for number in range(first, stop)]
            last_loop = None
        else:
            heads, last_loop = [head], head
        for beginning in heads:
            loops += [item.after(beginning) for item in bodies[0]]
    return loops


def _body(block: Sequence[_Item[T]], head: str) -> list[_Item[T]]:
    return _loops([item.behind(head) for item in block])


def _first_number(item: _Item[T]) -> tuple[str, int] | None:
    """The text before the first number, and the number."""
    match = _NUMBER.search(item.name)
    return None if match is None else (item.name[: match.start()], int(match[1]))
