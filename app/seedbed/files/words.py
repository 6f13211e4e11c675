"""Which of the words that there are somebody meant who typed another.

Spelling alone misses what people mean: `gpt-2` is gpt2, `BatchNorm2d` is batch_norm, and a
`kernel_initializer` is what is called init here. So words are compared without case and
separators, by what one begins with, and by the names that frameworks have for one thing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from seedbed.errors import Choices, SettingError, SpecError

_CHARS = 64
"""A longer word is no misspelt one, and would take long to compare."""

_LIKELY = 0.72
"""Likeness, of 1, below which a word is no suggestion."""

_APART = 0.1
"""How much less likely than the best suggestion another may be."""

_LONG = 8
"""Letters of which no two words have the same by chance."""

_SUGGESTED = 5
"""Errors of one answer for which suggestions are looked for."""

_LISTED = 100
"""Members of a list that is short enough to be shown whole."""

_SYNONYMS = [
    line.split()
    for line in """
    init scheme initializer initialiser initialization kernel_initializer kernel_init method
    init weight_init weight_initializer weights_init bias_initializer bias_init distribution
    shape size sizes dim dims dimension dimensions
    dtype type data_type precision torch_dtype param_dtype float_type
    type kind class class_name layer layer_type module op
    seed random_seed manual_seed random_state rng prng key
    name id path key layer_name tensor_name label title
    match pattern glob regex name names select filter
    drop remove exclude skip delete
    tensors weights params parameters variables arrays state_dict
    layers modules blocks network
    preset name id
    model preset architecture arch network model_name model_id
    metadata meta info
    rules overrides patterns
    framework backend library format
    torch pytorch
    keras tensorflow tf
    flax jax linen
    in_features in_channels in input_size num_features embed_dim inputs in_dim input_dim in_size
    out_features out_channels out hidden_size units features filters outputs out_dim output_dim
    kernel_size kernel window_size filter_size ksize
    num_features num_channels normalized_shape channels
    num_embeddings vocab_size vocabulary_size input_dim num_tokens
    embedding_dim output_dim embed_dim features dim
    num_heads nhead heads n_heads num_attention_heads n_head
    embed_dim d_model hidden_size dim
    bias use_bias with_bias has_bias
    groups feature_group_count num_groups
    std stddev standard_deviation sigma scale
    mean mu loc average
    low minval min lower minimum a
    high maxval max upper maximum b
    value fill_value fill constant val
    gain scale factor multiplier
    mode fan fan_mode
    nonlinearity activation act
    a slope negative_slope
    linear dense fc fully_connected affine projection proj
    multihead_attention mha attention self_attention
    embedding embed token_embedding lookup
    normal gaussian randn random_normal
    uniform rand random random_uniform
    zeros zero
    ones one
    constant fill full const
    """.strip().splitlines()
]
"""What frameworks and people call one thing; each is suggested for the others."""


def nearest(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known words that a word may stand for, the likeliest first.

    Args:
        word: that is none of them.
        known: those there are.
        most: how many to give.
    """
    if not word or len(word) > _CHARS:
        return []
    plain = _plain(word)
    alike = {
        _plain(other): 0.95 - 0.01 * place
        for group in _SYNONYMS
        if plain in map(_plain, group)
        for place, other in enumerate(group)
    }
    matcher = difflib.SequenceMatcher(b=plain)
    likely: list[tuple[float, str]] = []
    for candidate in known:
        likeness = _likeness(plain, _plain(candidate), alike, matcher)
        if likeness >= _LIKELY:
            likely.append((likeness, candidate))
    likely.sort(key=lambda pair: -pair[0])
    distinct: dict[str, str] = {}  # HeNormal is he_normal
    for likeness, candidate in likely:
        if likeness >= likely[0][0] - _APART:
            distinct.setdefault(_plain(candidate), candidate)
    return [*distinct.values()][:most]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An error as somebody is shown it.

    Attributes:
        message: what is wrong, and what may have been meant.
        nearest: what may have been meant, the likeliest first.
        allowed: all that would have been accepted, if that can be listed and is not too long.
    """

    message: str
    nearest: tuple[str, ...]
    allowed: tuple[str, ...]


def suggestions(errors: Sequence[SpecError | SettingError]) -> Iterator[Suggestion]:
    """Errors with suggestions, which take up to some milliseconds each: the first few have them."""
    for i, error in enumerate(errors):
        near: tuple[str, ...] = ()
        if isinstance(error.allowed, Choices) and i < _SUGGESTED:
            near = tuple(nearest(error.allowed.word, error.allowed.known))
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        allowed = error.allowed if len(error.allowed) <= _LISTED else ()
        yield Suggestion(f"{error.message}{hint}", near, tuple(allowed))


def _plain(word: str) -> str:
    """A word without case and separators."""
    return re.sub(r"[\W_]+", "", word.casefold())


def _likeness(
    word: str, other: str, alike: dict[str, float], matcher: difflib.SequenceMatcher[str]
) -> float:
    """How likely one plain word stands for another, from 0 to 1."""
    if word == other:
        return 1.0
    if other in alike:
        return alike[other]
    short, long = sorted((word, other), key=len)
    if len(short) >= 3 and (long.startswith(short) or long.endswith(short)):
        return 0.75 + 0.15 * len(short) / len(long)
    if len(word) >= 3 and sorted(word) == sorted(other):
        return 0.8 if len(word) < _LONG else 0.94  # letters in another order: sdt, Conv2DTranspose
    matcher.set_seq1(other)
    if matcher.real_quick_ratio() < _LIKELY or matcher.quick_ratio() < _LIKELY:
        return 0.0
    return matcher.ratio()
