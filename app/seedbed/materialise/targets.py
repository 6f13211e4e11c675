"""Where a checkpoint is written: what every target can do, and a folder as one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from seedbed import disk
from seedbed.errors import DamagedError, SpecError
from seedbed.files import CHUNK_BYTES, File, VirtualFile
from seedbed.materialise.plan import KINDS, StoreKind

At = Callable[[int], object]
"""Is told how many bytes of a file are made. What it raises ends the writing of that file."""


class Target(Protocol):
    """A place for the files of one checkpoint. Threads may share it."""

    @property
    def url(self) -> str:
        """Where it is."""
        ...

    def sizes(self) -> Mapping[str, int]:
        """Bytes of what is there, by name."""
        ...

    def holds(self, file: File) -> bool:
        """Whether this very file is there, as far as size and identity say."""
        ...

    def write(self, file: File, at: At, *, replace: bool) -> None:
        """Write a file, which has its name only when all of it is there."""
        ...

    def read(self, name: str) -> Iterator[memoryview]:
        """The bytes of what is there, in pieces."""
        ...

    def remove(self, name: str) -> None:
        """Remove what is there, if it is."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """How to write.

    Attributes:
        verify: read back and compare.
        overwrite: what else is there.
    """

    verify: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """A file that is there, whole.

    Attributes:
        name: of it.
        size: in bytes.
        etag: Seedbed's.
        written: now; False if it was there already.
        sha256: of what was read back, if that was asked for.
    """

    name: str
    size: int
    etag: str
    written: bool
    sha256: str | None = None


def make(file: File, target: Target, wish: Wish, at: At) -> Done:
    """See to it that a file is in a target.

    Raises:
        DamagedError: what is there is not the file, though size and identity say so.
        StoreError: the store refuses or fails.
        OSError: the system does.
    """
    there = target.holds(file)
    if there and wish.verify and wish.overwrite:
        try:
            return _done(file, target, wish, written=False)
        except DamagedError:
            there = False
    if there:
        at(file.size)
    else:
        target.write(file, at, replace=wish.overwrite)
    return _done(file, target, wish, written=not there)


def _done(file: File, target: Target, wish: Wish, *, written: bool) -> Done:
    digest = compared(file, target) if wish.verify else None
    return Done(file.name, file.size, file.etag, written, digest)


def compared(file: File, target: Target) -> str:
    """The SHA-256 of what a target has, which is compared with the file byte for byte.

    Raises:
        DamagedError: they differ.
    """
    digest, position = hashlib.sha256(), 0
    for piece in target.read(file.name):
        for start in range(0, len(piece), CHUNK_BYTES):
            part = piece[start : start + CHUNK_BYTES]
            if memoryview(file.read(position, position + len(part))) != part:
                raise _damaged(
                    file, target, f"differs in bytes {position:,} to {position + len(part):,}"
                )
            digest.update(part)
            position += len(part)
    if position != file.size:
        raise _damaged(file, target, f"has {position:,} bytes of {file.size:,}")
    return digest.hexdigest()


def _damaged(file: File, target: Target, how: str) -> DamagedError:
    return DamagedError(
        f"{file.name} in {target.url} {how}; with --overwrite --verify it is written again"
    )


class Folder:
    """A folder of this machine, or of a file system that several share.

    Files are written as `seedbed generate` does: resumed where they were cut off, synced, and named
    when they are whole.

    Args:
        path: of the folder, which is made when the first file is written.
        threads: that draw and write at the same time.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self.path = path
        self.url = str(path)
        self._threads = threads

    def sizes(self) -> Mapping[str, int]:
        """Bytes of what is there, by name; what is hidden is not counted."""
        if not self.path.exists():
            return {}
        there = (entry for entry in self.path.iterdir() if not entry.name.startswith("."))
        return {entry.name: entry.stat().st_size for entry in there if not entry.is_dir()}

    def holds(self, file: File) -> bool:
        """Whether size and header are those of the file; of a small one, all of it."""
        path = self.path / file.name
        if not path.is_file() or path.stat().st_size != file.size:
            return False
        head = file.header if isinstance(file, VirtualFile) else file.read(0, file.size)
        with path.open("rb") as there:
            return there.read(len(head)) == head

    def write(self, file: File, at: At, *, replace: bool) -> None:
        """Write a file.

        Raises:
            OSError: as the system says.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        disk.write(file, self.path / file.name, self._threads, at, replace=replace)

    def read(self, name: str) -> Iterator[memoryview]:
        """The bytes of a file."""
        with (self.path / name).open("rb") as there:
            while piece := there.read(CHUNK_BYTES):
                yield memoryview(piece)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.path / name).unlink(missing_ok=True)


def kind_of(url: str) -> StoreKind | None:
    """The kind of store that a target is in, known without asking it; None for a folder.

    Raises:
        SpecError: the URL names no target, or more than one may be meant.
    """
    if "://" not in url:
        return None
    scheme = urlsplit(url).scheme.lower()
    if scheme != "file" and scheme not in KINDS:
        raise SpecError(
            f"{url!r} is no store: s3://bucket/prefix/, gs://…, az://…, or a folder",
            ("output",),
        )
    if wrong := _wrong_with(url):
        named = "the URL" if "@" in url else repr(url)  # it may have a secret
        raise SpecError(f"{named} {wrong}", ("output",))
    return KINDS.get(scheme)


def _wrong_with(url: str) -> str | None:
    """What of a URL would be left out, or be read otherwise by somebody."""
    parts = urlsplit(url)
    path, scheme = unquote(parts.path), parts.scheme.lower()
    in_store = scheme != "file"
    has_account = scheme.startswith("abfs")  # before an @
    faults = (
        ("?" in url or "#" in url, "has ? or #, which end a path: write them as %3F and %23"),
        ({".", ".."} & set(path.split("/")), "has . or .. in its path: write where it leads"),
        (in_store and not parts.netloc, "names no bucket"),
        (in_store and "//" in path, "has an empty part in its path"),
        (
            in_store and not has_account and set("@:") & set(parts.netloc),
            "has more than a bucket before its path: the environment has the rest",
        ),
    )
    return next((what for wrong, what in faults if wrong), None)


def open_target(url: str, threads: int) -> Target:
    """A target by its URL.

    Args:
        url: `s3://bucket/prefix/` and the like, or a folder as `file:///folder/` or by its path.
        threads: that draw for it at the same time.

    Raises:
        SpecError: it names none, or obstore is not installed.
        StoreError: the environment does not say enough to reach it.
    """
    kind = kind_of(url)
    if kind is None:
        parts = urlsplit(url)
        if "://" not in url:
            return Folder(Path(url), threads)
        if parts.netloc not in {"", "localhost"}:
            raise SpecError(f"{url!r} names another machine; a folder is file:///…", ("output",))
        return Folder(Path(unquote(parts.path)), threads)
    try:
        from seedbed.materialise.objects import Bucket  # noqa: PLC0415  obstore is an extra
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise SpecError(
            "object stores need obstore: pip install 'seedbed[store]'", ("output",)
        ) from error
    return Bucket(url, kind, threads)
