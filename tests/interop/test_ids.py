"""Names of stored specs beside what the Hub's own client takes for the id of a repository."""

from __future__ import annotations

import string

import pytest
from huggingface_hub.utils import HFValidationError, validate_repo_id
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import IdError
from seedbed.registry import RESERVED, SpecId
from tests.strategies import untimed

pytestmark = pytest.mark.interop

_parts = st.one_of(
    st.text(string.ascii_letters + "7_-.", min_size=1, max_size=6),
    st.text(max_size=4),
    st.sampled_from(["x.git", "git", "a" * 96, "a" * 97, "a--b", "a..b", "a\n"]),
)


def accepted_there(text: str) -> bool:
    """Whether the Hub's client would send this id."""
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return True


@untimed
@given(_parts, _parts)
def test_ids(namespace: str, name: str) -> None:
    """Every id here is one there; what is one there is one here, but for letters past ASCII.

    And but for what is reserved, and a namespace that ends like a repository.
    """
    text = f"{namespace}/{name}"
    try:
        SpecId.of(namespace, name)
    except IdError:
        elsewhere = namespace.lower() in RESERVED or namespace.endswith(".git")
        assert not accepted_there(text) or elsewhere or not text.isascii()
    else:
        assert accepted_there(text)
