"""What writing a checkpoint into a store comes to, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass

from seedbed.errors import SpecError
from seedbed.files import Checkpoint

MIB = 1 << 20

SMALLEST_PART_BYTES = 8 * MIB
"""Of an upload in parts: large enough that a request costs little beside its bytes, and S3's own
least is 5 MiB."""


@dataclass(frozen=True, slots=True)
class StoreKind:
    """A kind of store: what it takes, and how its users know it.

    Attributes:
        name: of the kind.
        parts: of one object, at most.
        part_bytes: of one part, at most.
        object_bytes: of one object, at most.
        bucket: what a bucket is called there.
        credentials: variables of the environment that have them.
        without_tls: the variable that lets through an endpoint without TLS.
    """

    name: str
    parts: int
    part_bytes: int
    object_bytes: int
    bucket: str
    credentials: str
    without_tls: str

    def part_size(self, size: int) -> int:
        """Bytes of each part of an object of `size` bytes, in whole MiB."""
        least = -(-size // self.parts)
        return max(SMALLEST_PART_BYTES, -(-least // MIB) * MIB)

    def require(self, name: str, size: int) -> None:
        """Refuse an object that the store would not take.

        Raises:
            SpecError: it is too large.
        """
        if size <= self.object_bytes:
            return
        raise SpecError(
            f"{name} would have {size:,} bytes, and an object of {self.name} has "
            f"{self.object_bytes:,} at most: cut it up, as `--set max_shard_size=5GB` does, or in "
            'a spec "max_shard_size": "5GB"; one tensor is never cut',
            ("max_shard_size",),
        )


S3 = StoreKind(
    "S3", 10_000, 5 << 30, 5 << 40, "bucket",
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", "AWS_ALLOW_HTTP",
)  # fmt: skip
GOOGLE = StoreKind(
    "Google Cloud Storage", 10_000, 5 << 30, 5 << 40, "bucket",
    "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT", "GOOGLE_ALLOW_HTTP",
)  # fmt: skip
AZURE = StoreKind(
    "Azure", 50_000, 4000 * MIB, 50_000 * 4000 * MIB, "container",
    "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY", "AZURE_ALLOW_HTTP",
)  # fmt: skip

KINDS = {
    "s3": S3,
    "s3a": S3,
    "gs": GOOGLE,
    "az": AZURE,
    "azure": AZURE,
    "abfs": AZURE,
    "abfss": AZURE,
}
"""By the scheme of a URL. Published limits of each, as of 2026."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file as a task.

    Attributes:
        name: of the file.
        size: in bytes.
        part_bytes: of each part of its upload; 0 for one request.
        parts: requests that carry its bytes.
    """

    name: str
    size: int
    part_bytes: int
    parts: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All files in the order in which they may appear, the last one only after all others."""

    files: tuple[PlannedFile, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)

    @property
    def parts(self) -> int:
        """Requests that carry bytes, in all."""
        return sum(file.parts for file in self.files)


def order(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The names of a checkpoint's files: small ones, then weights, and last what says it is whole.

    That is the index, or of a checkpoint in one file the weights themselves.
    """
    weights = tuple(checkpoint.shards)
    index = [name for name in checkpoint.names if name.endswith(".index.json")]
    small = [name for name in checkpoint.names if name not in checkpoint.shards]
    return (*(name for name in small if name not in index), *weights, *index)


def planned(checkpoint: Checkpoint, kind: StoreKind | None) -> Plan:
    """The tasks of writing a checkpoint.

    Args:
        checkpoint: to be written.
        kind: of the store; None for a folder, which has no parts.

    Raises:
        SpecError: the store would not take an object so large.
    """
    files = []
    for name in order(checkpoint):
        file = checkpoint.file(name)
        if file is None:
            raise AssertionError("it is one of the checkpoint's own names")
        size, part = file.size, 0
        if kind is not None:
            kind.require(name, size)
            part = kind.part_size(size)
        in_parts = 0 < part < size
        files.append(
            PlannedFile(name, size, part if in_parts else 0, -(-size // part) if in_parts else 1)
        )
    return Plan(tuple(files))
