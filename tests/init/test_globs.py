from __future__ import annotations

import pytest

from seedbed.init.globs import matcher, stars


@pytest.mark.parametrize(
    ("pattern", "name", "captures"),
    [
        ("*", "a\nb", ("a\nb",)),
        ("", "", ()),
        ("a*b*c", "aXbYbc", ("X", "Yb")),
        ("*.*", "a.b.c", ("a", "b.c")),
        ("**", "ab", ("", "ab")),
        ("student.*.w", "student.0.w", ("0",)),
        ("student.*.w", "student.0.wx", None),
        ("a?c", "abc", ()),
        ("A", "a", None),
        ("[z-a!]", "!", ()),  # fnmatch makes [!] of it, which is anything
        ("[z-a!]", "x", None),
        ("[z-a]", "z", None),
        ("[!z-a]", "x", ()),
        ("[]]", "]", ()),
        ("[!]]", "]", None),
        ("[!]", "[!]", ()),
        ("[a", "[a", ()),
        ("[]", "[]", ()),
        ("[a-]", "-", ()),
        ("[--a]", "3", ()),
        ("[^a]", "^", ()),
        ("[\\]", "\\", ()),
        ("[a||b]x", "|x", ()),
        ("[*]", "*", ()),
        ("[*]", "a", None),
        ("a.b", "aXb", None),
        ("[α-ω]*", "ö", None),
        ("[α-ω]*", "βx", ("x",)),
    ],
)
def test_patterns_by_hand(pattern: str, name: str, captures: tuple[str, ...] | None) -> None:
    """Each pattern means what docs/stream.md says, and each * takes as little as it can."""
    assert matcher(pattern)(name) == captures
    assert captures is None or stars(pattern) == len(captures)
