from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seedbed.web.ranges import conditions, content_range, parse_ranges, select
from tests.strategies import untimed

SIZE = 1000
ETAG = "0123456789abcdef"
OURS = f'"{ETAG}"'
WHOLE = ((0, SIZE),)

HEADERS: dict[str, tuple[str, tuple[tuple[int, int], ...] | None]] = {
    "first-last": ("bytes=0-499", ((0, 500),)),
    "one byte": ("bytes=0-0", ((0, 1),)),
    "last byte by position": ("bytes=999-999", ((999, 1000),)),
    "open": ("bytes=500-", ((500, 1000),)),
    "open from the start": ("bytes=0-", WHOLE),
    "suffix": ("bytes=-500", ((500, 1000),)),
    "last byte by suffix": ("bytes=-1", ((999, 1000),)),
    "suffix as long as the file": ("bytes=-1000", WHOLE),
    "suffix longer than the file": ("bytes=-1001", WHOLE),
    "suffix of nothing": ("bytes=-0", ()),
    "last past the end": ("bytes=990-5000", ((990, 1000),)),
    "first past the end": ("bytes=1000-", ()),
    "all past the end": ("bytes=1000-1000,2000-", ()),
    "past 64 bits": (f"bytes={2**64}-{2**65}", ()),
    "first within, last past 64 bits": (f"bytes=1-{10**30}", ((1, 1000),)),
    "suffix past 64 bits": (f"bytes=-{10**30}", WHOLE),
    "thousands of digits": (f"bytes=-{'9' * 5000}", WHOLE),
    "leading zeros": (f"bytes={'0' * 30}5-{'0' * 30}9", ((5, 10),)),
    "several": ("bytes=0-0,-1", ((0, 1), (999, 1000))),
    "in the order asked for": ("bytes=500-599,0-99", ((500, 600), (0, 100))),
    "overlapping": ("bytes=0-99,50-149", ((0, 100), (50, 150))),
    "some past the end": ("bytes=5000-,0-9", ((0, 10),)),
    "space around commas": ("bytes=0-0 ,\t5-5 , 9-9", ((0, 1), (5, 6), (9, 10))),
    "empty elements": ("bytes=,0-0,,5-5,", ((0, 1), (5, 6))),
    "unit in capitals": ("BYTES=0-0", ((0, 1),)),
    "as many as allowed": ("bytes=0-0,2-2,4-4,6-6", ((0, 1), (2, 3), (4, 5), (6, 7))),
    "too many": ("bytes=0-0,2-2,4-4,6-6,8-8", None),
    "more bytes than the file has": ("bytes=0-,0-0", None),
    "twice the whole": ("bytes=0-999,0-999", None),
    "other unit": ("items=0-5", None),
    "unit alone": ("bytes", None),
    "no ranges": ("bytes=", None),
    "only commas": ("bytes=,,", None),
    "dash alone": ("bytes=-", None),
    "last before first": ("bytes=5-4", None),
    "one of several wrong": ("bytes=0-0,5-4", None),
    "a sign": ("bytes=+1-5", None),
    "two dashes": ("bytes=1--5", None),
    "hexadecimal": ("bytes=0x1-0x5", None),
    "not ASCII": ("bytes=١-٥", None),
    "a fraction": ("bytes=0.0-5", None),
    "space within": ("bytes=0 - 5", None),
    "space before the sign": ("bytes =0-5", None),
    "two units": ("bytes=bytes=0-5", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("text", "ranges"), HEADERS.values(), ids=HEADERS)
def test_forms(text: str, ranges: tuple[tuple[int, int], ...] | None) -> None:
    """Each form of RFC 9110 §14 gives its half-open ranges; what must be ignored gives None."""
    assert parse_ranges(text, SIZE, 4) == ranges


_numbers = st.integers(0, 60)
_specs = st.one_of(
    st.tuples(_numbers, _numbers).filter(lambda pair: pair[0] <= pair[1]),
    st.tuples(_numbers, st.none()),
    st.tuples(st.none(), _numbers),
)


def positions(spec: tuple[int | None, int | None], size: int) -> list[int]:
    """The bytes that one range names, counted out as §14.1.2 says."""
    first, last = spec
    if first is None:
        assert last is not None
        return list(range(size))[-last:] if last else []
    return [i for i in range(size) if i >= first and (last is None or i <= last)]


@untimed
@given(size=st.integers(1, 50), specs=st.lists(_specs, min_size=1, max_size=6))
@example(size=1, specs=[(0, None), (0, 0)])
def test_ranges_name_the_bytes_of_the_rfc(
    size: int, specs: list[tuple[int | None, int | None]]
) -> None:
    """Any list of ranges names the bytes that counting them out names, unless it is too long."""
    text = ",".join(f"{'' if a is None else a}-{'' if b is None else b}" for a, b in specs)
    wanted = [named for spec in specs if (named := positions(spec, size))]
    ranges = parse_ranges(f"bytes={text}", size, 6)
    if sum(map(len, wanted)) > size:
        assert ranges is None
    else:
        assert ranges is not None
        assert [list(range(*ends)) for ends in ranges] == wanted


@untimed
@given(
    text=st.one_of(
        st.text(st.characters(max_codepoint=255), max_size=40),
        st.text("bytes=0123456789-, \t", max_size=40).map("bytes={}".format),
    ),
    size=st.integers(1, 2**44),
    most=st.integers(1, 5),
)
def test_ranges_are_always_within_the_file(text: str, size: int, most: int) -> None:
    """Whatever the header says, no range is empty, none leaves the file, and there are few."""
    ranges = parse_ranges(text, size, most)
    for start, stop in ranges or ():
        assert 0 <= start < stop <= size
    assert len(ranges or ()) <= most
    assert sum(stop - start for start, stop in ranges or ()) <= size


@untimed
@given(start=st.integers(0, 2**44), length=st.integers(1, 2**44), rest=st.integers(0, 2**44))
def test_content_range_reads_back(start: int, length: int, rest: int) -> None:
    """Content-Range has the first and the last position, inclusive, and the size."""
    stop = start + length
    size = stop + rest
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range(start, stop, size))
    assert match
    assert tuple(map(int, match.groups())) == (start, stop - 1, size)


