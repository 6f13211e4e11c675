"""Instruction sets that kernels are compiled for, and those that this machine has.

A level is fixed by name and not by the machine, so that what was compiled on one machine runs on
another, whatever processor either has; a machine takes the first level that it can run.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Level:
    """One target of the compiler.

    Attributes:
        name: of the level.
        cpu: LLVM's name of the processor family.
        extra: LLVM's features beyond those of the family.
        needs: features a machine must have, as LLVM names them.
        vector_blocks: AES blocks that one instruction encrypts; 0 if the keystream is OpenSSL's.
        tile: rows, and vectors of eight float64, of a product that registers hold at a time.
    """

    name: str
    cpu: str
    extra: str
    needs: frozenset[str]
    vector_blocks: int
    tile: tuple[int, int] = (4, 1)


_V2 = {"aes", "cx16", "popcnt", "sahf", "sse4.2", "ssse3"}
_V3 = _V2 | {"avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"}
_V4 = _V3 | {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"}

PORTABLE = Level("portable", "generic", "", frozenset(), 0)
"""For any processor: kernels alone, on OpenSSL's keystream."""

LEVELS = (
    Level(
        "vaes512", "x86-64-v4", "+aes,+vaes,-prefer-256-bit", frozenset(_V4 | {"vaes"}), 4, (8, 2)
    ),
    Level("vaes256", "x86-64-v3", "+aes,+vaes", frozenset(_V3 | {"vaes"}), 2),
    Level("avx2", "x86-64-v3", "+aes", frozenset(_V3), 1),
    Level("sse4", "x86-64-v2", "+aes", frozenset(_V2), 1),
    PORTABLE,
)
"""Fastest first."""


def machine_levels() -> tuple[Level, ...]:
    """The levels of this kind of machine, whichever of its processors it has."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return tuple(level for level in LEVELS if x86 or not level.needs)


@cache
def host_levels() -> tuple[Level, ...]:
    """The levels that this machine itself can run, fastest first; none without llvmlite.

    Its library is 130 MB, which is more than some processes may map: then it is an OSError.

    The features are LLVM's own finding, which heeds what the operating system supports.
    """
    try:
        from llvmlite import binding
    except (ImportError, OSError):
        return ()
    features = {name for name, there in binding.get_host_cpu_features().items() if there}
    return tuple(level for level in machine_levels() if level.needs <= features)
