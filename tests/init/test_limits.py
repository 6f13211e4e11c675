from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import LimitError
from seedbed.init import Limits
from tests.strategies import untimed

names = st.sampled_from([field.name for field in fields(Limits)])


@untimed
@given(names, st.integers(0, 2**64), st.integers(0, 2**64))
def test_a_limit_is_the_largest_that_is_allowed(name: str, maximum: int, actual: int) -> None:
    """Up to the maximum nothing happens; above it the error has every fact, also in its words."""
    limits = Limits(**{name: maximum})
    if actual <= maximum:
        assert limits.require(name, actual, "things") is None
        return
    with pytest.raises(LimitError) as caught:
        limits.require(name, actual, "things")
    error = caught.value
    assert (error.limit, error.actual, error.maximum, error.unit) == (
        name,
        actual,
        maximum,
        "things",
    )
    assert all(text in str(error) for text in (name, f"{actual:,}", f"{maximum:,}", "things"))


def test_a_limit_that_does_not_exist_is_a_defect() -> None:
    """Code that asks about an unknown limit does not get a silent yes."""
    with pytest.raises(AttributeError):
        Limits().require("max_typo", 0, "things")


def test_the_header_limit_is_the_format_s() -> None:
    """A header that passes is one that safetensors' own reader takes: 100 MB (its source)."""
    assert Limits().max_header_bytes == 100_000_000
