"""A file of a checkpoint as an object."""

from __future__ import annotations

from datetime import UTC, datetime

from seedbed.files import File
from seedbed.init import Lease

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
"""When everything was last modified: files are as old as arithmetic, and clients ask."""


class Object:
    """A file whose ETag nobody takes for an MD5.

    Clients check what they have downloaded against an ETag of 32 hexadecimal digits; one with a
    dash is that of an upload in parts, of which they know that it is no sum.

    Args:
        file: that it is.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self.name = file.name
        self.size = file.size
        self.etag = f"{file.etag}-1"

    def is_direct(self, start: int, stop: int) -> bool:
        """As the file has it."""
        return self._file.is_direct(start, stop)

    def lease(self, start: int, stop: int) -> list[Lease]:
        """As the file has it."""
        return self._file.lease(start, stop)

    def read(self, start: int, stop: int) -> bytes | bytearray:
        """Bytes `[start, stop)`, clipped to the file."""
        return self._file.read(start, stop)

    def read_into(self, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `start` on, all within the file."""
        self._file.read_into(start, out)
