"""Memory that the process has and will not need."""

from __future__ import annotations

import ctypes
import mmap
import re
from pathlib import Path

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Parameters of glibc's `mallopt`."""

_LARGE_BYTES = 1 << 17

_MAPS = Path("/proc/self/smaps")
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (r-[x-]p) \S+ \S+ \d+ +(/.*)")


def return_what_is_free() -> bool:
    """Have large blocks of memory go back to the system as soon as they are free.

    By itself glibc keeps blocks of up to 32 MB once such a block was freed, in a heap that only
    shrinks from its end. After a hundred slow downloads the process would keep all of their memory.

    Returns:
        Whether this C library has such a switch.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(name, _LARGE_BYTES) for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))


def release_code(library: str) -> int:
    """Give back the memory of a library's code, which the system reads again if it is wanted.

    LLVM takes 45 MB to put kernels into memory, once. Only pages are given back that are as they
    are in the file; elsewhere than on Linux, none.

    Args:
        library: beginning of the file's name.

    Returns:
        Bytes that were given back.
    """
    advice = getattr(mmap, "MADV_DONTNEED", None)
    try:
        lines = _MAPS.read_text(encoding="utf-8", errors="replace").splitlines()
        madvise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return 0
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    released, at, resident = 0, None, 0
    for line in lines:
        name, _, value = line.partition(":")
        if not value or "-" in name:
            at = _MAPPING.fullmatch(line)
        elif name == "Rss":
            resident = int(value.split()[0]) << 10
        elif name == "Private_Dirty" and at is not None and int(value.split()[0]) == 0:
            start, stop, _, path = at.groups()
            address = int(start, 16)
            if not path.rpartition("/")[2].startswith(library) or advice is None:
                continue
            if madvise(address, int(stop, 16) - address, advice) == 0:
                released += resident
    return released
