"""Compiles the kernels for a level, in a process of its own.

Apart, because Numba takes half a second and a hundred megabytes that serving files does not need,
and because its target is fixed when it is imported.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from functools import cache
from importlib.resources import files
from typing import Any

from seedbed.errors import EngineError
from seedbed.stream.levels import LEVELS, Level

try:
    import resource
except ImportError:  # not POSIX: there are no such limits
    resource = None  # type: ignore[assignment]

_SOURCES = (
    "aesctr", "aesni", "build", "compiled", "distributions", "householder", "kernels", "levels",
    "scattered", "tiles",
)  # fmt: skip


_ROOM_BYTES = 1 << 30
"""Twice what a compiler was seen to need. With less it may fail, or LLVM go on without an end."""

_PATIENCE_SECONDS = 300
"""Some thirty times what it takes. A bound on a hang."""


@cache
def fingerprint() -> str:
    """Of all sources that a kernel is made from: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for module in _SOURCES:
        digest.update((files("seedbed.stream") / f"{module}.py").read_bytes())
    return digest.hexdigest()[:16]


def build(level: Level) -> bytes:
    """The kernels of a level: a line of JSON, [name, symbol, size] of each, then object files.

    Raises:
        EngineError: Numba is missing, or it failed, or has too little room or time.
    """
    room = _address_space()
    if room is not None and room < _ROOM_BYTES:
        raise EngineError(
            f"kernels are compiled in {_ROOM_BYTES:,} bytes of address space, and a process may "
            f"have {room:,} here (ulimit -v)"
        )
    command = [sys.executable, "-c", f"from {__name__} import main; main({level.name!r})"]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, check=False, timeout=_PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"kernels were not compiled within {_PATIENCE_SECONDS} seconds"
        ) from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise EngineError(f"kernels could not be compiled: {lines[-1] if lines else 'no word why'}")
    return done.stdout


def _address_space() -> int | None:
    """Bytes that a process may map; None without a limit."""
    if resource is None:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def compile_here(level: Level) -> bytes:
    """The same, compiled in this process, whose Numba is then bound to the level."""
    from numba.core import config

    config.CPU_NAME, config.CPU_FEATURES = level.cpu, level.extra
    from numba import njit, types

    from seedbed.stream import kernels, scattered, tiles

    integer, pointer = types.int64, types.CPointer
    words, floats, doubles = (
        pointer(kind) for kind in (types.uint32, types.float32, types.float64)
    )
    source = pointer(types.uint64) if level.vector_blocks else words
    entries: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "fill": (
            kernels.fill_entry(level.vector_blocks),
            (integer, integer, source, integer, integer, words, words, words, floats,
             pointer(types.uint8)),
        ),
        "weave": (
            kernels.weave,
            (pointer(types.uint8), integer, integer, integer, integer, pointer(integer), integer,
             words),
        ),
        "gram": (tiles.gram_entry(*level.tile), (doubles, integer, doubles)),
        "reflect": (
            tiles.reflect_entry(*level.tile),
            (doubles, doubles, integer, integer, doubles, doubles, doubles),
        ),
    }  # fmt: skip
    if level.vector_blocks:
        places = pointer(integer)
        entries["box"] = (
            scattered.box_entry(level.vector_blocks),
            (integer, integer, source, integer, integer, places, places, integer, integer, integer,
             places, words, words, places, places, places, words, words, floats,
             pointer(types.uint8)),
        )  # fmt: skip
    table, objects = [], []
    for name, (entry, arguments) in entries.items():
        # Without the wrappers for Python and C, whose error handling would need both at run time.
        # What is left follows Numba's own calling convention, which `compiled.Kernel` knows.
        dispatcher = njit(
            types.void(*arguments),
            error_model="numpy",
            no_cpython_wrapper=True,
            no_cfunc_wrapper=True,
        )(entry)
        (compiled,) = dispatcher.overloads.values()
        objects.append(compiled.library._get_compiled_object())  # noqa: SLF001  no public way
        table.append([name, compiled.fndesc.llvm_func_name, len(objects[-1])])
    return json.dumps(table).encode() + b"\n" + b"".join(objects)


def main(name: str) -> None:
    """Compile the level of this name and write what it comes to to standard output."""
    wanted = next(level for level in LEVELS if level.name == name)
    sys.stdout.buffer.write(compile_here(wanted))
