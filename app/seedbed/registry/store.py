"""Named specs in a database: what is stored, replaced and found again, all or nothing.

A name means a spec. When it is replaced, what it meant stays findable by its digest, up to a number
of versions, so that links which pin a content go on or end in an error, but never lead to other
bytes. Seeds are not stored: a link says which. Deleting a name deletes all that it ever meant.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, func, insert, select, tuple_, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from seedbed.errors import (
    ConflictError,
    OverwriteError,
    UnavailableError,
    UnknownSpecError,
)
from seedbed.files import CheckpointSpec, SpecIdentity
from seedbed.registry.database import Database
from seedbed.registry.ids import SpecId
from seedbed.registry.records import (
    Content,
    Expected,
    Page,
    RegistryLimits,
    SpecEntry,
    StoredSpec,
    digest_of,
    etag_of,
)
from seedbed.registry.schema import is_current, migrate, records, specs, versions

RETRY_SECONDS = 2

log = logging.getLogger("seedbed.registry")

_ENTRY = (
    specs.c.namespace,
    specs.c.name,
    specs.c.digest,
    specs.c.seed,
    specs.c.etag,
    specs.c.size_bytes,
    specs.c.created,
    specs.c.updated,
)

_SEARCHABLE = re.compile(r"[A-Za-z0-9_./-]*", re.ASCII)
_HEXADECIMAL = re.compile(r"[0-9a-f]{1,64}", re.ASCII)

_CONTENT = (versions.c.namespace, versions.c.name, versions.c.digest, versions.c.text)


class SpecStore:
    """The registry's contents; its calls block, and any number of threads may make them.

    The database is opened and brought to the newest form by the first call, and again after it
    failed, so that the service starts without it and goes on when it comes back.

    Args:
        database: where.
        limits: how much may be stored.
        now: microseconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        limits: RegistryLimits | None = None,
        now: Callable[[], int] = lambda: int(datetime.now(UTC).timestamp() * 1e6),
    ) -> None:
        self._database = database
        self._limits = limits or RegistryLimits()
        self._now = now
        self._opened: object = None
        self._opening = threading.Lock()

    def open(self) -> None:
        """Open the database, unless it is open and still the same file.

        Raises:
            UnavailableError: as all calls do, if the database cannot be asked. A file that has
                gone is missed, not made anew: it may have been moved by mistake.
        """
        if self._is_open():
            return
        with self._opening, _failures():
            if self._is_open():  # another thread has opened it meanwhile
                return
            if self._opened is not None:
                self._database.close()
                if self._database.identity() is None:
                    raise UnavailableError("the registry's file has gone", RETRY_SECONDS)
            self._database.prepare()
            with self._database.reading() as connection:
                is_ready = is_current(connection)
            if not is_ready:
                with self._database.writing() as connection:
                    migrate(connection)
            self._opened = self._database.identity()

    def _is_open(self) -> bool:
        return self._opened is not None and self._opened == self._database.identity()

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def put(
        self, spec_id: SpecId, text: bytes, spec: CheckpointSpec | SpecIdentity, expected: Expected
    ) -> tuple[SpecEntry, bool]:
        """Store a spec under a name; whether the name is new.

        The same spec may be stored again by anyone, also in another spelling, which is then the
        one that is kept. Another spec needs a writer who says what it replaces.

        Args:
            spec_id: the name.
            text: the spec's JSON, kept as it is.
            spec: what it means. The caller has made sure that it means a file.
            expected: to be stored now.

        Raises:
            ConflictError: what is stored is not what was expected.
            OverwriteError: nothing was expected, and something else is stored.
            LimitError: there would be too many, or too large ones.
        """
        self._limits.require("max_spec_bytes", len(text), "bytes of a spec")
        digest = digest_of(spec)
        with self._writing() as connection:
            old = self._find_entry(connection, spec_id)
            _check(spec_id, expected, old)
            now = self._now()
            entry = SpecEntry(
                id=spec_id,
                digest=digest,
                seed=spec.seed,
                etag=etag_of(text),
                size_bytes=len(text),
                created=old.created if old else _time(now),
                updated=max(old.updated, _time(now)) if old else _time(now),
            )
            if old is None:
                self._require_room(connection, spec_id)
                connection.execute(insert(specs).values(_row(entry)))
            elif old.etag == entry.etag:
                return old, False
            else:
                if (old.digest, old.seed) != (digest, spec.seed) and not expected.says_which:
                    raise OverwriteError(
                        f"{spec_id} is another spec already; to replace it, say which one: its "
                        f'ETag is "{old.etag}"',
                        old.etag,
                    )
                connection.execute(update(specs).where(_is(specs, spec_id)).values(_row(entry)))
            self._keep_version(connection, entry, text)
            return entry, old is None

    def get(self, spec_id: SpecId) -> StoredSpec:
        """What a name means now.

        Raises:
            UnknownSpecError: there is no such name.
        """
        joined = specs.join(
            versions,
            and_(
                versions.c.namespace == specs.c.namespace,
                versions.c.name == specs.c.name,
                versions.c.digest == specs.c.digest,
            ),
        )
        query = select(*_ENTRY, versions.c.text).select_from(joined).where(_is(specs, spec_id))
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise _unknown(spec_id)
        return StoredSpec(_entry(row), row.text)

    def delete(self, spec_id: SpecId, expected: Expected) -> None:
        """Forget a name and everything that it ever meant.

        Raises:
            UnknownSpecError: there is no such name.
            ConflictError: what is stored is not what was expected.
        """
        with self._writing() as connection:
            old = self._find_entry(connection, spec_id)
            _check(spec_id, expected, old)
            if old is None:
                raise _unknown(spec_id)
            connection.execute(delete(versions).where(_is(versions, spec_id)))
            connection.execute(delete(specs).where(_is(specs, spec_id)))

    def list(
        self,
        *,
        namespace: str | None = None,
        search: str = "",
        limit: int = 100,
        after: SpecId | None = None,
    ) -> Page:
        """Some of the names, in order of their code points.

        Args:
            namespace: only of this one.
            search: only those whose `namespace/name` has this text, in upper or lower case.
            limit: at most so many.
            after: only those behind this one: `last` of the page before.
        """
        if not _SEARCHABLE.fullmatch(search + (namespace or "")):
            return Page((), None)
        query: Select[Any] = select(*_ENTRY).order_by(specs.c.namespace, specs.c.name)
        if namespace is not None:
            query = query.where(specs.c.namespace == namespace)
        if search:
            whole = func.lower(specs.c.namespace + "/" + specs.c.name)
            query = query.where(whole.contains(search.lower(), autoescape=True))
        if after is not None:
            query = query.where(tuple_(specs.c.namespace, specs.c.name) > tuple(after))
        with self._reading() as connection:
            entries = [_entry(row) for row in connection.execute(query.limit(limit + 1))]
        more = len(entries) > limit
        page = tuple(entries[:limit])
        return Page(page, page[-1].id if more and page else None)

    def namespaces(self, limit: int = 1000) -> tuple[str, ...]:
        """Those that have specs, in order of their code points.

        Args:
            limit: at most so many.
        """
        query = select(specs.c.namespace).distinct().order_by(specs.c.namespace).limit(limit)
        with self._reading() as connection:
            return tuple(connection.execute(query).scalars())

    def find(self, prefix: str, spec_id: SpecId | None = None) -> Content:
        """The content with this digest, or with one that begins so.

        Args:
            prefix: hexadecimal digits, lower case; `PREFIX_DIGITS` of them suffice.
            spec_id: only of this name, now or earlier.

        Raises:
            UnknownSpecError: nobody stores it, or not any more.
        """
        if not _HEXADECIMAL.fullmatch(prefix):
            raise UnknownSpecError(f"{prefix[:64]!r} begins no digest")
        query = (
            select(*_CONTENT)
            .where(versions.c.digest >= prefix, versions.c.digest < f"{prefix}g")
            .order_by(versions.c.digest, versions.c.namespace, versions.c.name)
            .limit(1)
        )
        if spec_id is not None:
            query = query.where(_is(versions, spec_id))
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            whose = "no spec has" if spec_id is None else f"{spec_id} has"
            raise UnknownSpecError(f"{whose} no content whose digest begins with {prefix[:64]!r}")
        return _content(row)

    def versions(self, spec_id: SpecId) -> tuple[Content, ...]:
        """What a name means and has meant, the newest first; nothing if there is no such name."""
        query = select(*_CONTENT).where(_is(versions, spec_id)).order_by(versions.c.serial.desc())
        with self._reading() as connection:
            return tuple(map(_content, connection.execute(query)))

    def record(self, key: str, digest: str | None = None) -> tuple[bytes, str] | None:
        """What was recorded under a key, and its digest; the first that was, if none is asked for.

        Args:
            key: of config and library.
            digest: that it must have.
        """
        query = select(records.c.packed, records.c.digest).where(records.c.key == key)
        if digest is not None:
            query = query.where(records.c.digest == digest)
        query = query.order_by(records.c.created, records.c.digest).limit(1)
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else (row.packed, row.digest)

    def put_record(self, key: str, digest: str, packed: bytes) -> None:
        """Keep what was recorded, and drop the oldest past the limit."""
        with self._writing() as connection:
            same = and_(records.c.key == key, records.c.digest == digest)
            if connection.execute(select(records.c.key).where(same)).one_or_none() is not None:
                return
            row = {"key": key, "digest": digest, "created": self._now(), "packed": packed}
            connection.execute(insert(records).values(row))
            by_age = select(records.c.key, records.c.digest).order_by(records.c.created.desc())
            for old in connection.execute(by_age.offset(self._limits.max_records)).all():
                one = and_(records.c.key == old.key, records.c.digest == old.digest)
                connection.execute(delete(records).where(one))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        self.open()
        with _failures(), self._database.reading() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        self.open()
        with _failures(), self._database.writing() as connection:
            yield connection

    def _find_entry(self, connection: Connection, spec_id: SpecId) -> SpecEntry | None:
        row = connection.execute(select(*_ENTRY).where(_is(specs, spec_id))).one_or_none()
        return None if row is None else _entry(row)

    def _require_room(self, connection: Connection, spec_id: SpecId) -> None:
        """Refuse one more name than there may be."""
        counted = select(func.count()).select_from(specs)
        self._limits.require(
            "max_specs", connection.execute(counted).scalar_one() + 1, "stored specs"
        )
        there = counted.where(specs.c.namespace == spec_id.namespace)
        self._limits.require(
            "max_specs_per_namespace",
            connection.execute(there).scalar_one() + 1,
            f"stored specs of {spec_id.namespace}",
        )

    def _keep_version(self, connection: Connection, entry: SpecEntry, text: bytes) -> None:
        """Store a content as the newest of its name, and drop the oldest past the limit."""
        of_name = _is(versions, entry.id)
        newest = connection.execute(select(func.max(versions.c.serial)).where(of_name)).scalar()
        connection.execute(delete(versions).where(of_name, versions.c.digest == entry.digest))
        connection.execute(
            insert(versions).values(
                namespace=entry.id.namespace,
                name=entry.id.name,
                digest=entry.digest,
                serial=(newest or 0) + 1,
                size_bytes=entry.size_bytes,
                text=text,
            )
        )
        by_age = select(versions.c.digest).where(of_name).order_by(versions.c.serial.desc())
        for digest in connection.scalars(by_age.offset(self._limits.max_spec_versions)).all():
            connection.execute(delete(versions).where(of_name, versions.c.digest == digest))
        stored = connection.execute(select(func.sum(versions.c.size_bytes))).scalar_one()
        self._limits.require("max_registry_bytes", int(stored), "bytes of stored specs")


