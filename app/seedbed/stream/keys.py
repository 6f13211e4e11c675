"""(seed, tensor name, lane) → the AES-128 key of a stream."""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache

from seedbed.version import STREAM_VERSION

SEED_MAX = 2**64 - 1

VALUES = "values"
"""The lane of a tensor's values, the only one that most schemes use."""


@lru_cache(maxsize=4096)
def derive_key(seed: int, name: str, lane: str = VALUES) -> bytes:
    """The 16-byte AES-128 key of one stream of one tensor.

    The first 16 bytes of SHA-256 over a domain tag and the stream version, the seed, and lane and
    name in UTF-8, each with its length before it, so that no two different inputs are encoded
    alike. All integers are little-endian.

    Args:
        seed: 0 … 2**64 − 1.
        name: the tensor's name.
        lane: label of an independent sub-stream of the tensor (values, mask, permutation).

    Raises:
        ValueError: the seed does not fit in 64 bits.
    """
    if not 0 <= seed <= SEED_MAX:
        raise ValueError(f"seed {seed} is outside 0 … 2**64 − 1")
    lane_bytes, name_bytes = lane.encode(), name.encode()
    message = b"".join(
        (
            b"seedbed/stream",
            struct.pack("<HQ", STREAM_VERSION, seed),
            struct.pack("<Q", len(lane_bytes)),
            lane_bytes,
            struct.pack("<Q", len(name_bytes)),
            name_bytes,
        )
    )
    return hashlib.sha256(message).digest()[:16]
