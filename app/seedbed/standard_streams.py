"""Standard streams of a command, whose failures are errors and not remarks after its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


@contextmanager
def standard_streams(tell: Callable[[OSError], object]) -> Iterator[None]:
    """See to it that what a command printed is written when it ends; if not, exit with 1.

    Python writes what is buffered after the program has ended, where a failure is a remark
    ("Exception ignored …") and exit code 120. Streams that are closed would be None, and what is
    printed there lost without a word; here they fail as the system has it (EBADF).

    Args:
        tell: the user what the system says, of these streams or of anything else.
    """
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_WRONLY), "r", encoding="utf-8")
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    try:
        try:
            yield
        finally:
            _flush(sys.stdout)
    except OSError as error:
        tell(error)
        sys.exit(1)
    finally:
        if sys.stderr is not None:
            with suppress(OSError):  # nobody is left to be told
                _flush(sys.stderr)


def _flush(stream: TextIO) -> None:
    """Write what is buffered, or let go of it, so that nothing fails again after the end."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        raise
