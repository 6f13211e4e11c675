from __future__ import annotations

import os
import sqlite3
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import platformdirs
import pytest

from seedbed.registry import AUTO, Database, default_path, registry_url
from seedbed.registry import database as module

SECRET = "tops3cret"


@pytest.fixture
def _psycopg_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not it is installed here."""
    monkeypatch.setattr(module, "find_spec", lambda name: ModuleSpec(name, None))


@pytest.mark.usefixtures("_psycopg_is_there")
@pytest.mark.parametrize(
    ("setting", "driver", "database"),
    [
        ("sqlite:////var/lib/r.db", "sqlite", "/var/lib/r.db"),
        ("sqlite:///r.db", "sqlite", "r.db"),
        ("postgresql://u:p@h/d", "postgresql+psycopg", "d"),
        ("postgresql+psycopg://u:p@h:1/d?sslmode=require", "postgresql+psycopg", "d"),
        ("postgres://u:p@h/d", "postgresql+psycopg", "d"),
    ],
)
def test_urls(setting: str, driver: str, database: str) -> None:
    """SQLite in a file and PostgreSQL, in each of the spellings that are about."""
    url = registry_url(setting)
    assert (url.drivername, url.database) == (driver, database)


@pytest.mark.usefixtures("_psycopg_is_there")
@pytest.mark.parametrize(
    "setting",
    [
        "", "none", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://u:p@h/d", "/a/b.db",
        "postgresql+asyncpg://u@h/d", "sqlite+aiosqlite:///x.db", "registry", "postgresql//h",
    ],
)  # fmt: skip
def test_what_is_no_registry(setting: str) -> None:
    """Other databases, drivers and texts are refused, as is memory, which would forget."""
    with pytest.raises(ValueError, match="registry"):
        registry_url(setting)


def test_no_error_repeats_a_password() -> None:
    """What is wrong with a URL is said without the URL."""
    for setting in (f"mysql://u:{SECRET}@h/d", f"postgres//u:{SECRET}@h", f"sqlite+x:///{SECRET}"):
        with pytest.raises(ValueError, match="a registry is") as caught:
            registry_url(setting)
        assert SECRET not in str(caught.value)


def test_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL without psycopg is refused with the command that installs it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install 'seedbed\[postgres\]'"):
        registry_url("postgresql://u:p@h/d")


def test_auto(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By itself it is a file in the user's data directory, in a directory for its owner alone."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert default_path() == platformdirs.user_data_path("seedbed") / "registry.db"
    url = registry_url(AUTO)
    assert url.database == str(default_path())
    database = Database(url, 1, 1.0)
    assert database.identity() is None
    database.prepare()
    with database.reading():
        pass
    database.close()
    assert default_path().parent.stat().st_mode & 0o777 == 0o700
    assert database.identity() is not None


def test_nobodys_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a user without a home it is where nobody can make it, which stops no start."""
    for variable in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for an unknown user id
    assert default_path() == Path("/nonexistent/seedbed/registry.db")


def test_sqlite_is_set_up_to_last(tmp_path: Path) -> None:
    """The file has a write-ahead log, syncs each commit, and keeps references sound."""
    database = Database(registry_url(f"sqlite:///{tmp_path}/r.db"), 1, 2.5)
    with database.reading() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    database.close()
    assert found == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 2500,
    }  # fmt: skip
    with sqlite3.connect(tmp_path / "r.db") as plain:
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    plain.close()
