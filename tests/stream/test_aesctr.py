from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from seedbed.stream.aesctr import WORD_BYTES, WORDS_PER_BLOCK, keystream, scratch
from tests.stream.strategies import untimed

# NIST SP 800-38A (2001), appendix F.5.1, CTR-AES128.Encrypt.
NIST_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
NIST_COUNTER = int("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", 16)
NIST_BLOCKS = [  # plaintext, output block, ciphertext
    (
        "6bc1bee22e409f96e93d7e117393172a",
        "ec8cdf7398607cb0f2d21675ea9ea1e4",
        "874d6191b620e3261bef6864990db6ce",
    ),
    (
        "ae2d8a571e03ac9c9eb76fac45af8e51",
        "362b7c3c6773516318a077d7fc5073ae",
        "9806f66b7970fdff8617187bb9fffdff",
    ),
    (
        "30c81c46a35ce411e5fbc1191a0a52ef",
        "6a2cc3787889374fbeb4c81b17ba6c44",
        "5ae4df3edbd5d35e5b4f09020db03eab",
    ),
    (
        "f69f2445df4f9b17ad2b417be66c3710",
        "e89c399ff0f198c6d40a31db156cabfe",
        "1e031dda2fbe03d1792170a0f3009cee",
    ),
]

KEY = bytes(range(16))
MIB_WORDS = (1 << 20) // WORD_BYTES


def words(start: int, count: int, key: bytes = KEY) -> NDArray[np.uint32]:
    """Keystream words in a buffer of their own."""
    return keystream(key, start, count, scratch(count))


def blocks(first: int, count: int, key: bytes = KEY) -> bytes:
    """Keystream blocks as the encryption of each counter by itself."""
    ecb = Cipher(algorithms.AES128(key), modes.ECB()).encryptor()
    return ecb.update(b"".join((first + i).to_bytes(16, "big") for i in range(count)))


@pytest.mark.parametrize("block", range(4))
def test_nist_vectors(block: int) -> None:
    """NIST's counter, taken as a block of the stream, gives NIST's output and ciphertext."""
    plaintext, output, ciphertext = map(bytes.fromhex, NIST_BLOCKS[block])
    stream = words(WORDS_PER_BLOCK * (NIST_COUNTER + block), 4, NIST_KEY).tobytes()
    assert stream == output
    assert bytes(a ^ b for a, b in zip(plaintext, stream, strict=True)) == ciphertext


def test_nist_vectors_in_one_call() -> None:
    """The counter rises by one from block to block within a call, as NIST's does."""
    stream = words(WORDS_PER_BLOCK * NIST_COUNTER, 16, NIST_KEY).tobytes()
    assert stream.hex() == "".join(output for _, output, _ in NIST_BLOCKS)


@pytest.mark.parametrize("first", [0, 1, 2**8 - 2, 2**32 - 2, 2**64 - 2, 2**96 - 2, 2**128 - 4])
def test_blocks_are_encrypted_counters(first: int) -> None:
    """Each block is the encryption of its big-endian number, carries included."""
    assert words(4 * first, 16).tobytes() == blocks(first, 4)


def test_words_are_little_endian() -> None:
    """Word i is the little-endian integer at byte 4i."""
    text = blocks(0, 4)
    assert words(0, 16).tolist() == [
        int.from_bytes(text[4 * i : 4 * i + 4], "little") for i in range(16)
    ]


LONG = words(0, 4096)


@untimed
@given(st.integers(0, 4095), st.integers(0, 4095))
def test_any_cut_is_a_slice_of_the_whole(one: int, other: int) -> None:
    """Words at any start and of any count, even none, are that slice of a longer run."""
    start, stop = sorted((one, other))
    assert words(start, stop - start).tolist() == LONG[start:stop].tolist()


@untimed
@given(st.integers(0, 2**126), st.integers(0, 40), st.binary(min_size=16, max_size=16))
def test_huge_offsets(start: int, count: int, key: bytes) -> None:
    """However far out, words are those of the blocks they lie in."""
    first, skip = divmod(start, 4)
    around = np.frombuffer(blocks(first, count // 4 + 2, key), "<u4")
    assert words(start, count, key).tolist() == around[skip : skip + count].tolist()


@pytest.mark.parametrize("start", [2**60, 2**60 + 1, 2**60 + 2, 2**60 + 3])
def test_offset_2_to_the_60(start: int) -> None:
    """A quintillion words out, each start within a block is found."""
    assert words(start, 8).tobytes() == blocks(2**58, 4)[4 * (start % 4) :][:32]


@pytest.mark.parametrize("start", [0, 1, 2**60 + 3])
@pytest.mark.parametrize(
    "count",
    [MIB_WORDS - 1, MIB_WORDS, MIB_WORDS + 1, 2 * MIB_WORDS, 2 * MIB_WORDS + 7],
)
def test_counts_past_a_mebibyte(start: int, count: int) -> None:
    """Runs that take several writes of 1 MiB continue without a seam."""
    first, skip = divmod(start, 4)
    expected = np.frombuffer(blocks(first, count // 4 + 2), "<u4")[skip : skip + count]
    assert np.array_equal(words(start, count), expected)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, MIB_WORDS + 5])
def test_result_is_the_front_of_the_buffer(count: int) -> None:
    """A larger buffer, whatever it held, is overwritten from its front; the result is a view."""
    buffer = scratch(count + 1000)
    buffer[:] = 0xA5A5A5A5
    result = keystream(KEY, 5, count, buffer)
    assert result.tolist() == words(5, count).tolist()
    assert len(result) == count
    assert count == 0 or np.shares_memory(result, buffer)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 1000, MIB_WORDS, MIB_WORDS + 1])
def test_scratch_is_just_large_enough(count: int) -> None:
    """`scratch(count)` takes `count` words at every start, and is little-endian."""
    for start in range(4):
        assert len(keystream(KEY, start, count, scratch(count))) == count
    assert scratch(count).dtype == np.dtype("<u4")


def test_neighbouring_keys_give_unrelated_streams() -> None:
    """One bit of the key changes about half of the stream's bits."""
    flipped = bytes((KEY[0] ^ 1, *KEY[1:]))
    differing = int(np.bitwise_count(words(0, 10_000) ^ words(0, 10_000, flipped)).sum())
    assert abs(differing - 160_000) < 5 * 80_000**0.5
