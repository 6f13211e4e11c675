"""Writing by the threads of this machine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial

from seedbed.files import Checkpoint
from seedbed.materialise.run import EXPECTED, Execute, Failure, Results, Tally
from seedbed.materialise.targets import Done, Target, Wish, make

_TICK_SECONDS = 0.5

_UPLOADS = 8
"""Files that are written at the same time, at most: each has parts in memory."""


class _Stopped(Exception):
    """Somebody has pressed Ctrl-C."""


def on_this_machine(
    checkpoint: Checkpoint, target: Target, wish: Wish, tally: Tally, threads: int
) -> Execute:
    """Who writes files of a checkpoint here.

    Args:
        checkpoint: to be written.
        target: where to.
        wish: how.
        tally: told of progress.
        threads: as many files at the same time, up to eight.
    """
    stop = threading.Event()
    write = partial(_write, checkpoint, target, wish, tally, stop)

    def execute(names: Sequence[str]) -> Results:
        with ThreadPoolExecutor(min(threads, _UPLOADS), thread_name_prefix="upload") as pool:
            pending = {pool.submit(write, name) for name in names}
            try:
                while pending:
                    ready, pending = wait(pending, _TICK_SECONDS, FIRST_COMPLETED)
                    if not ready:
                        yield None
                    for future in ready:
                        yield future.result()
            finally:
                if pending:
                    stop.set()  # what is under way ends at its next piece, and is aborted
                    pool.shutdown(wait=False, cancel_futures=True)

    return execute


def _write(
    checkpoint: Checkpoint, target: Target, wish: Wish, tally: Tally, stop: threading.Event,
    name: str,
) -> Done | Failure:  # fmt: skip
    def at(done: int) -> None:
        if stop.is_set():
            raise _Stopped
        tally.at(name, done)

    file = checkpoint.file(name)
    if file is None:
        raise AssertionError("it is one of the checkpoint's own names")
    try:
        return make(file, target, wish, at)
    except EXPECTED as error:
        return Failure(name, error)
