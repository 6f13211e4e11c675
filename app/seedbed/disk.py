"""A file written to disk: in parallel, atomically, and resumed where it was cut off."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
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
    *,
    replace: bool = False,
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
        target: must not exist, unless it is to be replaced.
        threads: that draw and write at the same time.
        progress: told how many bytes of the file are there, ever more.
        window_bytes: between two syncs.
        replace: what is there, or comes to be there meanwhile.

    Raises:
        OutputError: the target exists, now or when the file is complete, or is no regular file; or
            its directory is missing; or what has the name of its partial file was not begun by
            this user, or is being written by another process.
        OSError: the disk is full, the directory is read-only, …; what was written can be resumed.
    """
    _check(target, replace=replace)
    partial = partial_path(file, target)
    descriptor = _open_locked(partial, target)
    try:
        _complete(file, descriptor, threads, progress, window_bytes)
        if replace:
            partial.replace(target)
        else:
            _publish(partial, target)
    finally:
        os.close(descriptor)
    _remove_abandoned(target)
    _sync_directory(target.parent)


def _check(target: Path, *, replace: bool) -> None:
    """Refuse a target that a file cannot be written to, before any of it is drawn."""
    if not target.parent.is_dir():
        raise OutputError(f"there is no directory {str(target.parent)!r}")
    if target.exists() and not target.is_file():
        raise OutputError(f"{str(target)!r} is not a regular file")
    if os.path.lexists(target) and not replace:
        raise exists(target)


def _complete(
    file: File,
    descriptor: int,
    threads: int,
    progress: Callable[[int], object],
    window_bytes: int,
) -> None:
    """Write what a partial file lacks, window by window, each synced before the next."""
    size = min(os.fstat(descriptor).st_size, file.size)
    start = max(size - 1, 0) // window_bytes * window_bytes
    os.ftruncate(descriptor, start)
    progress(start)
    with ThreadPoolExecutor(threads, thread_name_prefix="write") as pool:
        for first, last in split(start, file.size, window_bytes):
            done = first
            chunks = list(split(first, last, CHUNK_BYTES))
            for written in pool.map(lambda chunk: _write_chunk(file, descriptor, *chunk), chunks):
                done += written
                progress(done)
            os.fsync(descriptor)


def exists(target: Path) -> OutputError:
    """What is said of a target that is there and is not to be replaced."""
    return OutputError(f"{str(target)!r} exists; --force replaces it")


def _publish(partial: Path, target: Path) -> None:
    """Give a complete file its name, if nothing has that name, in one step.

    Where a file system or a system has no such rename, a second name will do, whose making fails in
    the same way; of the first one `_open_locked` knows what it is, should this process end between.
    """
    try:
        if _rename_to_nothing(partial, target):
            return
        os.link(partial, target, follow_symlinks=False)
    except FileExistsError as error:
        raise exists(target) from error
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        raise OutputError(
            f"the file system of {str(target)!r} cannot see to it that nothing is replaced "
            f"({error.strerror}); --force does without"
        ) from error
    partial.unlink()


def _rename_to_nothing(old: Path, new: Path) -> bool:
    """Rename a file to what must not exist; False where that cannot be asked for.

    Raises:
        OSError: it exists, or as for any rename.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), _RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(new))


_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
"""Of Linux."""

_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}
"""What systems say of what a file system cannot do."""


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


def _open_locked(partial: Path, target: Path) -> int:
    """A descriptor of the partial file, which no other process has.

    Whoever had the lock until now may have renamed the file that was opened to its target, which
    is complete and must not be touched: then there is a new partial file to open. So it is where a
    process ended when the file had both names.

    What has the partial file's name is written to and trusted only if it is what this module would
    have made: anybody may have put a link there, or a file with contents of their own.

    Raises:
        OutputError: it is something else, or another process has it.
    """
    flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
    for _ in range(_TRIES):
        try:
            descriptor, new = os.open(partial, flags | os.O_CREAT | os.O_EXCL, 0o666), True
        except FileExistsError:
            try:
                descriptor, new = os.open(partial, flags | os.O_NOFOLLOW | os.O_NONBLOCK), False
            except FileNotFoundError:
                continue  # it has just been renamed
            except OSError as error:  # a symbolic link, a directory, another user's
                raise _not_ours(partial) from error
        try:
            _lock(descriptor, partial)
            if _is_still(partial, descriptor):
                if not _is_still(target, descriptor):
                    if not new:
                        _check_ours(os.fstat(descriptor), partial)
                    return descriptor
                partial.unlink()  # the other name of what is complete
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise OutputError(f"{str(partial)!r} comes and goes")


_TRIES = 100
"""How often a partial file may be renamed by others just when it is opened."""


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether a path names the file that was opened."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _check_ours(opened: os.stat_result, partial: Path) -> None:
    """Raise unless it is a regular file of this user's, under one name."""
    if not stat.S_ISREG(opened.st_mode) or opened.st_nlink != 1 or opened.st_uid != os.geteuid():
        raise _not_ours(partial)


def _not_ours(partial: Path) -> OutputError:
    return OutputError(
        f"{str(partial)!r} is not a file that this user began to write, so nothing is written to "
        "it; remove it"
    )


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
