"""How a registry must behave, whatever database it is in.

A test module makes a subclass of `StoreSuite` whose fixture `url` names an empty database, and
inherits every test.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text as sql

from seedbed.errors import (
    ConflictError,
    LimitError,
    OverwriteError,
    UnavailableError,
    UnknownSpecError,
)
from seedbed.files import CheckpointSpec
from seedbed.registry import (
    Content,
    Database,
    Expected,
    RegistryLimits,
    SpecEntry,
    SpecId,
    SpecStore,
    digest_of,
    registry_url,
)
from seedbed.registry.schema import MIGRATIONS, migrate
from tests.processes import PATIENCE_SECONDS
from tests.registry import dying
from tests.strategies import untimed

NET = SpecId.of("team", "net")

ANY = Expected()
NEW = Expected(nothing=True)
REPLACE = Expected(anything=True)


def text_of(elements: int, seed: int = 0) -> bytes:
    """A spec's JSON, another for each number."""
    tensor = {"name": "w", "shape": [elements], "init": "zeros"}
    return json.dumps({"seed": seed, "tensors": [tensor]}).encode()


def spec_of(text: bytes) -> CheckpointSpec:
    """What a text means."""
    return CheckpointSpec.model_validate_json(text)


def put(store: SpecStore, name: SpecId, text: bytes, expected: Expected) -> tuple[SpecEntry, bool]:
    """Store a text."""
    return store.put(name, text, spec_of(text), expected)


@contextmanager
def opened(
    url: str, limits: RegistryLimits | None = None, *, seconds: float = 30.0, **given: Any
) -> Iterator[SpecStore]:
    """A store of a database, closed in the end."""
    store = SpecStore(Database(registry_url(url), 8, seconds), limits, **given)
    try:
        yield store
    finally:
        store.close()


def clear(url: str) -> None:
    """Take everything out of a database, its tables too."""
    database = Database(registry_url(url), 1, 30.0)
    database.prepare()
    with database.writing() as connection:
        for table in ("versions", "specs", "records", "seedbed_migrations"):
            connection.execute(sql(f"DROP TABLE IF EXISTS {table}"))
    database.close()