def _check(spec_id: SpecId, expected: Expected, old: SpecEntry | None) -> None:
    """Hold what is stored to what a writer expects.

    Raises:
        ConflictError: it is something else.
    """
    if old is None:
        if expected.says_which:
            raise ConflictError(f"there is no {spec_id} to be replaced", None)
        return
    if expected.nothing:
        raise ConflictError(f"there is a {spec_id} already", old.etag)
    if (expected.etags is not None and old.etag not in expected.etags) or (
        old.etag in expected.unlike
    ):
        raise ConflictError(f'the ETag of {spec_id} is "{old.etag}"', old.etag)


def _unknown(spec_id: SpecId) -> UnknownSpecError:
    return UnknownSpecError(f"there is no spec {str(spec_id)!r}")


def _is(table: Any, spec_id: SpecId) -> Any:
    return and_(table.c.namespace == spec_id.namespace, table.c.name == spec_id.name)


def _time(microseconds: int) -> datetime:
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


def _microseconds(time: datetime) -> int:
    return int(time.replace(microsecond=0).timestamp()) * 1_000_000 + time.microsecond


def _row(entry: SpecEntry) -> dict[str, object]:
    return {
        "namespace": entry.id.namespace,
        "name": entry.id.name,
        "digest": entry.digest,
        "seed": str(entry.seed),
        "etag": entry.etag,
        "size_bytes": entry.size_bytes,
        "created": _microseconds(entry.created),
        "updated": _microseconds(entry.updated),
    }


def _entry(row: Any) -> SpecEntry:
    return SpecEntry(
        id=SpecId(row.namespace, row.name),
        digest=row.digest,
        seed=int(row.seed),
        etag=row.etag,
        size_bytes=row.size_bytes,
        created=_time(row.created),
        updated=_time(row.updated),
    )


def _content(row: Any) -> Content:
    return Content(SpecId(row.namespace, row.name), row.digest, row.text)


@contextmanager
def _failures() -> Iterator[None]:
    """Turn what a database or its driver says into one error, and the rest into a line of the log.

    Raises:
        UnavailableError: instead of an error of SQLAlchemy's.
    """
    try:
        yield
    except SQLAlchemyError as error:
        why = error.orig if isinstance(error, DBAPIError) else error
        log.warning("the registry cannot be asked: %s: %s", type(why).__name__, _one_line(why))
        raise UnavailableError(
            "stored specs cannot be read or written now: the registry's database does not answer "
            "as it should; the log says why",
            RETRY_SECONDS,
        ) from error


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]
