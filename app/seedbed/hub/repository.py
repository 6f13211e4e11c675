"""A checkpoint as one commit of a repository."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from seedbed.files import Checkpoint, File, SmallFile
from seedbed.hub.hashes import Hashes
from seedbed.hub.names import DIGEST_DIGITS, form_of

_VERSION = 1
"""Of what a commit is made of."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a commit.

    Attributes:
        file: itself.
        oid: git's name of its content; of weights, a name that only looks so.
        sha256: true sum of weights, if it is known.
    """

    file: File
    oid: str
    sha256: str | None

    @property
    def is_large(self) -> bool:
        """Whether the Hub would keep it outside of git."""
        return not isinstance(self.file, SmallFile)


def committing(checkpoint: Checkpoint) -> Generator[None, None, str]:
    """Make the commit of a checkpoint, which is returned: 40 hexadecimal digits; a step a file.

    16 of the seed, 2 of dtype and quantisation, 22 of a digest of everything else that its files
    depend on. So it leads back to the checkpoint of a known repository with no table, after any
    restart; and if a later version of Seedbed would make other files, it has another commit.
    """
    spec = checkpoint.spec
    whole = hashlib.sha256(
        f"seedbed/commit/{_VERSION}\n{spec.digest}\n{spec.max_shard_size}\n".encode()
    )
    for file in checkpoint.files():
        whole.update(f"{file.name} {file.etag}\n".encode())
        yield
    form = form_of(spec.dtype, spec.quantization)
    return f"{spec.seed:016x}{form:02x}{whole.hexdigest()[:DIGEST_DIGITS]}"


def entries(checkpoint: Checkpoint, hashes: Hashes) -> Iterator[Entry]:
    """All files of a commit."""
    for file in checkpoint.files():
        yield entry_of(file, hashes)


def entry_of(file: File, hashes: Hashes) -> Entry:
    """A file with its hashes."""
    if isinstance(file, SmallFile):
        return Entry(file, git_sha1(file.content), None)
    return Entry(file, f"{file.etag}{file.etag[:8]}", hashes.find(file))


def file_of(checkpoint: Checkpoint, name: str) -> File | None:
    """A file of a commit by its name: of a sharded checkpoint, not the whole in one file.

    Clients ask for that first, and would refuse it for its size.
    """
    return checkpoint.file(name) if checkpoint.has(name) else None


def git_sha1(content: bytes) -> str:
    """Git's name of a blob with this content."""
    whole = hashlib.sha1(b"blob %d\0" % len(content), usedforsecurity=False)
    whole.update(content)
    return whole.hexdigest()
