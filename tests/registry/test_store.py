from __future__ import annotations

import logging
import shutil
import sqlite3
from pathlib import Path

import pytest

from seedbed.errors import UnavailableError
from seedbed.registry import SpecStore
from tests.registry.suite import ANY, NET, REPLACE, StoreSuite, opened, put, text_of


class TestSQLite(StoreSuite):
    """The suite, over a file."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        """Of a file that does not exist yet, in a directory that does not exist either."""
        return f"sqlite:///{tmp_path}/data/registry.db"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a registry with one spec in it."""
    path = tmp_path / "registry.db"
    with opened(f"sqlite:///{path}") as store:
        put(store, NET, text_of(1), ANY)
    return path


def refuses(store: SpecStore) -> UnavailableError:
    """The error that reading and writing end in."""
    with pytest.raises(UnavailableError):
        put(store, NET, text_of(2), REPLACE)
    with pytest.raises(UnavailableError) as caught:
        store.get(NET)
    return caught.value


def test_a_file_that_goes_and_comes_back(path: Path) -> None:
    """While the file is gone nothing is made in its place; when it is back, it is used again."""
    with opened(f"sqlite:///{path}") as store:
        store.open()
        path.rename(path.with_suffix(".away"))
        assert "gone" in str(refuses(store))
        assert not path.exists()
        shutil.copy(path.with_suffix(".away"), path)
        assert store.get(NET).text == text_of(1)


def test_a_file_that_is_replaced(tmp_path: Path, path: Path) -> None:
    """Another file under the path, as a backup that is restored, is what is read from then on."""
    with opened(f"sqlite:///{tmp_path}/backup.db") as other:
        put(other, NET, text_of(9), ANY)
    with opened(f"sqlite:///{path}") as store:
        assert store.get(NET).text == text_of(1)
        (tmp_path / "backup.db").rename(path)
        assert store.get(NET).text == text_of(9)


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4000]
)
def test_a_file_that_is_damaged(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is no database is an error that may pass, with the reason in the log alone."""
    (tmp_path / "r.db").write_bytes(content)
    with opened(f"sqlite:///{tmp_path}/r.db") as store, caplog.at_level(logging.WARNING):
        error = refuses(store)
    assert error.retry_seconds is not None
    assert str(tmp_path) not in str(error)
    assert "not a database" in caplog.text
    assert (tmp_path / "r.db").read_bytes() == content


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    """A directory that cannot be made is an error that only another setting would mend."""
    (tmp_path / "file").write_bytes(b"")
    with opened(f"sqlite:///{tmp_path}/file/data/r.db") as store:
        assert refuses(store).retry_seconds is None


def test_a_full_disk(path: Path) -> None:
    """A write that finds no room leaves what was stored, and the next one goes on when there is."""
    with opened(f"sqlite:///{path}") as store:
        store.open()
        limit = sqlite3.connect(path)
        pages = limit.execute("PRAGMA page_count").fetchone()[0]
        limit.close()
        with store._database.writing() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(UnavailableError):
            put(store, NET, text_of(2) + b" " * 100_000, REPLACE)
        assert store.get(NET).text == text_of(1)
        with store._database.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        put(store, NET, text_of(2) + b" " * 100_000, REPLACE)


def test_a_writer_that_does_not_end(path: Path) -> None:
    """Writers wait for another one so long and no longer; readers do not wait."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with opened(f"sqlite:///{path}", seconds=0.2) as store:
        with pytest.raises(UnavailableError):
            put(store, NET, text_of(2), REPLACE)
        assert store.get(NET).text == text_of(1)
        other.execute("ROLLBACK")
        other.close()
        put(store, NET, text_of(2), REPLACE)
