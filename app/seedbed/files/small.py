"""What every file of a checkpoint can do, and files whose bytes are simply there."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Protocol

from seedbed.init import Lease


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

    def is_direct(self, start: int, stop: int) -> bool:
        """Whether making the bytes `[start, stop)` costs what they hold: no matrix is made."""
        ...

    def lease(self, start: int, stop: int) -> list[Lease]:
        """Leases of what is made as a whole before the bytes `[start, stop)` can be read.

        Raises:
            BusyError: too much waits to be made already.
        """
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

    def is_direct(self, start: int, stop: int) -> bool:  # noqa: ARG002
        """They are there."""
        return True

    def lease(self, start: int, stop: int) -> list[Lease]:  # noqa: ARG002
        """Of nothing."""
        return []

    def read(self, start: int, stop: int) -> bytes:
        """Bytes `[start, stop)`, clipped to the file as a slice would be."""
        return self.content[start:stop]

    def read_into(self, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `start` on, all within the file."""
        out[:] = self.content[start : start + len(out)]
