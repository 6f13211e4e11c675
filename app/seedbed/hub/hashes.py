"""True SHA-256 sums of files that do not exist yet: one pass of drawing each, then remembered."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

from seedbed.files import CHUNK_BYTES, File

_KEPT = 10_000


class Hashes:
    """Sums by ETag, which is as good a name of the content as they are. Threads may share one."""

    def __init__(self) -> None:
        self._sums: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, file: File) -> str | None:
        """The sum of a file, 64 hexadecimal digits, if it is known."""
        with self._lock:
            return self._sums.get(file.etag)

    def keep(self, file: File, digest: str) -> None:
        """Remember the sum of a file, and forget the oldest past some ten thousand."""
        with self._lock:
            self._sums[file.etag] = digest
            if len(self._sums) > _KEPT:
                self._sums.popitem(last=False)


class Hashing:
    """A pass over a file that may be made in parts, by one thread at a time.

    Args:
        file: whose sum is wanted.
    """

    def __init__(self, file: File) -> None:
        self.file = file
        self.done_bytes = 0
        self._digest = hashlib.sha256()
        self._room = bytearray(min(CHUNK_BYTES, file.size))

    @property
    def left_bytes(self) -> int:
        """What is still to be drawn."""
        return self.file.size - self.done_bytes

    def advance(self, go_on: Callable[[], bool]) -> str | None:
        """Draw a chunk, and more for as long as `go_on` says so, which is asked after each.

        Returns:
            The sum, 64 hexadecimal digits, once all is drawn.
        """
        room = memoryview(self._room)
        while self.left_bytes:
            part = room[: min(len(room), self.left_bytes)]
            self.file.read_into(self.done_bytes, part)
            self._digest.update(part)
            self.done_bytes += len(part)
            if self.left_bytes and not go_on():
                return None
        return self._digest.hexdigest()
