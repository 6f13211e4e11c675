from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import LimitError, Path, SpecError
from seedbed.files.survey import survey
from seedbed.init import Limits
from tests.strategies import untimed

LONG = b" " * 2**15
"""Before a text, so that it is one of the long ones."""


class Members(list[tuple[str, Any]]):
    """An object as JSON has it: members in order, keys given twice included."""


def first_repeated(value: object, path: Path = ()) -> Path | None:
    """The place of the first key that closes a repetition, in the order of the text."""
    if isinstance(value, Members):
        seen = set()
        for key, member in value:
            if key in seen:
                return (*path, key)
            seen.add(key)
            if (found := first_repeated(member, (*path, key))) is not None:
                return found
    elif isinstance(value, list):
        for i, element in enumerate(value):
            if (found := first_repeated(element, (*path, i))) is not None:
                return found
    return None


def spelled(value: object) -> str:
    """JSON of what may have keys twice."""
    if isinstance(value, Members):
        return "{" + " , ".join(f"{json.dumps(k)} : {spelled(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(spelled, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


KEYS = st.sampled_from(["", "a", "b", '"', "\\", "{", "é", "𝛼", "\n", "a:"])
TREES = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(st.tuples(KEYS, inner), max_size=5).map(Members)
        | st.lists(st.tuples(KEYS, inner), max_size=5, unique_by=lambda pair: pair[0]).map(Members)
    ),
    max_leaves=25,
)


@untimed
@given(TREES)
def test_keys_given_twice(tree: object) -> None:
    """A text is refused exactly if some object has a key twice, with the place of the first."""
    expected = first_repeated(tree)
    for text in (spelled(tree).encode(), LONG + spelled(tree).encode()):
        if expected is None:
            survey(text, Limits(), 2**17, 100)
        else:
            with pytest.raises(SpecError) as error:
                survey(text, Limits(), 2**17, 100)
            assert error.value.path == expected


@pytest.mark.parametrize("again", ["seed", r"see\u0064", r"\u0073\u0065\u0065\u0064"])
def test_spellings_of_a_key(again: str) -> None:
    """A key with escapes is the key that it spells."""
    for text in (b'{"seed":1,"%s":2}' % again.encode(), b'{"%s":2,"seed":1}' % again.encode()):
        for padding in (b"", LONG):
            with pytest.raises(SpecError, match="'seed' is given twice"):
                survey(padding + text, Limits(), 2**17, 100)


@untimed
@given(st.binary() | st.text(alphabet='{}[]":,\\u0a ', max_size=50).map(str.encode))
def test_what_is_no_json(text: bytes) -> None:
    """Whatever bytes there are pass, or are refused for a reason that the parser would not see."""
    for padded in (text, LONG + text):
        assert verdict(padded) in ("passes", "given twice")


def verdict(text: bytes) -> str:
    """What is said of a text, in short."""
    try:
        survey(text, Limits(), 2**21, 2**16)
    except SpecError as error:
        return error.message.partition(" is ")[2].removesuffix(" in one object")
    return "passes"


@pytest.mark.parametrize("unit", [b'"', b'\\"', b'"\\', b"{", b"[", b"}", b'{"', b'"a":', b'"" '])
def test_hostile_text(unit: bytes) -> None:
    """What repeats endlessly takes linear time: a megabyte of it passes, or ends at once."""
    text = unit * (2**20 // len(unit))
    assert verdict(text) in ("passes", "given twice")


TENSOR = b'{"name":"w","shape":[1]}'


@pytest.mark.parametrize(
    ("text", "limit", "actual", "maximum"),
    [
        (b'{"tensors":[%s]}' % b",".join([TENSOR] * 4), "max_tensors", 4, 3),
        (b'{"layers":[%s]}' % b",".join([b'{"type":"x"}'] * 5), "max_tensors", 5, 3),
        (b'{"rules":[%s]}' % b",".join([b'{"match":"*"}'] * 3), "max_rules", 3, 2),
        (b'{"a":{%s}}' % b",".join(b'"%d":0' % i for i in range(11)), "max_json_members", 11, 10),
        (b"{%s}" % b",".join(b'"%d":[]' % i for i in range(11)), "max_json_members", 11, 10),
        (
            b'{"model":{"manifest":{%s}}}' % b",".join(b'"%d":[]' % i for i in range(11)),
            "max_tensors", 11, 3,
        ),
    ],
)  # fmt: skip
def test_too_much(text: bytes, limit: str, actual: int, maximum: int) -> None:
    """What there is too much of is refused by the name of its limit, with both numbers."""
    with pytest.raises(LimitError) as error:
        survey(LONG + text, Limits(max_tensors=3, max_rules=2), 2**17, 10)
    assert (error.value.limit, error.value.maximum) == (limit, maximum)
    assert error.value.actual == actual


def test_too_many_values() -> None:
    """Numbers, strings, objects and arrays are counted together."""
    text = b'{"tensors":[' + b"[0]," * 9000 + b"[]]}"
    survey(text, Limits(), 18_003, 10)
    with pytest.raises(LimitError, match="max_json_values") as error:
        survey(text, Limits(), 18_002, 10)
    assert (error.value.actual, error.value.maximum) == (18_003, 18_002)
