"""Checkpoints as repositories of the Hugging Face Hub: names, revisions, commits, hashes.

Knows nothing of HTTP; the protocol itself is in `seedbed.web.routes.hub`.
"""

from seedbed.hub.hashes import Hashes, Hashing
from seedbed.hub.names import (
    NAMESPACE,
    Revision,
    RevisionError,
    parse_commit,
    parse_revision,
    split_variants,
)
from seedbed.hub.published import published_id, published_specs, spec_of_published
from seedbed.hub.repository import Entry, committing, entries, entry_of, file_of

__all__ = [
    "NAMESPACE",
    "Entry",
    "Hashes",
    "Hashing",
    "Revision",
    "RevisionError",
    "committing",
    "entries",
    "entry_of",
    "file_of",
    "parse_commit",
    "parse_revision",
    "published_id",
    "published_specs",
    "spec_of_published",
    "split_variants",
]
