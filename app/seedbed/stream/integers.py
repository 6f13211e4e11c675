"""Uniform random integers: as many bits of the stream as it takes to have no bias.

An element has 64 bits, words 2i and 2i + 1. Numbers past the greatest multiple of how many integers
there are would favour the first of them, so they are drawn again, from a lane of their own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import EngineError
from seedbed.stream.aesctr import APART, keystream_at, scratch, words_of
from seedbed.stream.boxes import Box
from seedbed.stream.keys import VALUES, derive_key

Numbers = NDArray[np.uint64]

LANES = 64
"""The last one is taken as it is. It comes to 2⁻⁶⁴ of all elements at the worst."""

WORDS = 1 << 64
"""Numbers that 64 bits count."""

_INDEX_MAX = 2**63 - 1


def draw_integers(seed: int, tensor: str, low: int, count: int, box: Box) -> Numbers:
    """Integers of `[low, low + count)`, each as likely, modulo 2⁶⁴.

    Args:
        seed: of the checkpoint.
        tensor: its name.
        low: the least integer.
        count: how many integers there are, from 1 to 2⁶⁴.
        box: which elements of the tensor.

    Returns:
        The elements of the box, flat, in order.

    Raises:
        EngineError: an element is further than words can be counted to.
    """
    if box.size and 2 * box.last >= _INDEX_MAX:
        raise EngineError(f"element {box.last} has words further than 63 bits count")
    numbers = _words(seed, tensor, VALUES, box)
    if rest := WORDS % count:  # none of a power of two
        _draw_again(numbers, np.uint64(WORDS - rest - 1), seed, tensor, box)
    if count & (count - 1) == 0:
        numbers &= np.uint64(count - 1)
    else:
        divisor = np.uint64(count)
        numbers -= numbers // divisor * divisor  # which NumPy has vectorised, but not %
    numbers += np.uint64(low % WORDS)
    return numbers


def _draw_again(numbers: Numbers, last: np.uint64, seed: int, tensor: str, box: Box) -> None:
    """Put numbers up to `last` in the place of those past it."""
    (places,) = np.nonzero(numbers > last)
    if not len(places):
        return
    indices = box.indices()
    for lane in range(1, LANES):
        words = np.add.outer(2 * indices[places], np.arange(2)).reshape(-1)
        key = derive_key(seed, tensor, f"integers.{lane}")
        fresh = keystream_at(key, words, scratch(APART * len(words))).view("<u8")
        numbers[places] = fresh
        places = places[fresh > last]
        if not len(places):
            return


def _words(seed: int, tensor: str, lane: str, box: Box) -> Numbers:
    """Words 2i and 2i + 1 of each element, as one number, the first in its lower half."""
    if box.is_run:
        words = Box.run(2 * box.start, 2 * box.size)
        room = words.size
    else:
        strides = (*(2 * stride for stride in box.strides), 1)
        words = Box(2 * box.start, (*box.extents, 2), strides)
        room = APART * words.size
    return words_of(derive_key(seed, tensor, lane), words, scratch(room)).view("<u8")
