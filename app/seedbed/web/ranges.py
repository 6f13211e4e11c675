"""What a conditional or range request selects of a file (RFC 9110 §13 and §14).

Pure functions of header text, size and ETag. Inside, intervals are half-open; only this module
knows HTTP's inclusive ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_RANGE_UNIT = re.compile(r"bytes=(.*)", re.IGNORECASE | re.DOTALL)
_RANGE = re.compile(r"[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*")
_FAR = 10**18  # beyond the end of any file; longer numbers are not worth parsing

_FIELDS = frozenset({b"if-match", b"if-none-match", b"if-range", b"range"})


@dataclass(frozen=True, slots=True)
class Selection:
    """What to answer.

    Attributes:
        status: of the response.
        ranges: half-open byte ranges to send: one for 200, one or more for 206, else none.
    """

    status: Literal[200, 206, 304, 412, 416]
    ranges: tuple[tuple[int, int], ...] = field(default=())


def conditions(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The fields that `select` reads, those sent on several lines joined as one list (§5.3)."""
    fields: dict[str, str] = {}
    for name, value in headers:
        if name in _FIELDS:
            key, text = name.decode(), value.decode("latin-1")
            fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return fields


def select(
    method: str, headers: Mapping[str, str], size: int, etag: str, max_ranges: int
) -> Selection:
    """Evaluate preconditions and Range in the order of RFC 9110 §13.2.2.

    There is no Last-Modified, so conditions on dates are ignored, as §13.1 asks.

    Args:
        method: GET or HEAD.
        headers: by lower-case name, as `conditions` gives them.
        size: of the file in bytes.
        etag: its strong validator, without quotes.
        max_ranges: of more ranges than this the whole file is sent.
    """
    whole = Selection(200, ((0, size),))
    if (wanted := headers.get("if-match")) is not None and not _matches(wanted, etag, strong=True):
        return Selection(412)
    known = headers.get("if-none-match")
    if known is not None and _matches(known, etag, strong=False):
        return Selection(304)
    text = headers.get("range")
    if method != "GET" or text is None:  # §14.2: Range means nothing for other methods
        return whole
    condition = headers.get("if-range")
    if condition is not None and condition.strip(" \t") != f'"{etag}"':
        return whole
    ranges = parse_ranges(text, size, max_ranges)
    if ranges is None:
        return whole
    return Selection(206, ranges) if ranges else Selection(416)


def parse_ranges(text: str, size: int, max_ranges: int) -> tuple[tuple[int, int], ...] | None:
    """Half-open ranges of a Range header, in the order asked for; those past the end left out.

    Returns:
        None if the header is to be ignored: another unit, a syntax error, or, as §14.2 allows
        against abuse, too many ranges or more bytes than the file has.
    """
    unit = _RANGE_UNIT.fullmatch(text.strip(" \t"))
    if unit is None:
        return None
    parts = [part for part in unit[1].split(",", max_ranges + 1) if part.strip(" \t")]
    if not parts or len(parts) > max_ranges:
        return None
    ranges = []
    for part in parts:
        match = _RANGE.fullmatch(part)
        if match is None:
            return None
        first, last, suffix = (_integer(group) for group in match.groups())
        if first is None:
            start, stop = max(size - (suffix or 0), 0), size
        else:
            if last is not None and last < first:
                return None
            start, stop = first, size if last is None else min(last + 1, size)
        if start < stop:
            ranges.append((start, stop))
    if sum(stop - start for start, stop in ranges) > size:
        return None
    return tuple(ranges)


def content_range(start: int, stop: int, size: int) -> str:
    """The Content-Range of a half-open range."""
    return f"bytes {start}-{stop - 1}/{size}"


def entity_tags(text: str, *, strong: bool) -> tuple[str, ...]:
    """The entity tags of a list, without quotes; weak ones are left out where they do not count."""
    return tuple(tag for weak, tag in _ENTITY_TAG.findall(text) if not (strong and weak))


def _integer(digits: str | None) -> int | None:
    if not digits:
        return None
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= len(str(_FAR)) else _FAR


def _matches(text: str, etag: str, *, strong: bool) -> bool:
    """Whether a list of entity tags names this one; `*` names any (§8.8.3.2)."""
    if text.strip(" \t") == "*":
        return True
    return etag in entity_tags(text, strong=strong)
