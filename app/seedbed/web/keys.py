"""API keys: how they are made, kept as hashes, recognised, and what each may do.

A key is 256 random bits, so one round of SHA-256 is enough to keep it: slow hashes protect
passwords, which can be guessed; there are too many keys to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Literal, Self, get_args

Scope = Literal["read", "write"]
"""`write` stores and deletes specs; everything else is `read`."""

SCOPES: tuple[Scope, ...] = get_args(Scope)

ANONYMOUS: Mapping[str, frozenset[Scope]] = {
    "all": frozenset(SCOPES),
    "read": frozenset({"read"}),
    "none": frozenset(),
}

NO_KEYS = "none"

PREFIX = "seedbed_"
"""Of every key, so that people and scanners of source code see what it is."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_HASH = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_SHAPE = "name scopes sha256:(64 hexadecimal digits) [rate=…] [burst=…] [concurrency=…]"


def new_key() -> str:
    """A key that nobody has: the prefix and 43 characters of base64url."""
    return PREFIX + secrets.token_urlsafe(32)


def line_of(name: str, scopes: frozenset[Scope], key: str) -> str:
    """What the service keeps of a key.

    Raises:
        ValueError: the name has other characters than letters, digits, _ . and -.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a key's name is up to 64 letters, digits, _, . and -")
    return f"{name} {','.join(sorted(scopes))} sha256:{hashlib.sha256(key.encode()).hexdigest()}"


@dataclass(slots=True)
class Key:
    """A key that may be used, and how much of it is in use.

    Attributes:
        name: for people and logs.
        scopes: what it may do.
        hash: SHA-256 of the key.
        rate: requests a second in the long run; 0 is no limit.
        burst: requests at once after a pause.
        concurrency: requests at the same time; 0 is no limit.
        active: requests that are being answered.
    """

    name: str
    scopes: frozenset[Scope]
    hash: bytes
    rate: float
    burst: int
    concurrency: int
    active: int = 0
    _tokens: float = field(init=False)
    _filled: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = float(self.burst)
        self._filled = monotonic()

    @classmethod
    def parse(cls, line: str, rate: float, burst: int, concurrency: int) -> Self:
        """A key from its line.

        Args:
            line: see `line_of`.
            rate: if the line has none, and so on.
            burst: likewise.
            concurrency: likewise.

        Raises:
            ValueError: it is no such line. The message does not repeat it.
        """
        name, scopes, hashed, *options = [*line.split(), "", "", ""]
        match = _HASH.fullmatch(hashed)
        wanted = frozenset(scope for scope in SCOPES if scope in scopes.split(","))
        if not _NAME.fullmatch(name) or match is None or len(wanted) != len(scopes.split(",")):
            raise ValueError(f"a line of API keys is {_SHAPE}, with scopes of {', '.join(SCOPES)}")
        bounds = dict(option.partition("=")[::2] for option in options if option)
        try:
            key = cls(
                name,
                wanted,
                bytes.fromhex(match[1]),
                float(bounds.pop("rate", rate)),
                int(bounds.pop("burst", burst)),
                int(bounds.pop("concurrency", concurrency)),
            )
        except ValueError as error:
            raise ValueError(f"the API key {name} has an option that is no number") from error
        if bounds:
            raise ValueError(f"the API key {name} has other options than rate, burst, concurrency")
        if not 0 <= key.rate < float("inf") or key.burst < 1 or key.concurrency < 0:
            raise ValueError(f"the API key {name} has an option that is out of range")
        return key

    def take(self) -> float:
        """Count a request against the rate.

        Returns:
            0 if it may go on, else in how many seconds one may.
        """
        if not self.rate:
            return 0.0
        now = monotonic()
        self._tokens = min(self._tokens + (now - self._filled) * self.rate, float(self.burst))
        self._filled = now
        if self._tokens < 1:
            return (1 - self._tokens) / self.rate
        self._tokens -= 1
        return 0.0


class KeyRing:
    """The keys of a service."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, presented: bytes) -> Key | None:
        """The key that a client presents, if there is such a one.

        Takes as long for a wrong key as for a right one, and whatever it has in common with one.
        """
        hashed = hashlib.sha256(presented).digest()
        match = None
        for key in self._keys:
            if hmac.compare_digest(key.hash, hashed):
                match = key
        return match


def parse_keys(text: str, rate: float, burst: int, concurrency: int) -> KeyRing:
    """The keys of a text, one a line; empty lines and those that begin with # are left out.

    Raises:
        ValueError: a line is no key, or two are alike.
    """
    lines = [line.strip() for line in text.splitlines()]
    keys = tuple(
        Key.parse(line, rate, burst, concurrency)
        for line in lines
        if line and not line.startswith("#")
    )
    for what, values in (("name", [k.name for k in keys]), ("hash", [k.hash for k in keys])):
        if len(set(values)) < len(values):
            raise ValueError(f"two API keys have the same {what}")
    return KeyRing(keys)


def read_keys(path: str) -> str:
    """The text of a file of keys.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"the file of API keys cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError("the file of API keys is no text") from error
