"""Matrices that are made as a whole: made once, kept within bounds.

Range reads of one tensor come in chunks, often from several threads, and each would make the matrix
again. So matrices are kept, the least recently used go first, and who comes while one is made
waits for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


class MatrixCache:
    """Whole matrices made lately.

    Args:
        max_bytes: kept at the most; one that is larger is made, used and let go.
        threads: that make one matrix at the same time.
        seen: told of each request whether the matrix was there, or being made.
    """

    def __init__(
        self, max_bytes: int, threads: int, seen: Callable[[bool], None] = lambda _: None
    ) -> None:
        self.threads = threads
        self._seen = seen
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._made: OrderedDict[Hashable, Future[Matrix]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Matrix]) -> Matrix:
        """The matrix of this key, made at most once at a time."""
        with self._lock:
            future = self._made.get(key)
            mine = future is None
            if future is None:
                future = self._made[key] = Future()
            self._made.move_to_end(key)
        self._seen(not mine)
        if not mine:
            return future.result()
        try:
            matrix = make()
        except BaseException as error:
            with self._lock:
                self._made.pop(key, None)
            future.set_exception(error)
            raise
        future.set_result(matrix)
        self._shrink()
        return matrix

    def _shrink(self) -> None:
        with self._lock:
            done = [(key, f.result().nbytes) for key, f in self._made.items() if f.done()]
            total = sum(size for _, size in done)
            for key, size in done:
                if total <= self._max_bytes:
                    break
                total -= size
                del self._made[key]
