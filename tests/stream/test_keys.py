from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.stream import SEED_MAX, derive_key
from seedbed.stream.keys import VALUES
from tests.stream.strategies import names, seeds, untimed

lanes = st.sampled_from(("", "values", "mask", "permutation", "value", "s"))


def test_key_hashes_the_documented_message() -> None:
    """A key is the start of SHA-256 over the message that docs/stream.md spells out."""
    message = (
        b"seedbed/stream"
        b"\x01\x00"
        b"\x2a\x00\x00\x00\x00\x00\x00\x00"
        b"\x04\x00\x00\x00\x00\x00\x00\x00mask"
        b"\x06\x00\x00\x00\x00\x00\x00\x00gr\xc3\xb6\xc3\x9f"
    )
    assert derive_key(42, "größ", "mask") == hashlib.sha256(message).digest()[:16]


def test_key_equals_sha256sum() -> None:
    """Keys at both ends of the seeds equal what coreutils' sha256sum said of their messages."""
    assert derive_key(0, "", "").hex() == "5138eda72cfd1b9a1bbc4428772f12e8"
    assert derive_key(2**64 - 1, "w", "values").hex() == "9b83ea87387cff7e231576e8cc308b94"


def test_lane_defaults_to_values() -> None:
    """The lane of a tensor's values is called `values` and is the default."""
    assert VALUES == "values"
    assert derive_key(3, "w") == derive_key(3, "w", "values")


def test_names_are_not_normalised() -> None:
    """Two names that look alike but differ in code points have different keys."""
    assert derive_key(0, "\u00e9") != derive_key(0, "e\u0301")


def test_lane_and_name_do_not_run_together() -> None:
    """Moving a letter from the lane to the name, or swapping both, gives another key."""
    split = [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", ""), ("c", "ab"), ("bc", "a")]
    assert len({derive_key(1, name, lane) for name, lane in split}) == len(split)


@untimed
@given(*[st.tuples(seeds, names, lanes)] * 2)
def test_different_inputs_have_different_keys(
    one: tuple[int, str, str], other: tuple[int, str, str]
) -> None:
    """Keys are 16 bytes, and equal exactly where seed, name and lane are."""
    keys = derive_key(*one), derive_key(*other)
    assert [len(key) for key in keys] == [16, 16]
    assert (keys[0] == keys[1]) == (one == other)


@untimed
@given(seeds, st.integers(0, 63), names)
def test_every_bit_of_the_seed_counts(seed: int, bit: int, name: str) -> None:
    """Flipping any one of the seed's 64 bits gives another key."""
    assert derive_key(seed, name) != derive_key(seed ^ 1 << bit, name)


@pytest.mark.parametrize("seed", [-1, SEED_MAX + 1, 10**30])
def test_seeds_past_64_bits_are_refused(seed: int) -> None:
    """A seed that 64 unsigned bits cannot hold is refused by its value."""
    with pytest.raises(ValueError, match=str(seed)):
        derive_key(seed, "w")
