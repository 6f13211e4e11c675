from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

from seedbed.cli import program
from seedbed.web import keys
from seedbed.web.keys import SCOPES, Key, line_of, new_key, parse_keys
from seedbed.web.settings import Settings
from tests.strategies import untimed

HASH = hashlib.sha256(b"secret").hexdigest()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets: its only element, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(keys, "monotonic", lambda: now[0])
    return now


def test_new_keys() -> None:
    """A key has 256 random bits behind a prefix that says what it is, and no two are alike."""
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith("seedbed_") and len(key) == 8 + 43 for key in made)


def test_command() -> None:
    """`seedbed key` prints a key, and the line by which the service knows it by its hash alone."""
    done = CliRunner().invoke(program.app, ["key", "ci", "--write"])
    assert done.exit_code == 0
    key, line = done.stdout.splitlines()
    assert line == f"ci read,write sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    reading = CliRunner().invoke(program.app, ["key", "ci"]).stdout.splitlines()[1]
    assert reading.startswith("ci read sha256:")
    refused = CliRunner().invoke(program.app, ["key", "c i"])
    assert (refused.exit_code, refused.stdout) == (2, "")


@untimed
@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True),
            st.sets(st.sampled_from(SCOPES), min_size=1).map(frozenset),
        ),
        max_size=6,
        unique_by=lambda pair: pair[0],
    ),
    st.text(),
)
def test_a_ring_knows_its_keys(owners: list[tuple[str, frozenset[keys.Scope]]], other: str) -> None:
    """Each key is recognised, with its name and scopes, and no other text is."""
    made = {name: new_key() for name, _ in owners}
    lines = [line_of(name, scopes, made[name]) for name, scopes in owners]
    ring = parse_keys("\n".join(["# remarks", "", *lines]), 0.0, 1, 0)
    assert len(ring) == len(owners)
    for name, scopes in owners:
        found = ring.find(made[name].encode())
        assert found is not None
        assert (found.name, found.scopes) == (name, scopes)
    for text in (other, *(key[:-1] for key in made.values()), *(line[-64:] for line in lines)):
        assert ring.find(text.encode(errors="surrogatepass")) is None


def test_every_key_is_compared_with_what_is_presented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever key it is, or none: all hashes are compared, each in constant time."""
    compared: list[bytes] = []
    compare_digest = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return compare_digest(one, other)

    monkeypatch.setattr(keys.hmac, "compare_digest", compare)
    made = {name: new_key() for name in ("a", "b", "c")}
    lines = [line_of(name, frozenset({"read"}), key) for name, key in made.items()]
    ring = parse_keys("\n".join(lines), 0.0, 1, 0)
    hashes = [hashlib.sha256(key.encode()).digest() for key in made.values()]
    for name, presented in (*made.items(), (None, new_key()), (None, "")):
        compared.clear()
        found = ring.find(presented.encode())
        assert (found and found.name) == name
        assert compared == hashes


@pytest.mark.parametrize(
    ("line", "rate", "burst", "concurrency"),
    [
        (f"ci read sha256:{HASH}", 5.0, 50, 3),
        (f"ci read sha256:{HASH} rate=0.5", 0.5, 50, 3),
        (f"ci read sha256:{HASH} burst=1 concurrency=0 rate=0", 0.0, 1, 0),
    ],
)
def test_options(line: str, rate: float, burst: int, concurrency: int) -> None:
    """A line's own numbers stand before those of the service."""
    key = Key.parse(line, 5.0, 50, 3)
    assert (key.rate, key.burst, key.concurrency) == (rate, burst, concurrency)


