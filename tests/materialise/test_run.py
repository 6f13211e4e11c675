from __future__ import annotations

import errno
import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from seedbed.errors import DamagedError, OutputError, SpecError
from seedbed.files import Checkpoint, CheckpointSpec, File
from seedbed.materialise import Done, Failure, Run, Tally, Wish, on_this_machine, open_target
from seedbed.materialise.run import Execute
from seedbed.materialise.targets import At, Folder, Target, make
from seedbed.stream import NUMPY, get_engine
from tests.processes import PATIENCE_SECONDS, wait_until

INDEX = "model.safetensors.index.json"


def _checkpoint(seed: int = 7, shard: str = "100KB") -> Checkpoint:
    spec = {"model": {"preset": "tiny-llama"}, "seed": seed, "max_shard_size": shard}
    return Checkpoint(CheckpointSpec.model_validate(spec), engine=get_engine(NUMPY))


def _written(
    checkpoint: Checkpoint, target: Target, wish: Wish | None = None
) -> list[Done | Failure]:
    wish = wish or Wish()
    run = Run(checkpoint, target, wish)
    execute = on_this_machine(checkpoint, target, wish, Tally(), 2)
    return [result for result in run.results(execute) if result is not None]


def _is_whole(checkpoint: Checkpoint, folder: Path) -> bool:
    files = {file.name: bytes(file.read(0, file.size)) for file in checkpoint.files()}
    return files == {path.name: path.read_bytes() for path in folder.iterdir()}


class Watched(Folder):
    """A folder that remembers in which order things were done, and fails at one name."""

    def __init__(self, path: Path, failing: str = "") -> None:
        super().__init__(path, 1)
        self.done: list[str] = []
        self.failing = failing

    def write(self, file: File, at: At, *, replace: bool) -> None:
        """Write, or fail as a full disk does."""
        if file.name == self.failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(file, at, replace=replace)
        self.done.append(file.name)

    def remove(self, name: str) -> None:
        """Remove, and remember it."""
        super().remove(name)
        self.done.append(f"-{name}")


def test_all_files_and_the_index_last(tmp_path: Path) -> None:
    """What is written is the checkpoint, byte for byte, and its index comes after all others."""
    target = Watched(tmp_path / "new" / "folder")
    checkpoint = _checkpoint()
    results = _written(checkpoint, target)
    assert _is_whole(checkpoint, target.path)
    assert sorted(target.done) == sorted(checkpoint.names)
    assert target.done[-1] == INDEX
    assert all(isinstance(result, Done) and result.written for result in results)


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    """A second run writes nothing; after a loss, the lost file alone, and the index anew."""
    checkpoint = _checkpoint()
    _written(checkpoint, Watched(tmp_path))
    again = Watched(tmp_path)
    results = _written(checkpoint, again)
    assert again.done == []
    assert {result.name for result in results} == set(checkpoint.names)
    lost = sorted(checkpoint.shards)[1]
    (tmp_path / lost).unlink()
    third = Watched(tmp_path)
    _written(checkpoint, third)
    assert third.done == [f"-{INDEX}", lost, INDEX]
    assert _is_whole(checkpoint, tmp_path)


def test_one_file_fails(tmp_path: Path) -> None:
    """The others are written, the index is not, and the next run writes what is missing alone."""
    checkpoint = _checkpoint()
    lost = min(checkpoint.shards)
    broken = Watched(tmp_path, failing=lost)
    failures = [r for r in _written(checkpoint, broken) if isinstance(r, Failure)]
    assert [failure.name for failure in failures] == [lost]
    assert "No space left" in str(failures[0].error)
    assert set(checkpoint.names) - {path.name for path in tmp_path.iterdir()} == {lost, INDEX}
    mended = Watched(tmp_path)
    _written(checkpoint, mended)
    assert mended.done == [lost, INDEX]


@pytest.mark.parametrize(
    "there",
    [
        "another seed",
        "smaller shards",
        "one file",
        "shards of one file",
        "a file of somebody",
        "a file of the name",
    ],
)
def test_something_else_is_there(tmp_path: Path, there: str) -> None:
    """It is refused before anything is written; --overwrite replaces it, but for others' files."""
    checkpoint = _checkpoint()
    stranger = tmp_path / "notes.txt"
    match there:
        case "another seed":
            _written(_checkpoint(seed=8), Folder(tmp_path, 1))
        case "smaller shards":
            _written(_checkpoint(shard="60KB"), Folder(tmp_path, 1))
        case "one file":
            _written(_checkpoint(shard="1MB"), Folder(tmp_path, 1))
        case "shards of one file":
            _written(checkpoint, Folder(tmp_path, 1))
            checkpoint = _checkpoint(shard="1MB")
        case "a file of somebody":
            stranger.write_text("mine")
        case _:
            (tmp_path / min(checkpoint.shards)).write_bytes(b"0" * 1000)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError, match="something else"):
        Run(checkpoint, Folder(tmp_path, 1), Wish())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    watched = Watched(tmp_path)
    _written(checkpoint, watched, Wish(overwrite=True))
    if INDEX in before:  # which would say that the rest is whole
        assert watched.done[0] == f"-{INDEX}"
    if there == "a file of somebody":
        assert stranger.read_text() == "mine"
        stranger.unlink()
    assert _is_whole(checkpoint, tmp_path)


