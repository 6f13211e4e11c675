"""A file written to disk: in parallel, atomically, and resumed where it was cut off."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from seedbed.errors import OutputError
from seedbed.files import CHUNK_BYTES, File, split

try:
    import fcntl
except ImportError:  # not POSIX: two writers of one file are then not kept apart
    fcntl = None  # type: ignore[assignment]

WINDOW_BYTES = 256 << 20
"""Written before the next window begins and then synced, so that a resumed file has no holes."""


def partial_path(file: File, target: Path) -> Path:
    """Where a file is kept until it is complete; the ETag in its name says which file it is."""
    return target.with_name(f".{target.name}.{file.etag}.partial")


def write(
    file: File,
    target: Path,
    threads: int,
    progress: Callable[[int], object] = int,
    window_bytes: int = WINDOW_BYTES,
) -> None:
    """Write a file to `target`, which appears only when it is complete and synced.

    A call that was cut off, at whatever point and however hard, is continued by the next one. What
    lies before the window that was being written had been synced; the rest is drawn again, so
    `window_bytes` must be the same in every call.

    What earlier calls began to write to the same target, of another spec or seed, goes when the
    target is there. If no call ever gets that far, its partial file stays where it is: it can be
    resumed until somebody deletes it.

    Args:
        file: to write.
        target: replaced if it exists.
        threads: that draw and write at the same time.
        progress: told how many bytes of the file are there, ever more.
        window_bytes: between two syncs.

    Raises:
        OutputError: the target is no regular file or its directory is missing, or another process
            is writing the same file to the same place.
        OSError: the disk is full, the directory is read-only, …; what was written can be resumed.
    """
    if not target.parent.is_dir():
        raise OutputError(f"there is no directory {str(target.parent)!r}")
    if target.exists() and not target.is_file():
        raise OutputError(f"{str(target)!r} is not a regular file")
    partial = partial_path(file, target)
    descriptor = _open_locked(partial)
    try:
        begun = min(os.fstat(descriptor).st_size, file.size)
        start = max(begun - 1, 0) // window_bytes * window_bytes
        os.ftruncate(descriptor, start)
        progress(start)
        with ThreadPoolExecutor(threads, thread_name_prefix="write") as pool:
            for first, last in split(start, file.size, window_bytes):
                done = first
                chunks = list(split(first, last, CHUNK_BYTES))
                writes = pool.map(lambda chunk: _write_chunk(file, descriptor, *chunk), chunks)
                for written in writes:
                    done += written
                    progress(done)
                os.fsync(descriptor)
        partial.replace(target)
    finally:
        os.close(descriptor)
    _remove_abandoned(target)
    _sync_directory(target.parent)


def _remove_abandoned(target: Path) -> None:
    """Remove what was begun for a target and nobody writes any more."""
    if fcntl is None:
        return
    before, after = f".{target.name}.", ".partial"
    for entry in target.parent.iterdir():
        etag = entry.name.removeprefix(before).removesuffix(after)
        if entry.name != f"{before}{etag}{after}" or not etag.isalnum():
            continue
        with contextlib.suppress(OSError):  # it is being written, or not ours
            descriptor = os.open(entry, os.O_RDWR | os.O_NOFOLLOW)
            try:
                _lock(descriptor, entry)
                if os.path.samestat(os.fstat(descriptor), entry.stat()):
                    entry.unlink()
            finally:
                os.close(descriptor)


def _write_chunk(file: File, descriptor: int, start: int, stop: int) -> int:
    """Draw and write `[start, stop)`; gives its length."""
    data = memoryview(file.read(start, stop))
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], start + done)
    return done


def _open_locked(partial: Path) -> int:
    """A descriptor of the partial file, which no other process has.

    Whoever had the lock until now may have renamed the file that was opened to its target, which
    is complete and must not be touched: then there is a new partial file to open.
    """
    while True:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            _lock(descriptor, partial)
            opened = os.fstat(descriptor)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(opened, partial.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, partial: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f"another process is writing {str(partial)!r}") from error


def _sync_directory(directory: Path) -> None:
    """Make the rename last, where directories can be synced."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
