"""The tables, and how they came about: numbered migrations, each applied once.

There are three tables and no more changes to them than stand here, so a list of statements does
what a migration tool would, within one transaction on both databases.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    func,
    insert,
    inspect,
    select,
    text,
)

from seedbed.errors import UnavailableError

metadata = MetaData()

specs = Table(
    "specs",
    metadata,
    Column("namespace", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("digest", String, nullable=False),
    Column("seed", String, nullable=False),
    Column("etag", String, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
)
"""The names, and what each means now. Times are microseconds since 1970; a seed is decimal digits,
since databases have no unsigned 64-bit integers."""

versions = Table(
    "versions",
    metadata,
    Column("namespace", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("digest", String, primary_key=True),
    Column("serial", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("text", LargeBinary, nullable=False),
    ForeignKeyConstraint(
        ["namespace", "name"], ["specs.namespace", "specs.name"], ondelete="CASCADE"
    ),
    Index("versions_by_digest", "digest"),
    Index("versions_by_size", "size_bytes"),
)
"""What each name means and has meant. The serial numbers of a name grow with each change."""

records = Table(
    "records",
    metadata,
    Column("key", String, primary_key=True),
    Column("digest", String, primary_key=True),
    Column("created", BigInteger, nullable=False),
    Column("packed", LargeBinary, nullable=False),
    Index("records_by_age", "created"),
)
"""What a library said of a config, by both and by what it comes to."""

# `{text}` compares by code point, whatever the database's locale; `{bytes}` is a string of bytes.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE specs (
            namespace {text} NOT NULL,
            name {text} NOT NULL,
            digest {text} NOT NULL,
            seed {text} NOT NULL,
            etag {text} NOT NULL,
            size_bytes BIGINT NOT NULL,
            created BIGINT NOT NULL,
            updated BIGINT NOT NULL,
            PRIMARY KEY (namespace, name)
        )""",
        """CREATE TABLE versions (
            namespace {text} NOT NULL,
            name {text} NOT NULL,
            digest {text} NOT NULL,
            serial INTEGER NOT NULL,
            size_bytes BIGINT NOT NULL,
            text {bytes} NOT NULL,
            PRIMARY KEY (namespace, name, digest),
            FOREIGN KEY (namespace, name) REFERENCES specs (namespace, name) ON DELETE CASCADE
        )""",
        "CREATE INDEX versions_by_digest ON versions (digest)",
        "CREATE INDEX versions_by_size ON versions (size_bytes)",
    ),
    (
        """CREATE TABLE records (
            key {text} NOT NULL,
            digest {text} NOT NULL,
            created BIGINT NOT NULL,
            packed {bytes} NOT NULL,
            PRIMARY KEY (key, digest)
        )""",
        "CREATE INDEX records_by_age ON records (created)",
    ),
)
"""By number, from 1. One that was released is never changed: what comes later is another one."""

_TYPES = {
    "sqlite": {"text": "TEXT COLLATE BINARY", "bytes": "BLOB"},
    "postgresql": {"text": 'TEXT COLLATE "C"', "bytes": "BYTEA"},
}

_journal = Table(
    "seedbed_migrations",
    MetaData(),
    Column("version", Integer, primary_key=True, autoincrement=False),
)


def is_current(connection: Connection) -> bool:
    """Whether a database has the newest form."""
    if not inspect(connection).has_table(_journal.name):
        return False
    return bool(connection.scalar(select(func.max(_journal.c.version))) == len(MIGRATIONS))


def migrate(connection: Connection, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    """Bring a database to the newest form, within the caller's transaction, as its only writer.

    Raises:
        UnavailableError: a newer Seedbed has written it, which this one would damage.
    """
    _journal.create(connection, checkfirst=True)
    applied = connection.scalar(select(func.max(_journal.c.version))) or 0
    if applied > len(migrations):
        raise UnavailableError(
            f"the registry has version {applied}, which a newer Seedbed made; this one knows "
            f"versions up to {len(migrations)}",
            None,
        )
    types = _TYPES[connection.dialect.name]
    for version, statements in enumerate(migrations[applied:], applied + 1):
        for statement in statements:
            connection.execute(text(statement.format(**types)))
        connection.execute(insert(_journal).values(version=version))