def at_once(works: list[Callable[[], Any]]) -> list[Any]:
    """What calls give that begin at the same time in threads: results, or the errors raised."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        barrier.wait(PATIENCE_SECONDS)
        try:
            return work()
        except (ConflictError, LimitError, UnknownSpecError) as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


class Machine(RuleBasedStateMachine):
    """Random calls of a store, each beside what a few dictionaries would do.

    Class attributes: `url` of an empty database.
    """

    url = ""
    keeps = 3

    names = st.sampled_from(
        [SpecId.of(a, b) for a in ("B", "a", "a.b") for b in ("x", "X-1", "y_")]
    )
    texts = st.builds(text_of, st.integers(1, 4), st.integers(0, 1))

    def __init__(self) -> None:
        super().__init__()
        clear(self.url)
        limits = RegistryLimits(
            max_specs=6, max_specs_per_namespace=2, max_spec_versions=self.keeps
        )
        self.store = SpecStore(Database(registry_url(self.url), 2, 30.0), limits)
        self.now: dict[SpecId, bytes] = {}
        self.past: dict[SpecId, dict[str, bytes]] = {}

    def teardown(self) -> None:
        """Close it."""
        self.store.close()

    @staticmethod
    def etag(text: bytes) -> str:
        """What an ETag is, worked out here."""
        return hashlib.sha256(text).hexdigest()[:32]

    def conflict(self, name: SpecId, expected: Expected) -> bool:
        """Whether a writer is wrong about what is stored."""
        if name not in self.now:
            return expected.anything or expected.etags is not None
        etag = self.etag(self.now[name])
        listed = expected.etags is None or etag in expected.etags
        return expected.nothing or not listed or etag in expected.unlike

    @rule(
        name=names,
        text=texts,
        expected=st.builds(
            Expected,
            etags=st.none() | st.lists(texts.map(etag.__func__), max_size=3).map(tuple),
            anything=st.booleans(),
            nothing=st.booleans(),
            unlike=st.lists(texts.map(etag.__func__), max_size=1).map(tuple),
        )
        | st.just(ANY),
    )
    def put(self, name: SpecId, text: bytes, expected: Expected) -> None:
        """Store, or be refused for exactly the reason that the dictionaries give."""
        old = self.now.get(name)
        spec = spec_of(text)
        in_namespace = sum(other.namespace == name.namespace for other in self.now)
        refusal: type[Exception] | None = None
        if self.conflict(name, expected):
            refusal = ConflictError
        elif old is None and (len(self.now) >= 6 or in_namespace >= 2):
            refusal = LimitError
        elif old not in (None, text) and not (expected.anything or expected.etags is not None):
            refusal = OverwriteError
        if refusal is not None:
            with pytest.raises(refusal) as caught:
                put(self.store, name, text, expected)
            assert type(caught.value) is refusal
            return
        entry, is_new = put(self.store, name, text, expected)
        assert (entry.id, entry.etag, is_new) == (name, self.etag(text), old is None)
        self.now[name] = text
        past = self.past.setdefault(name, {})
        past.pop(spec.digest, None)
        past[spec.digest] = text
        while len(past) > self.keeps:
            del past[next(iter(past))]

    @rule(name=names, expected=st.sampled_from([ANY, REPLACE, Expected(etags=("0" * 32,))]))
    def delete(self, name: SpecId, expected: Expected) -> None:
        """Delete, with everything that the name ever meant."""
        if self.conflict(name, expected):
            with pytest.raises(ConflictError):
                self.store.delete(name, expected)
        elif name not in self.now:
            with pytest.raises(UnknownSpecError):
                self.store.delete(name, expected)
        else:
            self.store.delete(name, expected)
            del self.now[name], self.past[name]

    @rule(
        namespace=st.none() | st.sampled_from(["a", "B", "A", "nobody", "a%"]),
        search=st.sampled_from(["", "x", "X", "a/", "_", "%", "ü", "\0", "b/Y"]),
        limit=st.integers(1, 4),
    )
    def list(self, namespace: str | None, search: str, limit: int) -> None:
        """All pages together are the names that fit, in order of their code points."""
        found, after = [], None
        for page_number in itertools.count():
            assert page_number <= len(self.now)
            page = self.store.list(namespace=namespace, search=search, limit=limit, after=after)
            assert len(page.entries) <= limit
            found += [(entry.id, entry.etag) for entry in page.entries]
            if page.last is None:
                break
            after = page.last
        assert found == [
            (name, self.etag(self.now[name]))
            for name in sorted(self.now)
            if namespace in (None, name.namespace) and search.lower() in str(name).lower()
        ]

    @rule(name=names, text=texts, digits=st.sampled_from([24, 40, 64]))
    def find(self, name: SpecId, text: bytes, digits: int) -> None:
        """A digest's beginning leads to the content, of one name or of any that has it."""
        digest = spec_of(text).digest
        for of_name in (name, None):
            kept = self.past if of_name is None else {name: self.past.get(name, {})}
            owners = sorted(owner for owner, contents in kept.items() if digest in contents)
            if owners:
                found = self.store.find(digest[:digits], of_name)
                assert found == Content(owners[0], digest, self.past[owners[0]][digest])
                assert found.spec().digest == digest
            else:
                with pytest.raises(UnknownSpecError):
                    self.store.find(digest[:digits], of_name)

    @invariant()
    def everything_is_there(self) -> None:
        """Each name gives its text, and what it meant before, the newest first."""
        for name, text in self.now.items():
            stored = self.store.get(name)
            assert (stored.text, stored.entry.seed) == (text, json.loads(text)["seed"])
            assert stored.entry.size_bytes == len(text)
            kept = [content.text for content in self.store.versions(name)]
            assert kept == list(reversed(self.past[name].values()))


