"""What the registry keeps, and what its users say of it: plain values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from seedbed.files import CheckpointSpec, SpecIdentity
from seedbed.init import Bounds
from seedbed.registry.ids import SpecId

ETAG_DIGITS = 32

PREFIX_DIGITS = 24
"""Digits of a digest that tell it from all others: 96 bits, which leave room for a seed in the 160
of a commit id."""


@dataclass(frozen=True, slots=True)
class SpecEntry:
    """A stored spec without its text.

    Attributes:
        id: its name.
        digest: which files it means, but for the seed; see `digest_of`.
        seed: that it has itself.
        etag: strong validator of its text, 32 hexadecimal digits.
        size_bytes: of its text.
        created: when the name was first given, in UTC.
        updated: when its text was last changed, in UTC; never before `created`.
    """

    id: SpecId
    digest: str
    seed: int
    etag: str
    size_bytes: int
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Content:
    """What a name means, or meant before it was replaced.

    Attributes:
        id: the name.
        digest: of what it meant when it was stored. A later Seedbed may know the model that it
            names better, and then means other files, whose digest is another.
        text: JSON, byte for byte as it was given.
    """

    id: SpecId
    digest: str
    text: bytes

    def spec(self) -> CheckpointSpec:
        """The spec that the text means."""
        return CheckpointSpec.model_validate_json(self.text)


@dataclass(frozen=True, slots=True)
class StoredSpec:
    """A stored spec with its text."""

    entry: SpecEntry
    text: bytes

    @property
    def content(self) -> Content:
        """What the name means now."""
        return Content(self.entry.id, self.entry.digest, self.text)


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries of a listing, in the order of their names.

    Attributes:
        entries: of this page.
        last: the last of them, if there are more.
    """

    entries: tuple[SpecEntry, ...]
    last: SpecId | None


@dataclass(frozen=True, slots=True)
class Expected:
    """What a writer believes to be stored.

    Attributes:
        etags: it is one of these; None says nothing.
        anything: there is something of that name.
        nothing: there is nothing of that name.
        unlike: it is none of these.
    """

    etags: tuple[str, ...] | None = None
    anything: bool = False
    nothing: bool = False
    unlike: tuple[str, ...] = ()

    @property
    def says_which(self) -> bool:
        """Whether it knows that something is to be replaced."""
        return self.anything or self.etags is not None


@dataclass(frozen=True, slots=True)
class RegistryLimits(Bounds):
    """How much may be stored; the defaults hold a busy team's experiments in a small volume."""

    max_specs: int = 10_000
    max_specs_per_namespace: int = 1_000
    max_spec_bytes: int = 2**20
    max_spec_versions: int = 16
    max_registry_bytes: int = 2**30
    max_records: int = 10_000


def digest_of(spec: CheckpointSpec | SpecIdentity) -> str:
    """Which files a spec means, but for the seed: 64 hexadecimal digits.

    The spec's own digest, unless it says how large a shard is or brings files: its digest leaves
    these out, since no weight depends on them, but the directory does.
    """
    digest = spec.digest
    if spec.max_shard_size != CheckpointSpec.model_fields["max_shard_size"].default:
        message = f"seedbed/shards/1\n{digest}\n{spec.max_shard_size}"
        digest = hashlib.sha256(message.encode()).hexdigest()
    if spec.files_digest:
        message = f"seedbed/beside/1\n{digest}\n{spec.files_digest}"
        digest = hashlib.sha256(message.encode()).hexdigest()
    return digest


def etag_of(text: bytes) -> str:
    """Strong validator of a text."""
    return hashlib.sha256(text).hexdigest()[:ETAG_DIGITS]
