"""Connections to SQLite in a file or to PostgreSQL, by URL, with a bound on every wait."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import platformdirs
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError

from seedbed.errors import UnavailableError

AUTO = "auto"
"""A file in the user's data directory."""

NONE = "none"
"""No registry."""

_NO_HOME = Path("/nonexistent")
"""What Debian calls the home of users that have none, so that nobody makes it."""

_SQLITE, _POSTGRES = "sqlite", "postgresql"

_WRITER_LOCK = 0x5EEDBED
"""Of PostgreSQL's advisory locks, the one that the writer of a registry holds."""


def registry_url(setting: str) -> URL:
    """The database that a setting names.

    Raises:
        ValueError: it names none that can be used. The message does not repeat it, since it may
            hold a password.
    """
    if setting == AUTO:
        return URL.create(_SQLITE, database=str(default_path()))
    try:
        url = make_url(setting)
    except ArgumentError as error:
        raise ValueError(_USAGE) from error
    kind = url.drivername.partition("+")[0]
    if kind == _SQLITE and url.drivername == _SQLITE:
        if url.database in (None, "", ":memory:"):
            raise ValueError("a registry in memory would forget; name a file: sqlite:////var/…")
        return url
    if kind in (_POSTGRES, "postgres") and url.drivername.endswith((kind, "+psycopg")):
        if find_spec("psycopg") is None:
            raise ValueError("PostgreSQL needs psycopg: pip install 'seedbed[postgres]'")
        return url.set(drivername=f"{_POSTGRES}+psycopg")
    raise ValueError(_USAGE)


_USAGE = (
    "a registry is auto, none, a file as in sqlite:////var/lib/seedbed/registry.db, or "
    "postgresql://user:password@host/database"
)


def default_path() -> Path:
    """Where the registry is if nobody says otherwise."""
    try:
        directory = platformdirs.user_data_path("seedbed")
    except RuntimeError:  # a user without a home, as in some containers
        directory = _NO_HOME / "seedbed"
    return directory / "registry.db"


class Database:
    """A pool of connections to read by, and one to write by, each opened when it is needed.

    Any number of threads may use it at once; those past the size of the pool wait. Writers have a
    connection apart, so that those who wait for a lock keep no reader waiting.

    Args:
        url: from `registry_url`.
        connections: at most, to read by.
        seconds: bound on each wait: for a connection, a lock, a statement, the network.
    """

    def __init__(self, url: URL, connections: int, seconds: float) -> None:
        self.kind = url.drivername.partition("+")[0]
        self._path = Path(url.database or "") if self.kind == _SQLITE else None
        self._milliseconds = max(int(seconds * 1000), 1)
        self._seconds = seconds
        self._readers = self._pool(url, connections)
        self._writers = self._pool(url, 1)

    def _pool(self, url: URL, connections: int) -> Engine:
        engine = create_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=self._seconds,
            pool_pre_ping=self.kind == _POSTGRES,  # connections that ended with their server
            hide_parameters=True,  # no text of a spec in a log
            connect_args=self._arguments(self._seconds),
        )
        if self.kind == _SQLITE:
            event.listen(engine, "connect", self._configure)
            event.listen(engine, "begin", _begin)
        return engine

    @property
    def engines(self) -> tuple[Engine, Engine]:
        """SQLAlchemy's own: that of readers, and that of writers."""
        return self._readers, self._writers

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database."""
        with self._readers.connect() as connection, connection.begin():
            self._bound(connection)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction without any other writer at the same time, all or nothing."""
        connecting = self._writers.connect().execution_options(writes=True)
        with connecting as connection, connection.begin():
            self._bound(connection)
            if self.kind == _POSTGRES:
                lock = text("SELECT pg_advisory_xact_lock(:key)")
                connection.execute(lock, {"key": _WRITER_LOCK})
            yield connection

    def prepare(self) -> None:
        """Make the directory of a file, for its owner alone.

        Raises:
            UnavailableError: it cannot be made.
        """
        if self._path is not None:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise UnavailableError(
                    f"the registry's directory cannot be made: {error.strerror}", None
                ) from error

    def identity(self) -> object:
        """What tells the file from another one under its path; None if there is none.

        Always the same where the database is no file.
        """
        if self._path is None:
            return self.kind
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._readers.dispose()
        self._writers.dispose()

    def _arguments(self, seconds: float) -> dict[str, Any]:
        if self.kind == _SQLITE:
            return {"timeout": seconds}
        return {
            "connect_timeout": max(round(seconds), 2),  # libpq's least
            "tcp_user_timeout": self._milliseconds,  # of a network that swallows packets
            "application_name": "seedbed",
            "prepare_threshold": None,  # nothing that a pooler between would not carry
        }

    def _configure(self, connection: sqlite3.Connection, _: object) -> None:
        """SQLite as a server's store: readers beside a writer, and nothing lost once committed."""
        connection.isolation_level = None  # `_begin` says when a transaction begins
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    def _bound(self, connection: Connection) -> None:
        if self.kind == _POSTGRES:
            connection.execute(text(f"SET LOCAL statement_timeout = {self._milliseconds}"))


def _begin(connection: Connection) -> None:
    """Take SQLite's lock for writing at the start: a reader that turns writer could not wait."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