class StoreSuite:
    """Tests of a store over the fixture `url`."""

    def test_it_does_what_dictionaries_would(self, url: str) -> None:
        """Any series of calls gives what plain dictionaries give, refusals included."""
        machine = type("Bound", (Machine,), {"url": url})
        few = settings(untimed, max_examples=10, stateful_step_count=20)
        run_state_machine_as_test(machine, settings=few)  # type: ignore[no-untyped-call]

    def test_one_writer_wins(self, url: str) -> None:
        """Of writers at the same time one creates, one replaces; the others learn of it."""
        with opened(url) as store:
            texts = [text_of(i) for i in range(1, 9)]
            for expected in (NEW, Expected(etags=(...,))):  # type: ignore[arg-type]
                if expected.etags:
                    expected = Expected(etags=(store.get(NET).entry.etag,))  # noqa: PLW2901
                works = [lambda t=t, e=expected: put(store, NET, t + b" ", e) for t in texts]  # type: ignore[misc]
                found = at_once(works)
                (winner,) = [one for one in found if not isinstance(one, ConflictError)]
                assert store.get(NET).entry == winner[0]
                texts = [text_of(i) for i in range(11, 19)]

    def test_limits_hold_for_writers_at_the_same_time(self, url: str) -> None:
        """However many write at once, there are no more names than allowed, and exactly as many."""
        with opened(url, RegistryLimits(max_specs=5)) as store:
            works = [
                lambda i=i: put(store, SpecId.of(f"n{i}", "x"), text_of(1), ANY)  # type: ignore[misc]
                for i in range(8)
            ]
            refused = [one for one in at_once(works) if isinstance(one, LimitError)]
            assert [(e.limit, e.actual, e.maximum) for e in refused] == [("max_specs", 6, 5)] * 3
            assert len(store.list().entries) == 5

    def test_bytes_are_limited(self, url: str) -> None:
        """A text that is too long, or one too many, is refused and leaves everything as it was."""
        size = len(text_of(1))
        limits = RegistryLimits(max_spec_bytes=size, max_registry_bytes=2 * size)
        with opened(url, limits) as store:
            with pytest.raises(LimitError, match="max_spec_bytes"):
                put(store, NET, text_of(1) + b" ", ANY)
            with pytest.raises(UnknownSpecError):
                store.get(NET)
            put(store, NET, text_of(1), ANY)
            put(store, NET, text_of(2), REPLACE)
            with pytest.raises(LimitError, match="max_registry_bytes"):
                put(store, NET, text_of(3), REPLACE)
            assert store.get(NET).text == text_of(2)
            assert [content.text for content in store.versions(NET)] == [text_of(2), text_of(1)]

    def test_another_spelling_of_the_same_spec(self, url: str) -> None:
        """It is kept as it is spelled now, by any writer, as the same content."""
        with opened(url) as store:
            put(store, NET, text_of(1), ANY)
            entry, is_new = put(store, NET, text_of(1) + b"\n", ANY)
            assert (is_new, store.get(NET).text) == (False, text_of(1) + b"\n")
            assert [content.digest for content in store.versions(NET)] == [entry.digest]

    def test_shards_are_part_of_the_content(self, url: str) -> None:
        """Specs that differ in the size of their shards alone mean other files: not one content."""
        with opened(url) as store:
            body = json.loads(text_of(1))
            cut = json.dumps({**body, "max_shard_size": 1000}).encode()
            put(store, NET, text_of(1), ANY)
            with pytest.raises(OverwriteError):
                put(store, NET, cut, ANY)
            entry, _ = put(store, NET, cut, REPLACE)
            assert entry.digest == digest_of(spec_of(cut)) != spec_of(cut).digest
            assert len(store.versions(NET)) == 2

    def test_files_beside_are_part_of_the_content(self, url: str) -> None:
        """Likewise those that differ in a file beside the weights; each text is kept as it is."""
        with opened(url) as store:
            body = json.loads(text_of(1))
            cards = [json.dumps({**body, "files": {"README.md": c}}).encode() for c in ("ä", "\0")]
            put(store, NET, text_of(1), ANY)
            for card in cards:
                with pytest.raises(OverwriteError):
                    put(store, NET, card, ANY)
                entry, _ = put(store, NET, card, REPLACE)
                assert store.get(NET).text == card
                assert store.find(entry.digest).spec().digest == spec_of(text_of(1)).digest
            assert [content.text for content in store.versions(NET)] == [*cards[::-1], text_of(1)]

    def test_namespaces(self, url: str) -> None:
        """Each is told once, in order of their code points."""
        with opened(url) as store:
            for name in ("b", "B", "a.b", "a", "a-b", "b"):
                for part in ("x", "y"):
                    put(store, SpecId.of(name, part), text_of(1), ANY)
            assert store.namespaces() == ("B", "a", "a-b", "a.b", "b")
            assert store.namespaces(2) == ("B", "a")

    def test_records(self, url: str) -> None:
        """The first under a key is its answer, each has its digest, and the oldest go."""
        times = itertools.count(1_000_000)
        packed = bytes(range(256))
        limits = RegistryLimits(max_records=3)
        with opened(url, limits, now=lambda: next(times)) as store:
            assert store.record("key") is None
            for digest in ("b", "a", "b"):
                store.put_record("key", digest, packed + digest.encode())
            assert store.record("key") == (packed + b"b", "b")
            assert store.record("key", "a") == (packed + b"a", "a")
            assert store.record("key", "c") is None
            assert store.record("Key") is None
            for key in ("other", "another"):
                store.put_record(key, "c", packed)
            assert store.record("key") == (packed + b"a", "a")
            assert store.record("key", "b") is None
            works = [lambda: store.put_record("many", "d", packed)] * 6
            assert at_once(works) == [None] * 6
            assert store.record("many") == (packed, "d")
            assert store.record("other") == (packed, "c")
            assert store.record("key") is None

    def test_a_clock_that_goes_back(self, url: str) -> None:
        """Nothing is updated before it was created, and the newest content stays the newest."""
        times = iter([2_000_000_000_123_456, 1_000_000_000_000_000])
        with opened(url, now=lambda: next(times)) as store:
            put(store, NET, text_of(1), ANY)
            entry, _ = put(store, NET, text_of(2), REPLACE)
            created = datetime(2033, 5, 18, 3, 33, 20, 123456, UTC)
            assert (entry.created, entry.updated) == (created, created)
            assert store.get(NET).entry == entry
            assert [content.text for content in store.versions(NET)] == [text_of(2), text_of(1)]

    def test_opened_by_many_at_once(self, url: str) -> None:
        """Replicas that start together find or make the same tables."""
        replicas = [SpecStore(Database(registry_url(url), 1, 30.0)) for _ in range(5)]
        at_once([replica.open for replica in replicas])
        put(replicas[0], NET, text_of(1), ANY)
        assert [replica.get(NET).text for replica in replicas] == [text_of(1)] * 5
        for replica in replicas:
            replica.close()

    def test_migrations(self, url: str) -> None:
        """Each is applied once, in order; a failed one leaves nothing; newer ones are respected."""
        with opened(url) as store:
            put(store, NET, text_of(1), ANY)
        database = Database(registry_url(url), 1, 30.0)
        second = ("ALTER TABLE specs ADD COLUMN remark {text}", "CREATE TABLE extra (n INTEGER)")
        broken = ("CREATE TABLE half (n INTEGER)", "INSERT INTO nowhere VALUES (1)")
        with pytest.raises(Exception, match="nowhere"), database.writing() as connection:
            migrate(connection, (*MIGRATIONS, second, broken))
        for _ in range(2):
            with database.writing() as connection:
                migrate(connection, (*MIGRATIONS, second, ("CREATE TABLE half (n INTEGER)",)))
        database.close()
        with opened(url) as store, pytest.raises(UnavailableError, match="newer Seedbed") as caught:
            store.get(NET)
        assert caught.value.retry_seconds is None
        database = Database(registry_url(url), 1, 30.0)
        with database.writing() as connection:
            for table in ("half", "extra"):
                connection.execute(sql(f"DROP TABLE {table}"))
            count = connection.execute(sql("SELECT count(*) FROM specs WHERE remark IS NULL"))
            assert count.scalar_one() == 1
        database.close()

    def test_killed_at_any_point(self, url: str) -> None:
        """After `kill -9` within a write it has happened or it has not; what was answered has."""
        done = subprocess.run(
            [sys.executable, dying.__file__, url],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["points"] >= 10 + 10 + 4  # statements of creating, replacing, deleting
        assert found["acknowledged"] >= 10
        assert (found["half"], found["forgotten"], found["unusable"]) == (0, 0, 0)
