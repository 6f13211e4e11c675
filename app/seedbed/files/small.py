"""What every file of a checkpoint can do, and files whose bytes are simply there."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Protocol


class File(Protocol):
    """A file whose size and ETag are known and of which any range can be read."""

    @property
    def name(self) -> str:
        """Within its directory."""
        ...

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    @property
    def etag(self) -> str:
        """Strong validator, 32 hexadecimal digits."""
        ...

    @property
    def is_seekable(self) -> bool:
        """Whether every range costs O(range)."""
        ...

    def read(self, start: int, stop: int) -> bytes | bytearray:
        """Bytes `[start, stop)`, clipped to the file."""
        ...

    def read_into(self, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `start` on, all within the file."""
        ...


class SmallFile:
    """A file that is made as a whole: a configuration, an index, a card.

    Args:
        name: within its directory.
        content: all of it.
    """

    is_seekable = True

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.content = content
        self.size = len(content)

    @cached_property
    def etag(self) -> str:
        """The first half of the content's SHA-256, after the name: 32 hexadecimal digits.

        Of two files with one ETag Hub clients fetch the first only, hence the name.
        """
        whole = hashlib.sha256(f"seedbed/small/{self.name}\n".encode() + self.content)
        return whole.hexdigest()[:32]

    def read(self, start: int, stop: int) -> bytes:
        """Bytes `[start, stop)`, clipped to the file as a slice would be."""
        return self.content[start:stop]

    def read_into(self, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `start` on, all within the file."""
        out[:] = self.content[start : start + len(out)]
