"""A page of a listing: which keys belong to it, where it ends, and how the next one begins.

Keys are `name/revision/file`, for ever more of them than could be counted: any seed is a revision.
`main` is listed for all; another revision where the prefix names it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from seedbed.s3.errors import S3Error

MAX_KEYS = 1000
"""Of one page, whatever is asked for."""

BRANCH = "main"

_LAST = "\U0010ffff"
"""No key has it, and it is behind whatever one may have."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a page is asked to be.

    Attributes:
        prefix: of all keys.
        delimiter: "/" or nothing.
        after: keys behind this one only.
        most: keys and common prefixes.
        version: of ListObjects, 1 or 2.
        url: whether keys are percent-encoded in the answer.
        start: what the request said of `after`, to be repeated.
        token: likewise.
    """

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    most: int = MAX_KEYS
    version: int = 2
    url: bool = False
    start: str = ""
    token: str = ""


class Listing:
    """A page that is filled in the order of keys.

    Args:
        query: what it is asked to be.

    Attributes:
        keys: key, size in bytes and ETag of each object.
        prefixes: common ones.
        is_cut: whether there is more.
        last: of keys and prefixes, after which the next page goes on.
    """

    def __init__(self, query: Query) -> None:
        self.query = query
        self.keys: list[tuple[str, int, str]] = []
        self.prefixes: list[str] = []
        self.is_cut = False
        self.last = query.after

    def is_past(self, key: str) -> bool:
        """Whether an earlier page had a key, or a common prefix."""
        return key <= self.query.after

    def has_all_of(self, folder: str) -> bool:
        """Whether earlier pages had all keys of a folder."""
        return f"{folder}{_LAST}" <= self.query.after

    def leave(self, folder: str) -> None:
        """Go on behind a folder, in which there is nothing more."""
        if self.query.version == 2:  # else a marker is a key
            self.last = f"{folder}{_LAST}"

    def add_key(self, key: str, size: int, etag: str) -> bool:
        """Add an object; False if the page is full."""
        if not key.startswith(self.query.prefix) or self.is_past(key):
            return True
        if self._is_full():
            return False
        self.keys.append((key, size, etag))
        self.last = key
        return True

    def add_prefix(self, prefix: str) -> bool:
        """Add a common prefix; False if the page is full."""
        if not prefix.startswith(self.query.prefix) or self.is_past(prefix):
            return True
        if self._is_full():
            return False
        self.prefixes.append(prefix)
        self.last = prefix
        return True

    def _is_full(self) -> bool:
        self.is_cut = len(self.keys) + len(self.prefixes) >= self.query.most
        return self.is_cut


def token_of(key: str) -> str:
    """A continuation token, which clients hand back as it is."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def key_of(token: str) -> str:
    """The key in a continuation token.

    Raises:
        S3Error: it is none.
    """
    try:
        return base64.b64decode(token.encode("ascii"), b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error) as error:
        raise S3Error(
            "InvalidArgument", "The continuation token is none of this service."
        ) from error
