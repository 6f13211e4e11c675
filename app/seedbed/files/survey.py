"""What the text of a spec says before it is parsed: keys given twice, and too much of anything.

RFC 8259 §4 leaves open what a key that is given twice means, and parsers differ: one would make
another file of a spec than the next. Pydantic keeps the last, so it has to be seen in the text.
"""

from __future__ import annotations

import json
import re
from typing import Any

from seedbed.errors import LimitError, Path, SpecError
from seedbed.init import Limits

_SHORT_BYTES = 1 << 14
"""Texts up to this size cannot be too much of anything, and the parser of Python is the fastest."""

_DEPTH = 256
"""Pydantic parses nothing that is deeper than some 200 objects and arrays."""

_STRING = rb'"((?>[^"\\]*(?:\\.[^"\\]*)*))"'
_TOKEN = re.compile(_STRING + rb'(?>[ \t\n\r]*)(:)?|([{\[])|([}\]])|(")', re.DOTALL)
_TOKEN_OR_COMMA = re.compile(_TOKEN.pattern + rb"|(,)", re.DOTALL)
_KEY, _OPEN, _CLOSE, _LONE_QUOTE, _COMMA = range(2, 7)
"""Groups of these patterns; nothing in them is tried twice, so they take linear time."""

_COUNTED = {
    (b"tensors",): ("max_tensors", "tensors"),
    (b"layers",): ("max_tensors", "layers"),
    (b"rules",): ("max_rules", "rules"),
}
"""Arrays whose objects the parser would make one by one before anybody could count them."""

_MANIFEST = (b"model", b"manifest")
"""The one object that may have as many members as there are tensors."""


def survey(text: bytes, limits: Limits, max_values: int, max_members: int) -> None:
    """Refuse JSON that is ambiguous, or would take much memory to parse only to be refused.

    It is linear in the text, and takes a third of the time that parsing does. What is no JSON at
    all passes: the parser says best what is wrong with it.

    Args:
        text: JSON as it was sent.
        limits: of tensors and rules.
        max_values: numbers, strings, objects and arrays.
        max_members: of any one object.

    Raises:
        SpecError: a key is given twice, and where.
        LimitError: there are too many values, members, tensors or rules.
    """
    if len(text) <= _SHORT_BYTES:
        if not _repeats(text):
            return
    elif len(text) > max_values:  # each takes a byte or more, and most have one of these with them
        values = text.count(b",") + text.count(b"[") + text.count(b"{")
        _require("max_json_values", values, max_values, "JSON values")
    if _is_doubtful(text, limits, max_members):
        _Scan(limits, max_members).run(text)


def _repeats(text: bytes) -> bool:
    """Whether some object of a short text has a key twice."""
    repeated = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeated
        repeated = repeated or len({key for key, _ in pairs}) < len(pairs)

    try:
        # How numbers are read does not matter, and `len` has no limit on their digits.
        json.loads(text, object_pairs_hook=look, parse_int=len, parse_float=len)
    except (ValueError, RecursionError):
        return False
    return repeated


def _is_doubtful(text: bytes, limits: Limits, max_members: int) -> bool:
    """Whether a text may have to be refused, by the fastest parser: it keeps no object."""
    doubtful = False
    counted = {b"".join(place).decode(): getattr(limits, limit)
               for place, (limit, _) in _COUNTED.items()}  # fmt: skip

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal doubtful
        doubtful = (
            doubtful
            or len({key for key, _ in pairs}) < len(pairs)
            or len(pairs) > max_members
            or any(
                len(value) > counted.get(key, len(value))
                for key, value in pairs
                if type(value) is list
            )
        )

    try:
        json.loads(text, object_pairs_hook=look, parse_int=len, parse_float=len)
    except (ValueError, RecursionError):
        return True
    return doubtful


class _Scan:
    """One pass over the brackets and keys of a text."""

    def __init__(self, limits: Limits, max_members: int) -> None:
        self._limits = limits
        self._max_members = max_members

    def run(self, text: bytes) -> None:  # noqa: C901  # a call for each token would double the time
        """See `survey`."""
        stack: list[tuple[set[bytes] | None, bytes | None, int]] = []
        keys: set[bytes] | None = None  # of the object that is open, None in an array
        key: bytes | None = None  # the last one, whose value comes next
        objects = 0  # in the array that is open
        for token in _TOKEN.finditer(text):
            kind = token.lastindex
            if kind == _KEY:
                if keys is None:
                    continue  # no JSON
                key = _plain(token[1])
                if key in keys:
                    raise SpecError(
                        f"the key {_shown(key)!r} is given twice in one object",
                        (*_place(text, token.start()), _shown(key)),
                    )
                keys.add(key)
                if len(keys) > self._max_members:
                    self._allow(len(keys), [k for _, k, _ in stack])
            elif kind == _OPEN:
                if len(stack) > _DEPTH:
                    return
                if token[3] == b"{":
                    objects += 1
                stack.append((keys, key, objects))
                keys, key, objects = (set() if token[3] == b"{" else None), None, 0
            elif kind == _CLOSE:
                if not stack:
                    return
                if objects and len(stack) == 2:
                    self._count(stack, objects)
                keys, key, objects = stack.pop()
            elif kind == _LONE_QUOTE:
                return

    def _allow(self, members: int, path: list[bytes | None]) -> None:
        """Refuse an object with so many members, unless it is one that may have them."""
        if tuple(path[1:]) == _MANIFEST:
            _require("max_tensors", members, self._limits.max_tensors, "tensors")
        else:
            _require("max_json_members", members, self._max_members, "members of one JSON object")

    def _count(
        self, stack: list[tuple[set[bytes] | None, bytes | None, int]], objects: int
    ) -> None:
        """Hold the objects of an array of the spec to their limit."""
        place = tuple(key for _, key, _ in stack[1:])
        if place in _COUNTED:
            limit, unit = _COUNTED[place]
            self._limits.require(limit, objects, unit)


def _place(text: bytes, end: int) -> Path:
    """The path of the object that is open where a text is cut off, indices included."""
    path: list[str | int] = []
    at: str | int = 0
    for token in _TOKEN_OR_COMMA.finditer(text, 0, end):
        kind = token.lastindex
        if kind == _KEY:
            at = _shown(_plain(token[1]))
        elif kind == _OPEN:
            path.append(at)
            at = 0
        elif kind == _CLOSE:
            at = path.pop()
        elif kind == _COMMA and isinstance(at, int):
            at += 1
    return tuple(path[1:])


def _plain(key: bytes) -> bytes:
    """A key without escapes, so that all spellings of it are equal."""
    if b"\\" not in key:
        return key
    try:
        text: str = json.loads(b'"' + key + b'"')
    except ValueError:
        return key  # no JSON
    return text.encode("utf-8", "surrogatepass")


def _shown(key: bytes) -> str:
    """A key as text, if it is not absurdly long."""
    return key.decode("utf-8", "replace")[:100]


def _require(limit: str, actual: int, maximum: int, unit: str) -> None:
    if actual > maximum:
        raise LimitError(limit, actual, maximum, unit)
