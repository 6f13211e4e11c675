"""Where torch's generators stand: draws that begin at one place twice are the same numbers.

On ghosts nothing is drawn, so no generator would move. It is moved here, by one number for each
draw, so that a seed that is set anew, or a state that is restored, shows: what is drawn next begins
where something else has begun before.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace

import torch

from seedbed.torch.laws import Chance, Drawn
from seedbed.torch.values import Value, reality

SEEDED = "drawn with a seed that the build sets"
OWN = "drawn with a generator of its own"
AGAIN = "drawn from where a generator has made other numbers before, by a seed that is set again"


@dataclass
class _Place:
    """Where a generator stands, after all draws up to there.

    Attributes:
        notes: what the report says of what is drawn here.
        is_used: whether what comes from here may be among numbers that were drawn before.
        draws: by what was asked for: where that leads, and what it gave.
    """

    notes: frozenset[str]
    is_used: bool = False
    draws: dict[Hashable, tuple[_Place, dict[int, Value]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """One draw from a generator.

    Attributes:
        notes: what the report says of it.
        is_used: whether its numbers may be among those of other draws.
        earlier: what this draw from this place gave the first time, by the number of the result.
    """

    notes: frozenset[str]
    is_used: bool
    earlier: dict[int, Value]

    def gives(self, value: Value, number: int = 0) -> Value:
        """What it gives: this value, or what it gave before."""
        value = value.like(notes=value.notes | self.notes) if self.notes else value
        if not value.is_random:
            return value
        if self.is_used:
            return value.like(law=Chance(AGAIN))
        first = self.earlier.setdefault(number, value)
        if first is value or _plain(first) == _plain(value):
            return first
        return value.like(law=Chance(AGAIN), draws=value.draws | first.draws)


def _plain(value: Value) -> object:
    """A value without the number of its draw."""
    law = replace(value.law, draw=0) if isinstance(value.law, Drawn) else value.law
    return law, value.shape, value.dtype


class Generators:
    """All generators that a recording has met."""

    def __init__(self) -> None:
        self._places: dict[bytes, _Place] = {}
        self._stands: dict[torch.Generator, tuple[bytes, _Place]] = {}
        self._first: dict[torch.Generator, torch.Tensor] = {}

    @contextlib.contextmanager
    def kept(self, seed: int | None = None) -> Iterator[None]:
        """In the end, put generators back to where they were, but those that others have moved.

        Args:
            seed: of torch's own meanwhile.
        """
        moved = torch.default_generator
        self._meet(moved, frozenset())
        if seed is not None:
            with reality():
                key = _key(moved.manual_seed(seed))
            self._stands[moved] = key, self._places.setdefault(key, _Place(frozenset()))
        try:
            yield
        finally:
            with reality():
                for generator, state in self._first.items():
                    if _key(generator) == self._stands[generator][0]:
                        generator.set_state(state)

    def _meet(self, generator: torch.Generator, notes: frozenset[str]) -> None:
        with reality():
            self._first[generator] = generator.get_state()
            key = _key(generator)
        self._stands[generator] = key, self._places.setdefault(key, _Place(notes))

    def draw(self, generator: torch.Generator | None, asked: Hashable) -> Turn:
        """One draw.

        Args:
            generator: torch's own if it is None.
            asked: two draws that begin at one place, and for which this is equal, are equal.
        """
        moved = generator or torch.default_generator
        notes = frozenset({OWN if moved is not torch.default_generator else SEEDED})
        if moved not in self._first:
            self._meet(moved, notes)
        with reality():
            key, here = self._stands[moved]
            if (now := _key(moved)) != key:
                here = self._places.setdefault(now, _Place(notes))
            torch.empty(1, device=moved.device).uniform_(generator=moved)
            following = _key(moved)
        if asked not in here.draws:
            is_used = here.is_used or bool(here.draws)
            there = _Place(here.notes, is_used)
            if self._places.setdefault(following, there) is not there:
                self._places[following].is_used = True  # and which of two it is, nothing shows
            here.draws[asked] = there, {}
        there, earlier = here.draws[asked]
        self._stands[moved] = following, there
        return Turn(here.notes, there.is_used, earlier)


def _key(generator: torch.Generator) -> bytes:
    return hashlib.blake2b(generator.get_state().numpy(), digest_size=16).digest()