def test_verify(tmp_path: Path) -> None:
    """What was read back has the sums of the files; one bit less is found, named and mended."""
    checkpoint, target = _checkpoint(), Folder(tmp_path, 1)
    results = _written(checkpoint, target, Wish(verify=True))
    sums = {f.name: hashlib.sha256(f.read(0, f.size)).hexdigest() for f in checkpoint.files()}
    assert {r.name: r.sha256 for r in results if isinstance(r, Done)} == sums
    hurt = tmp_path / max(checkpoint.shards)
    content = bytearray(hurt.read_bytes())
    content[-1] ^= 1
    hurt.write_bytes(content)
    bad = [r for r in _written(checkpoint, target, Wish(verify=True)) if isinstance(r, Failure)]
    assert [failure.name for failure in bad] == [hurt.name]
    assert isinstance(bad[0].error, DamagedError)
    assert "--overwrite --verify" in str(bad[0].error)
    mended = _written(checkpoint, target, Wish(verify=True, overwrite=True))
    written = [result.name for result in mended if isinstance(result, Done) and result.written]
    assert written == [hurt.name]
    assert _is_whole(checkpoint, tmp_path)


def test_given_up_on_the_way(tmp_path: Path) -> None:
    """Where results are no more wanted, what is under way ends, and no half file has its name."""
    checkpoint = _checkpoint(shard="1MB")
    begun, given_up = threading.Event(), threading.Event()

    class Slow(Folder):
        def write(self, file: File, at: At, *, replace: bool) -> None:
            begun.set()
            assert given_up.wait(PATIENCE_SECONDS)
            super().write(file, at, replace=replace)

    execute = on_this_machine(checkpoint, Slow(tmp_path, 1), Wish(), Tally(), 1)
    results = execute(["model.safetensors"])
    assert next(results) is None  # a moment in which nothing happened
    assert begun.wait(PATIENCE_SECONDS)
    closing = threading.Thread(target=results.close)
    closing.start()
    wait_until(lambda: stopped(execute), "the writer to be told")
    given_up.set()
    closing.join(PATIENCE_SECONDS)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


def stopped(execute: Execute) -> bool:
    """Whether a writer has been told to end."""
    cells = execute.__closure__ or ()
    return any(
        isinstance(c.cell_contents, threading.Event) and c.cell_contents.is_set() for c in cells
    )


class Liar(Folder):
    """A folder that gives back fewer bytes than it has."""

    def read(self, name: str) -> Iterator[memoryview]:
        """All but the last."""
        for piece in super().read(name):
            yield piece[:-1]


def test_a_store_that_gives_less(tmp_path: Path) -> None:
    """An answer that is cut off is no verified file."""
    file = next(_checkpoint().files())
    with pytest.raises(DamagedError, match=f"has {file.size - 1:,} bytes of {file.size:,}"):
        make(file, Liar(tmp_path, 1), Wish(verify=True), int)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://bucket/x", "no store"),
        ("ftp://a/", "no store"),
        ("s4://b", "no store"),
        ("file://elsewhere/x", "another machine"),
        ("s3://", "no bucket"),
        ("gs:///x/", "no bucket"),
        ("s3://b/what?/", "%3F"),
        ("az://c/a#b/", "%23"),
        ("file:///tmp/a#b", "%23"),
        ("s3://b/../x/", "where it leads"),
        ("s3://b/a/%2e%2e/x/", "where it leads"),
        ("file:///tmp/./x", "where it leads"),
        ("s3://b/a//x/", "empty part"),
        ("s3://b:1/x/", "more than a bucket"),
        ("s3://id:secret@b/x/", "the URL has more than a bucket"),
    ],
)
def test_no_target(url: str, said: str) -> None:
    """What names no target, or might name another, is refused before obstore reads it otherwise."""
    with pytest.raises(SpecError, match=re.escape(said)) as caught:
        open_target(url, 1)
    assert caught.value.path == ("output",)
    assert "secret" not in str(caught.value)


def test_folders_by_url(tmp_path: Path) -> None:
    """A folder has a URL too, percent-encoded as URLs are."""
    target = open_target(f"file://{tmp_path}/a%20b/", 1)
    _written(_checkpoint(), target)
    sizes: Mapping[str, int] = open_target(f"{tmp_path}/a b", 1).sizes()
    assert sizes.keys() == set(_checkpoint().names)
