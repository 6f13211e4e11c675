"""A bound on the time that a build may take."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Timeout(BaseException):
    """A build took too long."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `Timeout` when this process has worked so long: the machine may be busy otherwise."""

    def ring(*_: Any) -> None:
        raise Timeout

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
