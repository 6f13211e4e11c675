"""Keystream words `[start, stop)` at any offset: AES-128 in counter mode.

NIST SP 800-38A §6.5, with the counter a 128-bit big-endian integer that starts at 0. Word *i* is
the little-endian 32-bit integer at byte 4·*i* of the keystream, so four words make a block.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

WORDS_PER_BLOCK = 4
WORD_BYTES = 4

# OpenSSL wants somewhere to read plaintext from, and the library wants room for one block more
# than it will ever write in counter mode.
_ZEROS = memoryview(bytes(1 << 20))
_SLACK_BYTES = 16


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
