"""A preset in one line of text."""

from __future__ import annotations

import pytest

from seedbed.errors import ParameterError
from seedbed.files.one_model import spec_of_preset


@pytest.mark.parametrize("text", ['[{"a": 1, "a": 2}]', '{"b": {"a": 1, "c": 0, "a": 1}}'])
def test_a_key_twice_in_an_argument_is_refused(text: str) -> None:
    """As in a JSON body, no value is ignored in favour of another."""
    with pytest.raises(ParameterError, match="'a' is given twice") as caught:
        spec_of_preset("tiny-vit_b", {"conv_stem_configs": text})
    assert caught.value.path == ("conv_stem_configs",)
