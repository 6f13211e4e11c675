"""Patterns of names, as a shell has them: what `*`, `?` and `[set]` match in a name.

`docs/stream.md` defines them, since the bytes of a file depend on what a rule is about. Python's
`fnmatch` reads a few odd ones otherwise: of `[z-a!]` it makes anything, and here it is `!`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

Matcher = Callable[[str], tuple[str, ...] | None]
"""What each `*` of a pattern stands for in a name, or `None` where the whole does not match."""


def matcher(pattern: str) -> Matcher:
    """A pattern, compiled.

    Each `*` but the last stands for as little as it can, from left to right, and none is tried
    again once what follows it is there: a match takes no more steps than the product of both
    lengths.
    """
    segments = [*_segments(pattern)]
    head, tail = _literal(segments[0]), _literal(segments[-1])  # most names differ there
    text, *others = map(_regex, segments)
    if others:
        *middle, last = others
        text += "".join(f"(?>(.*?){segment})" for segment in middle) + f"(.*){last}"
    match = re.compile(text, re.DOTALL).fullmatch

    def captures(name: str) -> tuple[str, ...] | None:
        if not (name.startswith(head) and name.endswith(tail)):
            return None
        stars = match(name)
        return None if stars is None else stars.groups()

    return captures


def _literal(segment: list[str]) -> str:
    """A segment as the text that it is; nothing if it has `?` or a set."""
    plain = all(len(part) == 1 and part != "?" for part in segment)
    return "".join(segment) if plain else ""


def stars(pattern: str) -> int:
    """How many `*` a pattern has, those in sets aside."""
    return len([*_segments(pattern)]) - 1


def _segments(pattern: str) -> Iterator[list[str]]:
    """The parts between stars, each as characters, `?` and sets with their brackets."""
    segment: list[str] = []
    at = 0
    while at < len(pattern):
        part = _set_at(pattern, at) if pattern[at] == "[" else pattern[at]
        at += len(part)
        if part == "*":
            yield segment
            segment = []
        else:
            segment.append(part)
    yield segment


def _set_at(pattern: str, start: int) -> str:
    """The set that begins here; a bracket that is never closed is itself."""
    first = start + 1 + pattern.startswith("!", start + 1)
    stop = pattern.find("]", first + 1)  # straight after the bracket it is a member
    return pattern[start : stop + 1] if stop > 0 else "["


def _regex(segment: list[str]) -> str:
    return "".join("." if part == "?" else _set_regex(part) for part in segment)


def _set_regex(part: str) -> str:
    """One character, or one of a set of characters and ranges by code point."""
    if len(part) == 1:
        return re.escape(part)
    negated = part[1] == "!"
    members = part[1 + negated : -1]
    ranges = ""
    at = 0
    while at < len(members):
        low = high = members[at]
        at += 1
        if members[at : at + 1] == "-" and at + 1 < len(members):
            high = members[at + 1]
            at += 2
        if low <= high:  # a range that runs backwards is empty
            ranges += f"{re.escape(low)}-{re.escape(high)}"
    if not ranges:
        return "." if negated else "(?!)"
    return f"[{'^' * negated}{ranges}]"