@pytest.mark.parametrize(
    "line",
    [
        "ci", "ci read", f"ci sha256:{HASH}", f"c:i read sha256:{HASH}", f"ci admin sha256:{HASH}",
        f"ci read,admin sha256:{HASH}", f"ci read md5:{HASH}", f"ci read sha256:{HASH[1:]}",
        f"ci read sha256:{HASH.upper()}", f"ci read sha256:{HASH} rate=fast",
        f"ci read sha256:{HASH} rate=-1", f"ci read sha256:{HASH} rate=nan",
        f"ci read sha256:{HASH} rate=inf", f"ci read sha256:{HASH} burst=0",
        f"ci read sha256:{HASH} concurrency=-1", f"ci read sha256:{HASH} expires=never",
        f"ci read,read sha256:{HASH}", f"ci read sha256:{HASH} rate",
        f"ci read sha256:{HASH}\nci write sha256:{HASH[::-1]}",
        f"ci read sha256:{HASH}\ncj read sha256:{HASH}",
    ],
)  # fmt: skip
def test_what_is_no_key(line: str) -> None:
    """A line that cannot be meant stops the start, and what it says holds no hash."""
    with pytest.raises(ValidationError) as caught:
        Settings(api_keys=line)
    (error,) = caught.value.errors(include_input=False)
    assert "key" in error["msg"]
    assert HASH not in error["msg"]


@untimed
@given(
    st.floats(0.1, 100.0),
    st.integers(1, 20),
    st.lists(st.floats(0.0, 5.0), min_size=1, max_size=100),
)
def test_a_rate(rate: float, burst: int, pauses: list[float]) -> None:
    """In no stretch of time are there more requests than burst and rate come to, nor fewer."""
    now = 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "monotonic", lambda: now)
        key = Key("ci", frozenset({"read"}), b"", rate, burst, 0)
        admitted = []
        for pause in pauses:
            now += pause
            if wait := key.take():
                assert 0 < wait <= 1 / rate * (1 + 1e-9)
                now += wait + 1e-6
                assert not key.take()
            admitted.append(now)
    for i, first in enumerate(admitted):
        for count, last in enumerate(admitted[i:], 1):
            assert count <= burst + rate * (last - first) + 1e-6


def test_no_rate(clock: list[float]) -> None:
    """A rate of 0 is no limit; a clock that stands still refills nothing."""
    free = Key("ci", frozenset({"read"}), b"", 0.0, 1, 0)
    assert [free.take() for _ in range(100)] == [0.0] * 100
    key = Key("ci", frozenset({"read"}), b"", 2.0, 2, 0)
    assert [key.take() for _ in range(4)] == [0.0, 0.0, 0.5, 0.5]
    clock[0] += 0.5
    assert key.take() == 0.0


def test_where_keys_come_from(tmp_path: Path) -> None:
    """Keys of the setting and of the file are one ring; a file must be readable."""
    first, second, third = new_key(), new_key(), new_key()
    file = tmp_path / "keys"
    file.write_text(f"# the lab\n{line_of('lab', frozenset({'write'}), third)}\n")
    lines = [line_of("a", frozenset({"read"}), first), line_of("b", frozenset({"read"}), second)]
    ring = Settings(api_keys=";".join(lines), api_keys_file=str(file)).key_ring
    names = [found.name for key in (first, second, third) if (found := ring.find(key.encode()))]
    assert names == ["a", "b", "lab"]
    for content in (None, b"\xff"):
        bad = tmp_path / "bad"
        if content:
            bad.write_bytes(content)
        with pytest.raises(ValidationError, match="file of API keys"):
            Settings(api_keys_file=str(bad))


@pytest.mark.parametrize(
    ("anonymous", "with_keys", "without"),
    [
        ("auto", {"read"}, {"read", "write"}), ("all", {"read", "write"}, {"read", "write"}),
        ("read", {"read"}, {"read"}), ("none", set(), None),
    ],
)  # fmt: skip
def test_anonymous(anonymous: str, with_keys: set[str], without: set[str] | None) -> None:
    """What may be done without a key; a service that nobody could use does not start."""
    line = f"ci read sha256:{HASH}"
    assert Settings(anonymous=anonymous, api_keys=line).anonymous_may == with_keys  # type: ignore[arg-type]
    if without is None:
        with pytest.raises(ValidationError, match="nobody could do anything"):
            Settings(anonymous=anonymous)  # type: ignore[arg-type]
    else:
        assert Settings(anonymous=anonymous).anonymous_may == without  # type: ignore[arg-type]
