"""True SHA-256 sums of files that do not exist yet: one pass of drawing each, then remembered."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

from seedbed.files import CHUNK_BYTES, File, split

_KEPT = 10_000


class Cancelled(Exception):
    """The caller wants the sum no more."""


class Hashes:
    """Sums by ETag, which is as good a name of the content as they are. Threads may share one."""

    def __init__(self) -> None:
        self._sums: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, file: File) -> str | None:
        """The sum of a file, 64 hexadecimal digits, if it is known."""
        with self._lock:
            return self._sums.get(file.etag)

    def sum_of(self, file: File, wanted: Callable[[], bool] = lambda: True) -> str:
        """The sum of a file; draws all of it unless it is known.

        Args:
            file: whose sum.
            wanted: asked after each chunk whether to go on.

        Raises:
            Cancelled: the sum is not wanted any more.
        """
        if (known := self.find(file)) is not None:
            return known
        whole = hashlib.sha256()
        room = memoryview(bytearray(min(CHUNK_BYTES, file.size)))
        for start, stop in split(0, file.size, CHUNK_BYTES):
            if not wanted():
                raise Cancelled
            part = room[: stop - start]
            file.read_into(start, part)
            whole.update(part)
        found = whole.hexdigest()
        with self._lock:
            self._sums[file.etag] = found
            if len(self._sums) > _KEPT:
                self._sums.popitem(last=False)
        return found
