"""Memory that is free goes back to the system."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Parameters of glibc's `mallopt`."""

_LARGE_BYTES = 1 << 17


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
