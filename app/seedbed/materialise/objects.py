"""An object store as a target, through obstore: S3, Google Cloud Storage, Azure.

Credentials, endpoints and regions come from obstore's own environment variables, as
`AWS_ENDPOINT_URL`; so do retries of single requests, for three minutes each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url

from seedbed.errors import StoreError
from seedbed.files import CHUNK_BYTES, File, split
from seedbed.materialise.meanings import explained
from seedbed.materialise.plan import StoreKind
from seedbed.materialise.targets import At

ETAG_KEY = "seedbed"
"""Of an object's own metadata; letters only, which Azure and every proxy let through."""

PARTS_AHEAD = 4
"""Parts of one object that are on their way at the same time; each takes its size in memory."""

_FIRST_TRIES: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
"""Of requests before anything is written: what is wrong with a store should be known soon."""

_READ_BYTES = 8 * CHUNK_BYTES


class Bucket:
    """A prefix of a bucket.

    Args:
        url: of it.
        kind: of the store.
        threads: that draw at the same time, for all objects together.

    Raises:
        StoreError: the environment does not say enough to reach it.
    """

    def __init__(self, url: str, kind: StoreKind, threads: int) -> None:
        self.url = url
        self._kind = kind
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="draw")
        with self._explained():
            self._store = from_url(url)
            self._asked = from_url(url, retry_config=_FIRST_TRIES)

    def sizes(self) -> Mapping[str, int]:
        """Bytes of the objects there, by name; not of what lies deeper.

        An object of the prefix's own name is what consoles make for an empty folder.
        """
        with self._explained():
            listing = obstore.list_with_delimiter(self._asked)
        prefix = getattr(self._asked, "prefix", None)
        cut = f"{prefix}/" if prefix else ""
        sizes = {entry["path"].removeprefix(cut): entry["size"] for entry in listing["objects"]}
        return {name: size for name, size in sizes.items() if name}

    def holds(self, file: File) -> bool:
        """Whether size and ETag, in the object's metadata, are those of the file."""
        with self._explained():
            try:
                there = obstore.get(self._store, file.name, options={"head": True})
            except (FileNotFoundError, NotFoundError):
                return False
        own: Mapping[Any, str] = there.attributes
        return there.meta["size"] == file.size and own.get(ETAG_KEY) == file.etag

    def write(self, file: File, at: At, *, replace: bool) -> None:  # noqa: ARG002
        """Upload a file, in parts if it is large; one that fails or is given up is aborted.

        Raises:
            StoreError: the store refuses or fails.
        """
        attributes = {ETAG_KEY: file.etag}
        part = self._kind.part_size(file.size)
        with self._explained():
            if file.size <= part:
                whole = b"".join(self._pieces(file, at))
                obstore.put(
                    self._store, file.name, whole, attributes=attributes, use_multipart=False
                )
            else:
                obstore.put(
                    self._store, file.name, self._pieces(file, at), attributes=attributes,
                    chunk_size=part, max_concurrency=PARTS_AHEAD,
                )  # fmt: skip

    def _pieces(self, file: File, at: At) -> Iterator[bytes | bytearray]:
        """All of a file in order, drawn some pieces ahead by several threads."""
        waiting: deque[Future[bytes | bytearray]] = deque()
        ahead, done = self._threads + 1, 0
        for start, stop in split(0, file.size, CHUNK_BYTES):
            waiting.append(self._pool.submit(file.read, start, stop))
            if len(waiting) > ahead:
                piece = waiting.popleft().result()
                done += len(piece)
                at(done)
                yield piece
        while waiting:
            piece = waiting.popleft().result()
            done += len(piece)
            at(done)
            yield piece

    def read(self, name: str) -> Iterator[memoryview]:
        """The bytes of an object."""
        with self._explained():
            for piece in obstore.get(self._store, name).stream(_READ_BYTES):
                yield memoryview(piece)

    def remove(self, name: str) -> None:
        """Delete an object."""
        with self._explained():
            obstore.delete(self._store, name)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except (BaseError, OSError) as error:
            raise explained(self.url, self._kind, error) from error