CONDITIONS: dict[str, tuple[dict[str, str], int, tuple[tuple[int, int], ...]]] = {
    "nothing": ({}, 200, WHOLE),
    "If-None-Match ours": ({"if-none-match": OURS}, 304, ()),
    "If-None-Match ours, weakly": ({"if-none-match": f"W/{OURS}"}, 304, ()),
    "If-None-Match another": ({"if-none-match": '"other"'}, 200, WHOLE),
    "If-None-Match a list with ours": ({"if-none-match": f'"a", W/"b",{OURS}'}, 304, ()),
    "If-None-Match a list without": ({"if-none-match": '"a", "b"'}, 200, WHOLE),
    "If-None-Match a tag with a comma": ({"if-none-match": f'"a,b", {OURS}'}, 304, ()),
    "If-None-Match anything": ({"if-none-match": "*"}, 304, ()),
    "If-None-Match a star in quotes": ({"if-none-match": '"*"'}, 200, WHOLE),
    "If-None-Match without quotes": ({"if-none-match": ETAG}, 200, WHOLE),
    "If-None-Match in capitals": ({"if-none-match": OURS.upper()}, 200, WHOLE),
    "If-None-Match nothing": ({"if-none-match": ""}, 200, WHOLE),
    "If-Match ours": ({"if-match": OURS}, 200, WHOLE),
    "If-Match ours, weakly": ({"if-match": f"W/{OURS}"}, 412, ()),
    "If-Match another": ({"if-match": '"other"'}, 412, ()),
    "If-Match a list with ours": ({"if-match": f'"a", {OURS}'}, 200, WHOLE),
    "If-Match anything": ({"if-match": "*"}, 200, WHOLE),
    "If-Match nothing": ({"if-match": ""}, 412, ()),
    "both match": ({"if-match": OURS, "if-none-match": OURS}, 304, ()),
    "If-Match is looked at first": ({"if-match": '"a"', "if-none-match": OURS}, 412, ()),
    "a range": ({"range": "bytes=1-2"}, 206, ((1, 3),)),
    "a range past the end": ({"range": "bytes=1000-"}, 416, ()),
    "a range to be ignored": ({"range": "bytes=2-1"}, 200, WHOLE),
    "If-Range ours": ({"range": "bytes=1-2", "if-range": OURS}, 206, ((1, 3),)),
    "If-Range ours, weakly": ({"range": "bytes=1-2", "if-range": f"W/{OURS}"}, 200, WHOLE),
    "If-Range another": ({"range": "bytes=1-2", "if-range": '"other"'}, 200, WHOLE),
    "If-Range a date": (
        {"range": "bytes=1-2", "if-range": "Tue, 15 Nov 1994 08:12:31 GMT"}, 200, WHOLE,
    ),
    "If-Range alone": ({"if-range": OURS}, 200, WHOLE),
    "If-Range another, past the end": ({"range": "bytes=1000-", "if-range": '"a"'}, 200, WHOLE),
    "If-Range ours, past the end": ({"range": "bytes=1000-", "if-range": OURS}, 416, ()),
    "If-None-Match before the range": ({"range": "bytes=1-2", "if-none-match": OURS}, 304, ()),
    "If-Match before the range": ({"range": "bytes=1000-", "if-match": '"a"'}, 412, ()),
    "If-Match ours, then the range": ({"range": "bytes=1-2", "if-match": OURS}, 206, ((1, 3),)),
    "dates, where there is none": (
        {
            "if-modified-since": "Tue, 15 Nov 2094 08:12:31 GMT",
            "if-unmodified-since": "Tue, 15 Nov 1994 08:12:31 GMT",
        },
        200, WHOLE,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("headers", "status", "ranges"), CONDITIONS.values(), ids=CONDITIONS)
def test_conditions(
    headers: dict[str, str], status: int, ranges: tuple[tuple[int, int], ...]
) -> None:
    """Conditions are evaluated as RFC 9110 §13 says, in the order of §13.2.2."""
    selection = select("GET", headers, SIZE, ETAG, 4)
    assert (selection.status, selection.ranges) == (status, ranges)


@pytest.mark.parametrize(("headers", "status", "ranges"), CONDITIONS.values(), ids=CONDITIONS)
def test_head_has_conditions_but_no_ranges(
    headers: dict[str, str], status: int, ranges: tuple[tuple[int, int], ...]
) -> None:
    """For HEAD conditions hold as for GET, while Range and If-Range mean nothing (§14.2)."""
    del ranges
    selection = select("HEAD", headers, SIZE, ETAG, 4)
    assert selection.status == (200 if status in (206, 416) else status)


def test_lines_of_one_field_are_a_list() -> None:
    """A field that is sent on several lines is one list, and other fields are left alone."""
    lines = [
        (b"host", b"here"),
        (b"if-none-match", b'"a"'),
        (b"range", b"bytes=0-0"),
        (b"if-none-match", OURS.encode()),
        (b"range", b"bytes=5-5"),
    ]
    found = conditions(lines)
    assert found == {"if-none-match": f'"a", {OURS}', "range": "bytes=0-0, bytes=5-5"}
    assert select("GET", found, SIZE, ETAG, 4).status == 304
    del found["if-none-match"]
    assert select("GET", found, SIZE, ETAG, 4).ranges == WHOLE
