"""Compiles the kernels for a level, in a process of its own.

Apart, because Numba takes half a second and a hundred megabytes that serving files does not need,
and because its target is fixed when it is imported. `python -m seedbed.stream.build LEVEL` writes
to standard output a line with the name of the function, then the object file that has it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from functools import cache
from importlib.resources import files
from typing import Any

from seedbed.errors import EngineError
from seedbed.stream.compiled import PIECE_WORDS
from seedbed.stream.levels import LEVELS, Level

_SOURCES = ("aesni", "build", "compiled", "distributions", "kernels", "levels")


@cache
def fingerprint() -> str:
    """Of all sources that a kernel is made from: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for module in _SOURCES:
        digest.update((files("seedbed.stream") / f"{module}.py").read_bytes())
    return digest.hexdigest()[:16]


def build(level: Level) -> bytes:
    """Function name, line feed, object file of a level.

    Raises:
        EngineError: Numba is missing, or it failed.
    """
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__, level.name]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise EngineError(f"kernels could not be compiled: {lines[-1] if lines else 'no word why'}")
    return done.stdout


def compile_here(level: Level) -> bytes:
    """The same, compiled in this process, whose Numba is then bound to the level."""
    from numba.core import config

    if level.cpu:
        config.CPU_NAME, config.CPU_FEATURES = level.cpu, level.extra
    from numba import njit, types

    from seedbed.stream import aesni, kernels

    integer, pointer = types.int64, types.CPointer
    arguments = (
        integer, integer, pointer(types.uint64 if level.vector_blocks else types.uint32), integer,
        integer, pointer(types.uint32), pointer(types.uint32), pointer(types.uint32),
        pointer(types.float32), pointer(types.uint8),
    )  # fmt: skip

    if level.vector_blocks:
        encrypt_counters = aesni.encrypt_counters(level.vector_blocks)
        group_words = 4 * aesni.group_blocks(level.vector_blocks)

        def entry(
            kind: Any, form: Any, source: Any, start: Any, count: Any,
            parameters: Any, narrow: Any, words: Any, values: Any, out: Any,
        ) -> None:  # fmt: skip
            skip = start & 3
            block = start >> 2
            done = 0
            while done < count:
                n = min(PIECE_WORDS - skip, count - done)
                groups = (skip + n + group_words - 1) // group_words
                encrypt_counters(source, block, groups, words)
                kernels.encode(
                    kind, form, kernels.pointer_at(words, skip), n, parameters, narrow, values,
                    out, done,
                )  # fmt: skip
                done += n
                skip = 0
                block += PIECE_WORDS >> 2
    else:

        def entry(
            kind: Any, form: Any, source: Any, start: Any, count: Any,
            parameters: Any, narrow: Any, words: Any, values: Any, out: Any,
        ) -> None:  # fmt: skip
            for done in range(0, count, PIECE_WORDS):
                n = min(PIECE_WORDS, count - done)
                kernels.encode(
                    kind, form, kernels.pointer_at(source, start + done), n, parameters, narrow,
                    values, out, done,
                )  # fmt: skip

    # Without the wrappers for Python and C, whose error handling would need both at run time. What
    # is left follows Numba's own calling convention, which `compiled.Kernel` knows.
    dispatcher = njit(
        types.void(*arguments), error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
    )(entry)
    (compiled,) = dispatcher.overloads.values()
    name: str = compiled.fndesc.llvm_func_name
    code: bytes = compiled.library._get_compiled_object()  # noqa: SLF001  there is no public way
    return b"%s\n%s" % (name.encode(), code)


if __name__ == "__main__":
    wanted = next(level for level in LEVELS if level.name == sys.argv[1])
    sys.stdout.buffer.write(compile_here(wanted))
