"""What a regular expression may cost on a name, counted before it is tried.

Python's engine goes back over every way in which an expression can match what it has read. Their
number follows from the expression: one repetition has as many as the name has characters, two the
square of that, and a repetition of a repetition more than anybody can wait for.
"""

from __future__ import annotations

import re
import re._parser as parser  # type: ignore[import-not-found]  # the standard library's, not stubbed
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

MOST = 1 << 62
"""What is more is this."""

_UNIT = 4
"""Steps of 5 ns, which is what work on names is counted in."""


class _Cost(NamedTuple):
    """Ways in which a part can match, and steps that trying all of them takes."""

    ways: int
    steps: int


_FIXED = _Cost(1, 1)


@lru_cache(maxsize=4096)
def work(pattern: str, length: int) -> int:
    """Units of work, at most, to match an expression from the start of a name.

    Args:
        pattern: the expression.
        length: of the name, in characters.
    """
    try:
        parsed = parser.parse(pattern)
    except (re.error, OverflowError, RecursionError):
        return 1  # to be refused for that where it is compiled
    try:
        return _sequence(parsed, length).steps // _UNIT + 1
    except RecursionError:
        return MOST


def _sequence(parts: Iterable[tuple[Any, Any]], length: int) -> _Cost:
    ways, steps = 1, 0
    fixed = False
    for operation, argument in parts:
        cost = _part(str(operation), argument, length)
        if cost == _FIXED and fixed:  # what comes behind is seldom reached
            continue
        fixed = cost == _FIXED
        steps = min(steps + ways * cost.steps, MOST)
        ways = min(ways * cost.ways, MOST)
    return _Cost(ways, steps)


def _part(operation: str, argument: Any, length: int) -> _Cost:
    cost = _FIXED
    match operation:
        case "SUBPATTERN":
            cost = _sequence(argument[-1], length)
        case "ATOMIC_GROUP" | "ASSERT" | "ASSERT_NOT":  # none is gone back into
            inner = argument if operation == "ATOMIC_GROUP" else argument[1]
            cost = _Cost(1, _sequence(inner, length).steps)
        case "BRANCH":
            cost = _either(argument[1], length)
        case "GROUPREF_EXISTS":
            cost = _either([branch for branch in argument[1:] if branch is not None], length)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, body = argument
            cost = _repeat(least, most, body, length)
            if operation == "POSSESSIVE_REPEAT":
                cost = _Cost(1, cost.steps)
    return cost


def _either(branches: Iterable[Any], length: int) -> _Cost:
    costs = [_sequence(branch, length) for branch in branches]
    return _Cost(sum(cost.ways for cost in costs), sum(cost.steps for cost in costs))


def _repeat(least: int, most: int, body: Any, length: int) -> _Cost:
    inner = _sequence(body, length)
    times = min(most, length // max(body.getwidth()[0], 1))
    if inner.ways == 1:
        return _Cost(max(times - least, 0) + 1, min((times + 1) * inner.steps, MOST))
    ways = MOST if times * (inner.ways.bit_length() - 1) > 60 else inner.ways ** (times + 1)
    return _Cost(min(ways, MOST), min(ways * inner.steps, MOST))
