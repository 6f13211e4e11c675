"""Keystream words at any offset, together or scattered: AES-128 in counter mode.

NIST SP 800-38A §6.5, with the counter a 128-bit big-endian integer that starts at 0. Word *i* is
the little-endian 32-bit integer at byte 4·*i* of the keystream, so four words make a block.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from seedbed.stream.boxes import Box, pieces

ROUNDS = 10
WORDS_PER_BLOCK = 4
WORD_BYTES = 4

# OpenSSL wants somewhere to read plaintext from, and the library wants room for one block more
# than it will ever write in counter mode.
_ZEROS = memoryview(bytes(1 << 20))
_SLACK_BYTES = 16


APART = 2 * WORDS_PER_BLOCK
"""Room for a word that stands alone, in words: a counter, and its encryption."""

_SHORT_RUN = 8
"""Fewer words that follow each other are taken for words that do not."""

_LONG_RUN = 4096
"""Words that follow each other are a stream of their own from here on: to begin one takes long."""

# FIPS 197, figure 7.
_S_BOX = bytes.fromhex(
    "637c777bf26b6fc53001672bfed7ab76ca82c97dfa5947f0add4a2af9ca472c0"
    "b7fd9326363ff7cc34a5e5f171d8311504c723c31896059a071280e2eb27b275"
    "09832c1a1b6e5aa0523bd6b329e32f8453d100ed20fcb15b6acbbe394a4c58cf"
    "d0efaafb434d338545f9027f503c9fa851a3408f929d38f5bcb6da2110fff3d2"
    "cd0c13ec5f974417c4a77e3d645d197360814fdc222a908846eeb814de5e0bdb"
    "e0323a0a4906245cc2d3ac629195e479e7c8376d8dd54ea96c56f4ea657aae08"
    "ba78252e1ca6b4c6e8dd741f4bbd8b8a703eb5664803f60e613557b986c11d9e"
    "e1f8981169d98e949b1e87e9ce5528df8ca1890dbfe6426841992d0fb054bb16"
)


@lru_cache(maxsize=4096)
def round_keys(key: bytes) -> NDArray[np.uint64]:
    """The eleven round keys of a 16-byte key, two integers each (FIPS 197 §5.2)."""
    words = list(struct.unpack(">4I", key))
    constant = 1
    for _ in range(ROUNDS):
        first, second, third, last = words[-4:]
        substituted = (
            _S_BOX[last >> 16 & 0xFF] << 24
            | _S_BOX[last >> 8 & 0xFF] << 16
            | _S_BOX[last & 0xFF] << 8
            | _S_BOX[last >> 24]
        )
        first ^= substituted ^ constant << 24
        second ^= first
        third ^= second
        words += (first, second, third, third ^ last)
        constant = constant << 1 ^ (0x11B if constant & 0x80 else 0)
    return np.frombuffer(struct.pack(f">{len(words)}I", *words), "<u8")


def scratch(words: int) -> NDArray[np.uint32]:
    """A buffer into which `keystream` can write up to `words` words."""
    return np.empty(words + _SLACK_BYTES // WORD_BYTES, dtype="<u4")


def keystream(key: bytes, start: int, count: int, buffer: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Words `[start, start + count)` of the stream of `key`.

    Args:
        key: 16 bytes.
        start: index of the first word; any size, only the counter block depends on it.
        count: how many words.
        buffer: from `scratch(count)` or larger; overwritten.

    Returns:
        The first `count` words of `buffer`, on any machine in little-endian order.
    """
    counter, skip = divmod(start, WORDS_PER_BLOCK)
    cipher = Cipher(algorithms.AES128(key), modes.CTR(counter.to_bytes(16, "big")))
    encryptor = cipher.encryptor()
    if skip:
        encryptor.update(_ZEROS[: skip * WORD_BYTES])
    target = buffer.view(np.uint8).data
    done, size = 0, count * WORD_BYTES
    while done < size:
        step = min(size - done, len(_ZEROS))
        encryptor.update_into(_ZEROS[:step], target[done:])
        done += step
    return buffer[:count]


def _encrypted(
    key: bytes, blocks: NDArray[np.int64], buffer: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Counters, encrypted: four words of each, in a part of the buffer."""
    size = WORDS_PER_BLOCK * blocks.size
    counters = buffer[:size].view(">u8").reshape(-1, 2)
    counters[:, 0] = 0
    counters[:, 1] = blocks.reshape(-1)
    out = buffer[size : 2 * size + _SLACK_BYTES // WORD_BYTES]
    encryptor = Cipher(algorithms.AES128(key), modes.ECB()).encryptor()  # noqa: S305  of counters
    encryptor.update_into(counters.view(np.uint8).data, out.view(np.uint8).data)
    return out[:size]


def keystream_at(
    key: bytes, indices: NDArray[np.int64], buffer: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """The words with these indices: one encryption for each block that follows another one.

    Args:
        key: 16 bytes.
        indices: of words, in any order.
        buffer: from `scratch(APART * len(indices))` or larger; overwritten.
    """
    blocks = indices >> 2
    places = indices & 3
    fresh = blocks[1:] != blocks[:-1]
    if fresh.all():
        places += np.arange(0, WORDS_PER_BLOCK * len(blocks), WORDS_PER_BLOCK)
    else:
        first = np.concatenate(([True], fresh))
        places += (np.cumsum(first) - 1) << 2
        blocks = blocks[first]
    return _encrypted(key, blocks, buffer).take(places)


def keystream_of_runs(
    key: bytes, starts: NDArray[np.int64], length: int, buffer: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """The words of runs of one length, in order.

    Args:
        key: 16 bytes.
        starts: indices of the first words.
        length: of each run, at least `_SHORT_RUN`.
        buffer: from `scratch(APART * length * len(starts))` or larger; overwritten.
    """
    skips = starts & 3
    count = (int(skips.max()) + length + WORDS_PER_BLOCK - 1) // WORDS_PER_BLOCK
    blocks = np.add.outer(starts >> 2, np.arange(count))
    rows: NDArray[np.uint32] = _encrypted(key, blocks, buffer).reshape(len(starts), -1)
    words: NDArray[np.uint32]
    if (skips == skips[0]).all():
        words = rows[:, skips[0] : skips[0] + length].flatten()
    else:
        firsts = np.arange(len(rows)) * rows.shape[1] + skips
        words = rows.take(np.add.outer(firsts, np.arange(length)).reshape(-1))
    return words


def words_of(key: bytes, box: Box, buffer: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The words of a box, in order.

    Args:
        key: 16 bytes.
        box: which words.
        buffer: from `scratch(APART * box.size)` or larger, of a run `scratch(box.size)`.

    Returns:
        An array that is the caller's to write over.
    """
    length = box.extents[-1]
    if box.strides[-1] != 1 or (length < _SHORT_RUN and not box.is_run):
        return keystream_at(key, box.indices(), buffer)
    if length < _LONG_RUN and not box.is_run:
        starts = Box(box.start, box.extents[:-1], box.strides[:-1]).indices()
        return keystream_of_runs(key, starts, length, buffer)
    done = 0
    for run, _ in pieces(box, buffer[: box.size].reshape(box.extents), length):
        keystream(key, run.start, run.size, buffer[done:])
        done += run.size
    return buffer[:done]
