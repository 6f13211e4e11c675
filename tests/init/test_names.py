from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from seedbed.errors import ShapeError
from seedbed.init.names import count_elements, sound_text
from tests.strategies import plain_text, untimed


@untimed
@given(plain_text)
def test_sound_text_is_unchanged(text: str) -> None:
    """Text without either is handed on as it is."""
    assert sound_text(text) == text


@pytest.mark.parametrize("wrong", ["a\ud800", "a\x00", "a\x7f", "a\x9f"])
def test_unsound_text_is_told_where(wrong: str) -> None:
    """Control characters and halves of surrogate pairs are refused with their position."""
    with pytest.raises(PydanticCustomError, match="position 1"):
        sound_text(wrong)


@untimed
@given(st.lists(st.integers(0, 2**63 - 1), max_size=6))
def test_elements_are_counted_within_63_bits(shape: list[int]) -> None:
    """The count is the product, refused where the dimensions above 0 alone would overflow it."""
    if math.prod(max(dimension, 1) for dimension in shape) < 2**63:
        assert count_elements(tuple(shape)) == math.prod(shape)
        return
    with pytest.raises(ShapeError) as caught:
        count_elements(tuple(shape))
    assert caught.value.path == ("shape",)
    assert str(shape) in caught.value.message
