from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedbed import disk
from seedbed.errors import OutputError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.stream import NUMPY, Engine, get_engine
from tests import dying, processes
from tests.files.suite import Reader, ReaderSuite, virtual_file
from tests.processes import PATIENCE_SECONDS, environment, start
from tests.strategies import specs, untimed

WINDOW = 1 << 16

BODY = {"seed": 3, "tensors": [{"name": "w", "shape": [100_001], "init": "normal"}]}


def make_file(engine: Engine | None = None) -> VirtualFile:
    """A file of 400 KB: seven windows of these tests."""
    return VirtualFile(CheckpointSpec.model_validate(BODY), engine=engine or get_engine(NUMPY))


FILE = make_file()
WHOLE = bytes(FILE.read(0, FILE.size))


def write(target: Path, file: VirtualFile = FILE, threads: int = 2, **arguments: Any) -> None:
    """Write with small windows."""
    disk.write(file, target, threads, window_bytes=WINDOW, **arguments)


class FileOnDisk:
    """A reader over a file."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, start: int, stop: int) -> bytes:
        """Bytes `[start, stop)`."""
        return os.pread(self._descriptor, stop - start, start)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


class TestWritten(ReaderSuite):
    """What is on the disk is the file."""

    @pytest.fixture(scope="class")
    @classmethod
    def reader(cls, tmp_path_factory: pytest.TempPathFactory) -> Any:
        """What is tested."""
        target = tmp_path_factory.mktemp("written") / "suite.safetensors"
        disk.write(virtual_file(), target, threads=3)
        reader: Reader = FileOnDisk(target)
        yield reader
        reader.close()  # type: ignore[attr-defined]


@settings(
    untimed,
    max_examples=30,
    suppress_health_check=[
        *untimed.suppress_health_check,
        HealthCheck.function_scoped_fixture,
    ],
)
@given(specs(), st.integers(1, 4), st.integers(1, 5000))
def test_any_file_in_any_windows(
    tmp_path: Path, spec: CheckpointSpec, threads: int, window: int
) -> None:
    """Whatever the threads and windows, the target has the bytes, and nothing else is left."""
    file = VirtualFile(spec, engine=get_engine(NUMPY))
    target = tmp_path / "any.safetensors"
    window_bytes = max(window, file.size // 20)
    disk.write(file, target, threads, window_bytes=window_bytes, replace=True)
    assert target.read_bytes() == file.read(0, file.size)
    assert list(tmp_path.iterdir()) == [target]


def test_progress_only_grows(tmp_path: Path) -> None:
    """Progress is told from 0 to the size, ever more, and the old target stays until the end."""
    target = tmp_path / "w"
    target.write_bytes(b"old")
    seen: list[int] = []

    def progress(done: int) -> None:
        seen.append(done)
        assert target.read_bytes() == b"old"

    write(target, progress=progress, replace=True)
    assert seen[0] == 0
    assert seen[-1] == FILE.size
    assert seen == sorted(seen)
    assert len(seen) > FILE.size // WINDOW
    assert target.read_bytes() == WHOLE


def test_the_target_has_the_usual_mode(tmp_path: Path) -> None:
    """Permissions follow the umask, as those of any new file do."""
    before = os.umask(0o027)
    try:
        write(tmp_path / "w")
    finally:
        os.umask(before)
    assert (tmp_path / "w").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("way", ["replace", "rename", "link"])
def test_a_file_is_killed_at_every_point(tmp_path: Path, way: str) -> None:
    """After `kill -9` at any call, or at many, the next run completes the same bytes."""
    done = processes.run(
        sys.executable, dying.__file__, tmp_path, way, env=environment(OPENBLAS_NUM_THREADS="1")
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert 5 * 2 + 4 <= found["points"] < dying.MOST_POINTS  # two for each window, and the rest
    assert found["deaths"] >= 10
    assert (found["incomplete"], found["unmended"], found["left"]) == (0, 0, 0)


def cut_off(target: Path, at: int) -> None:
    """Leave a partial file of so many bytes, as a writer that was killed would."""
    disk.partial_path(FILE, target).write_bytes(WHOLE[:at])


@pytest.mark.parametrize(
    "at", [0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW, len(WHOLE) - 1, len(WHOLE)]
)
def test_what_was_synced_is_not_drawn_again(tmp_path: Path, at: int) -> None:
    """A resumed file draws from the last window that had begun, and nothing before it."""
    drawn = 0
    definition = get_engine(NUMPY).fill

    def fill(key: bytes, distribution: Any, dtype: Any, box: Any, out: Any) -> None:
        nonlocal drawn
        drawn += out.nbytes
        definition(key, distribution, dtype, box, out)

    target = tmp_path / "w"
    cut_off(target, at)
    begun: list[int] = []
    write(target, make_file(replace(get_engine(NUMPY), fill=fill)), progress=begun.append)
    assert target.read_bytes() == WHOLE
    assert begun[0] == max(at - 1, 0) // WINDOW * WINDOW
    assert drawn <= FILE.size - begun[0] + 2 * 4 * (FILE.size // WINDOW + 1)


def test_holes_in_the_last_window_are_filled(tmp_path: Path) -> None:
    """Chunks of the window that was being written may be missing: they are drawn again."""
    target = tmp_path / "w"
    partial = disk.partial_path(FILE, target)
    with partial.open("wb") as opened:
        opened.write(WHOLE[: 2 * WINDOW])
        opened.seek(3 * WINDOW - 5)
        opened.write(b"12345")
    write(target)
    assert target.read_bytes() == WHOLE


@pytest.mark.parametrize("extra", [1, WINDOW, 5 * WINDOW])
def test_a_longer_leftover_is_cut(tmp_path: Path, extra: int) -> None:
    """Whatever lies past the end of a leftover never gets into the target."""
    target = tmp_path / "w"
    disk.partial_path(FILE, target).write_bytes(WHOLE + b"x" * extra)
    write(target)
    assert target.read_bytes() == WHOLE


HOLD = """
import fcntl, sys
with open(sys.argv[1], "rb+") as partial:
    fcntl.flock(partial, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.readline()
"""
"""What another writer does, as far as locks go."""


@contextlib.contextmanager
def held(partial: Path) -> Iterator[None]:
    """Let another process have a partial file."""
    holder = start(
        sys.executable, "-c", HOLD, partial, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
    finally:
        holder.communicate(b"\n", timeout=PATIENCE_SECONDS)


def test_another_file_s_leftover_is_another_s(tmp_path: Path) -> None:
    """A partial file belongs to one ETag: that of another seed is not used, but removed at last."""
    target = tmp_path / "w"
    other = VirtualFile(FILE.spec.with_seed(4), engine=get_engine(NUMPY))
    leftover = disk.partial_path(other, target)
    leftover.write_bytes(WHOLE)
    seen = []
    write(target, progress=lambda done: seen.append((done, leftover.read_bytes() == WHOLE)))
    assert seen[0] == (0, True)
    assert all(intact for _, intact in seen)
    assert target.read_bytes() == WHOLE
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_not_abandoned_stays(tmp_path: Path) -> None:
    """What belongs to other targets, or to a process that writes, or is not ours, stays."""
    target = tmp_path / "w"
    other = VirtualFile(FILE.spec.with_seed(4), engine=get_engine(NUMPY))
    stay = {disk.partial_path(other, tmp_path / name) for name in ("w2", "w.w", ".w", "*", "a")} | {
        tmp_path / name for name in (".w..partial", ".w.a-b.partial", "w.ab.partial", ".w.ab")
    }
    for path in stay:
        path.write_bytes(b"something")
    (tmp_path / ".w.ab.partial").symlink_to("elsewhere")
    busy = disk.partial_path(other, target)
    busy.write_bytes(b"something")
    with held(busy):
        write(target)
    assert {path.name for path in tmp_path.iterdir()} == {
        "w", ".w.ab.partial", busy.name, *(path.name for path in stay),
    }  # fmt: skip
    write(target, replace=True)
    assert not busy.exists()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    """While another process has the partial file, its bytes are left alone."""
    target = tmp_path / "w"
    cut_off(target, 5 * WINDOW)
    partial = disk.partial_path(FILE, target)
    with held(partial), pytest.raises(OutputError, match="another process is writing"):
        write(target)
    assert partial.read_bytes() == WHOLE[: 5 * WINDOW]
    assert not target.exists()
    write(target)
    assert target.read_bytes() == WHOLE


def test_a_writer_keeps_others_out(tmp_path: Path) -> None:
    """From the first byte to the last no other process can lock the partial file, in any way."""
    partial = disk.partial_path(FILE, tmp_path / "w")
    refused = []

    def progress(_done: int) -> None:
        with partial.open("rb") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                refused.append(True)
            else:
                refused.append(False)

    write(tmp_path / "w", progress=progress)
    assert len(refused) > FILE.size // WINDOW
    assert all(refused)


def test_a_file_completed_meanwhile_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial file that another process renames while it is opened stays whole under its name."""
    target = tmp_path / "w"
    partial = disk.partial_path(FILE, target)
    partial.write_bytes(WHOLE)
    kept = tmp_path / "kept"
    real = fcntl.flock
    waiting = [True]

    def flock(descriptor: int, operation: int) -> None:
        if waiting:  # the other process is just done
            waiting.clear()
            partial.replace(target)
            os.link(target, kept)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    seen: list[bytes] = []
    write(
        target,
        progress=lambda _: seen.append(hashlib.sha256(kept.read_bytes()).digest()),
        replace=True,
    )
    assert set(seen) == {hashlib.sha256(WHOLE).digest()}
    assert target.read_bytes() == kept.read_bytes() == WHOLE


PLANTED = ["link", "link to nothing", "link to a device", "second name", "pipe", "directory",
           "of another user"]  # fmt: skip


@pytest.mark.parametrize("kind", PLANTED)
def test_what_others_put_there(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was planted under the name of a partial file is neither written to nor trusted."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    target = tmp_path / "w"
    partial = disk.partial_path(FILE, target)
    match kind:
        case "link":
            partial.symlink_to(victim)
        case "link to nothing":
            partial.symlink_to(tmp_path / "new")
        case "link to a device":
            partial.symlink_to("/dev/null")
        case "second name":
            partial.hardlink_to(victim)
        case "pipe":
            os.mkfifo(partial)
        case "directory":
            partial.mkdir()
        case "of another user":
            partial.write_bytes(b"x" * (len(WHOLE) - 1))  # whose contents would be resumed
            monkeypatch.setattr(os, "geteuid", lambda: partial.stat().st_uid + 1)
    before = sorted(tmp_path.iterdir())
    for forced in (False, True):
        with pytest.raises(OutputError, match="not a file that this user began") as caught:
            write(target, replace=forced)
        assert str(partial) in str(caught.value)
    assert victim.read_bytes() == b"precious"
    assert sorted(tmp_path.iterdir()) == before


def test_a_new_file_need_not_be_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system says who owns a file (FAT, NFS), what is created here is written."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345678)
    write(tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHOLE


def test_a_target_is_not_replaced_unasked(tmp_path: Path) -> None:
    """What is there, or a link to nothing, is refused before anything is drawn."""
    target = tmp_path / "w"
    for make in (lambda: target.write_bytes(b"old"), lambda: target.symlink_to("nothing")):
        make()
        before = target.lstat()
        with pytest.raises(OutputError, match="exists; --force replaces it"):
            write(target, progress=lambda _: pytest.fail("begun"))
        assert target.lstat() == before
        assert list(tmp_path.iterdir()) == [target]
        target.unlink()


@pytest.mark.parametrize("way", ["rename", "link"])
def test_two_writers_of_one_name(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that began when there was nothing the first has the name, and the second is refused.

    It says so, and what it has drawn is there for the same command with --force.
    """
    if way == "link":
        monkeypatch.setattr(disk, "_rename_to_nothing", lambda _old, _new: False)
    target = tmp_path / "w"
    other = VirtualFile(FILE.spec.with_seed(4), engine=get_engine(NUMPY))
    begun: list[int] = []

    def meanwhile(done: int) -> None:
        if not begun:
            write(target, other)
        begun.append(done)

    with pytest.raises(OutputError, match="exists; --force replaces it"):
        write(target, progress=meanwhile)
    assert target.read_bytes() == other.read(0, other.size)
    partial = disk.partial_path(FILE, target)
    assert sorted(tmp_path.iterdir()) == sorted([target, partial])
    assert (target.stat().st_nlink, partial.stat().st_nlink) == (1, 1)
    again: list[int] = []
    write(target, progress=again.append, replace=True)
    assert target.read_bytes() == WHOLE
    assert again[0] > FILE.size - 2 * WINDOW
    assert list(tmp_path.iterdir()) == [target]


def test_two_names_of_what_is_complete(tmp_path: Path) -> None:
    """A process that ended when its file had both names has not left what others would cut."""
    target, kept = tmp_path / "w", tmp_path / "kept"
    write(target)
    disk.partial_path(FILE, target).hardlink_to(target)
    kept.hardlink_to(target)
    write(target, replace=True, progress=lambda _: kept.read_bytes() == WHOLE or pytest.fail("cut"))
    assert kept.read_bytes() == target.read_bytes() == WHOLE
    assert not kept.samefile(target)
    assert sorted(tmp_path.iterdir()) == [kept, target]


def test_a_file_system_without_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be named without replacing, that is said, and --force does without."""

    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(disk, "_rename_to_nothing", lambda _old, _new: False)
    monkeypatch.setattr(os, "link", link)
    target = tmp_path / "w"
    with pytest.raises(OutputError, match="--force does without"):
        write(target)
    assert not target.exists()
    write(target, replace=True)
    assert target.read_bytes() == WHOLE


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's error is handed on, the target does not appear, and a later call goes on."""
    target = tmp_path / "w"
    real = os.pwrite

    def pwrite(descriptor: int, data: memoryview, place: int) -> int:
        if place >= 3 * WINDOW:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data, place)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(OSError, match="No space left") as caught:
        write(target)
    assert caught.value.errno == errno.ENOSPC
    assert not target.exists()
    monkeypatch.undo()
    begun: list[int] = []
    write(target, progress=begun.append)
    assert begun[0] == 2 * WINDOW
    assert target.read_bytes() == WHOLE


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes fewer bytes than offered gets the rest."""
    real = os.pwrite
    choice = np.random.default_rng(4)

    def pwrite(descriptor: int, data: memoryview, place: int) -> int:
        return real(descriptor, data[: int(choice.integers(1, len(data) + 1))], place)

    monkeypatch.setattr(os, "pwrite", pwrite)
    write(tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHOLE


def test_a_failure_to_draw_is_no_file(tmp_path: Path) -> None:
    """If a thread fails the call fails with its error, and there is no target."""

    def fill(*_: Any) -> None:
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        write(tmp_path / "w", make_file(replace(get_engine(NUMPY), fill=fill)))
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("kind", ["missing", "below a file", "directory", "pipe", "device"])
def test_where_no_file_can_be(tmp_path: Path, kind: str) -> None:
    """A missing directory, a directory, a pipe or a device is refused before anything is drawn."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    target = {
        "missing": tmp_path / "missing" / "w",
        "below a file": tmp_path / "file" / "w",
        "directory": tmp_path / "directory",
        "pipe": tmp_path / "pipe",
        "device": Path("/dev/null"),
    }[kind]
    with pytest.raises(OutputError) as caught:
        write(target, progress=lambda _: pytest.fail("begun"))
    assert str(target if target.exists() else target.parent) in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    """The system's error is handed on."""
    with pytest.raises(OSError, match="name too long"):
        write(tmp_path / ("w" * 250))
