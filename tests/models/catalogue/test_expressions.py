"""The expression language, against Python's own arithmetic."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import ParameterError
from seedbed.models.catalogue.expressions import Missing, compile_expression, evaluate

SIZES = st.integers(min_value=1, max_value=10_000)
SCOPE = st.fixed_dictionaries(dict.fromkeys("abc", SIZES))
LEAVES = st.sampled_from("abc") | st.integers(min_value=0, max_value=512).map(str)


def joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Two parts with an operator between them, or in a call."""
    operators = st.sampled_from(("+", "-", "*", "//", "%"))
    calls = st.sampled_from(("min", "max"))
    return st.one_of(
        st.tuples(parts, operators, parts).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(calls, parts, parts).map(lambda p: f"{p[0]}({p[1]}, {p[2]})"),
        st.tuples(parts, parts, parts).map(lambda p: f"({p[0]} if {p[1]} < {p[2]} else {p[1]})"),
    )


EXPRESSIONS = st.recursive(LEAVES, joined, max_leaves=4)


@given(EXPRESSIONS, SCOPE)
def test_arithmetic_is_pythons(text: str, scope: dict[str, int]) -> None:
    """An expression of whole numbers has the value that Python gives it, if it gives any."""
    try:
        want = eval(text, {"__builtins__": {}, "min": min, "max": max}, scope)
    except ZeroDivisionError:
        with pytest.raises(ParameterError, match="is 0"):
            evaluate(text, scope)
        return
    assert evaluate(text, scope) == want


@given(SIZES, SIZES)
def test_rounding_up_and_exact_quotients(value: int, multiple: int) -> None:
    """`ceil` is the least multiple that is not less; `div` refuses a remainder."""
    up = evaluate("ceil(v, m)", {"v": value, "m": multiple})
    assert up % multiple == 0
    assert value <= up < value + multiple
    if value % multiple:
        with pytest.raises(ParameterError, match="not a multiple") as refused:
            evaluate("div(v, m)", {"v": value, "m": multiple})
        assert refused.value.path == ("v",)
    else:
        assert evaluate("div(v, m)", {"v": value, "m": multiple}) * multiple == value


def test_logarithms_are_those_of_the_stream() -> None:
    """Of positive numbers, within a rounding of Python's; others have none."""
    assert evaluate("-log(n - 1)", {"n": 8}) == pytest.approx(-math.log(7), rel=1e-15)
    assert evaluate("exp(log(n) / 2)", {"n": 81}) == pytest.approx(9.0, rel=1e-15)
    for text, value in (("log(v)", 0), ("log(v)", -1.5), ("exp(v)", 701), ("exp(v)", math.nan)):
        with pytest.raises(ParameterError) as refused:
            evaluate(text, {"v": value})
        assert refused.value.path == ("v",)


@pytest.mark.parametrize(
    ("value", "divisor", "rounded"),
    # reckoned by the rule that MobileNets, MobileViTs and EfficientNets share
    [(16, 8, 16), (18, 8, 24), (20, 8, 24), (12.0, 8, 16), (3, 8, 8), (44.8, 8, 48), (9.5, 4, 12)],
)
def test_multiples_that_are_no_tenth_less(value: float, divisor: int, rounded: int) -> None:
    """`divisible` goes to the nearest multiple, and up if that would lose more than a tenth."""
    assert evaluate("divisible(v, m)", {"v": value, "m": divisor}) == rounded


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("kinds[i] == 'full' and i < len(kinds) - 1", True),
        ("i in [0, 2]", False),
        ("nested.deep.width // 3", 4),
        ("widths[-1 - i] + sum(widths)", 40),
        ("none is None", True),
        ("4 * n if none is None else none", 28),
        ("not flag or n != 7", False),
        ("scale / sqrt(2 * 8)", 0.125),
        ("int(n * scale)", 3),
        ("2**i", 2),
        ("-n", -7),
    ],
)
def test_each_operation(text: str, value: Any) -> None:
    """Fields, nested fields, list items, membership, cases and roots mean what Python means."""
    scope = {
        "kinds": ["sliding", "full", "full"], "i": 1, "nested": {"deep": {"width": 12}},
        "widths": [5, 10, 15], "none": None, "n": 7, "flag": True, "scale": 0.5,
    }  # fmt: skip
    assert evaluate(text, scope) == value


@pytest.mark.parametrize(
    "text",
    [
     "__import__('os')", "a.b()", "lambda: 0", "[x for x in a]", "f'{a}'", "a := 1", "a; b",
     "open(a)", "a if b", "min(*a)", "a < b < c", "a[0:2]", "{}"],
)  # fmt: skip
def test_nothing_else_is_an_expression(text: str) -> None:
    """Python that is not of this language is refused when it is compiled."""
    with pytest.raises(ValueError, match="no such expression"):
        compile_expression(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a.b * 2", ("a", "b")),
        ("widths[7]", ("widths",)),
        ("word + 1", ("word",)),
        ("word < 1", ("word",)),
        ("len(n)", ("n",)),
        ("n[0]", ("n",)),
    ],
)
def test_a_field_that_is_missing_or_of_another_kind_is_named(
    text: str, path: tuple[str, ...]
) -> None:
    """What an expression cannot work with is an error with the field's place, never a number."""
    with pytest.raises(Missing) as missing:
        evaluate(text, {"a": {}, "widths": [1, 2], "word": "wide", "n": 3})
    assert missing.value.path == path


@pytest.mark.parametrize("text", ["n * n * n", "n ** 9", "n ** -1", "2 ** n"])
def test_work_is_bounded(text: str) -> None:
    """No number grows past what a dimension can be, and no power past the eighth."""
    with pytest.raises(ParameterError):
        evaluate(text, {"n": 10**9})
