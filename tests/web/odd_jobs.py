"""Jobs for planning processes that do what no job should."""

from __future__ import annotations

import os
import re
import resource
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from seedbed.errors import Choices, ParameterError

LONG_SECONDS = 600


def say(*parts: bytes) -> Iterator[bytes]:
    """These parts."""
    yield from parts


def burn() -> Iterator[bytes]:
    """Say who it is, then use the processor for longer than anybody waits."""
    yield str(os.getpid()).encode()
    end = time.monotonic() + LONG_SECONDS
    while time.monotonic() < end:
        pass


def hold_the_lock() -> Iterator[bytes]:
    """Say who it is, then let one call of C hold Python's lock for as long as nobody ends it."""
    yield str(os.getpid()).encode()
    re.match(r"(a|aa)+$", "a" * 200 + "b")


def sleep() -> Iterator[bytes]:
    """Say who it is, then do nothing for longer than anybody waits."""
    yield str(os.getpid()).encode()
    time.sleep(LONG_SECONDS)


def eat(size_bytes: int) -> Iterator[bytes]:
    """Take so much memory, page by page."""
    taken = [bytes([i % 255 + 1]) * 2**20 for i in range(size_bytes >> 20)]
    yield str(len(taken)).encode()


def refuse() -> Iterator[bytes]:
    """Raise an error with all that errors have."""
    error = ParameterError("wrong", ("a", 3), Choices(("this", "that"), "thit"))
    error.others = (ParameterError("also"),)
    yield b"not yet"
    raise error


def fail() -> Iterator[bytes]:
    """Fail."""
    yield b"not yet"
    raise ZeroDivisionError("a defect")


def die(seconds: float = 0) -> Iterator[bytes]:
    """Wait, then end without a word, as a library does that cannot go on."""
    yield b""
    time.sleep(seconds)
    os.abort()


def tell() -> Iterator[bytes]:
    """What this process has: open sockets, modules, memory in MB."""
    sockets = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            sockets += stat.S_ISSOCK(os.fstat(int(descriptor.name)).st_mode)
        except OSError:
            continue
    heavy = {"numba", "llvmlite", "fastapi", "sqlalchemy", "scipy"} & sys.modules.keys()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    yield f"{sockets} {','.join(sorted(heavy))} {peak}".encode()
