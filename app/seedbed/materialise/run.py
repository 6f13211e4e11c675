"""One run: what is there, what is to be written, and in which order."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from seedbed.errors import OutputError, SeedbedError
from seedbed.files import Checkpoint, File
from seedbed.materialise.plan import order
from seedbed.materialise.targets import Done, Target, Wish

_WEIGHTS = re.compile(r"(adapter_)?model(-\d{5,}-of-\d{5,})?\.safetensors(\.index\.json)?")
"""What a reader would take for a part of the same checkpoint."""

_ASKED_AT_ONCE = 16
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be written, and why."""

    name: str
    error: Exception


class Tally:
    """How many bytes of each file are made; a file that is begun again counts anew."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._lock = threading.Lock()

    def at(self, name: str, done: int) -> None:
        """So many bytes of this file are made."""
        with self._lock:
            self._done[name] = done

    def total(self) -> int:
        """Of all files."""
        with self._lock:
            return sum(self._done.values())


Results = Generator[Done | Failure | None]
"""Of each file when it is there or given up, and None now and then, while nothing happens."""

Execute = Callable[[Sequence[str]], Results]
"""Has files of these names written. When it is closed, what is under way is given up."""


class Run:
    """The writing of a checkpoint to a target.

    Args:
        checkpoint: to be written.
        target: where to.
        wish: how.

    Attributes:
        whole: names of files that are there already and are kept.
        removed: names of other weights that are in the way, and are deleted, an index first.

    Raises:
        OutputError: something else is there, and is not to be replaced.
        StoreError: the target cannot be asked.
    """

    def __init__(self, checkpoint: Checkpoint, target: Target, wish: Wish) -> None:
        self._checkpoint = checkpoint
        self._target = target
        self._wish = wish
        *self._first, self._last = order(checkpoint)
        there = target.sizes()
        ours = [name for name in (*self._first, self._last) if name in there]
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            held = list(pool.map(lambda name: target.holds(self._file(name)), ours))
        whole = {name for name, is_whole in zip(ours, held, strict=True) if is_whole}
        differ = [name for name in ours if name not in whole]
        others = sorted(there.keys() - set(ours))
        if (differ or others) and not wish.overwrite:
            names = [*differ, *others]
            more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
            raise OutputError(
                f"{target.url} has something else: {', '.join(names[:_SHOWN])}{more}; take another "
                "place, or --overwrite, which replaces files of the checkpoint's own names, "
                "deletes weights of other names and leaves the rest"
            )
        # The last one would say that the rest is whole.
        self._goes_first = self._last in there and not whole.issuperset(self._first)
        self.whole = frozenset(whole - {self._last} if self._goes_first else whole)
        removed = [name for name in others if _WEIGHTS.fullmatch(name)]
        self.removed = tuple(sorted(removed, key=lambda name: not name.endswith(".index.json")))

    def files(self) -> Iterator[File]:
        """All files, in their order."""
        for name in (*self._first, self._last):
            yield self._file(name)

    def results(self, execute: Execute) -> Results:
        """Have what is missing written; the last file only if all others are there.

        Args:
            execute: who does it.
        """
        if self._goes_first:
            self._target.remove(self._last)
        for name in self.removed:
            self._target.remove(name)
        failed = False
        for names in (self._first, [self._last]):
            todo = [name for name in names if self._wish.verify or name not in self.whole]
            for name in names:
                if name not in todo:
                    yield self._kept(name)
            with closing(execute(todo)) as results:
                for result in results:
                    failed |= isinstance(result, Failure)
                    yield result
            if failed:
                return

    def _kept(self, name: str) -> Done:
        file = self._file(name)
        return Done(name, file.size, file.etag, written=False)

    def _file(self, name: str) -> File:
        file = self._checkpoint.file(name)
        if file is None:
            raise AssertionError("it is one of the checkpoint's own names")
        return file


EXPECTED = (SeedbedError, OSError, MemoryError)
"""What may go wrong with one file, and does not end the others."""
