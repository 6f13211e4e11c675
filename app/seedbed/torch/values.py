"""What a tensor holds, known without its numbers: a law, where its elements come from, a replay."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import _disable_current_modes

from seedbed.torch.geometry import Box, Geometry, row_major
from seedbed.torch.laws import (
    Chance,
    Constant,
    Drawn,
    Law,
    Pieces,
    Table,
    Unfilled,
    Whole,
    numbers,
)

REAL = 1 << 26
"""Elements beyond which a value is not computed for whoever looks at it."""


class TooLargeError(RuntimeError):
    """Something asks for the numbers of a tensor that is too large to be made while recording."""


@contextlib.contextmanager
def reality() -> Iterator[None]:
    """Plain torch on the CPU, whatever modes are on."""
    with _disable_current_modes(), torch._C.DisableTorchFunction(), torch.no_grad():
        yield


class _Chance(threading.local):
    """Where the numbers of this thread's replays come from, apart from torch's own generator."""

    def __init__(self) -> None:
        self.state: torch.Tensor | None = None


_chance = _Chance()


@contextlib.contextmanager
def _drawing() -> Iterator[None]:
    """Draw from a generator of recording's own, seeded alike in every thread's first replay."""
    with reality():
        outer = torch.get_rng_state()
        if _chance.state is None:
            _chance.state = torch.Generator().manual_seed(0).get_state()
        torch.set_rng_state(_chance.state)
    try:
        yield
    finally:
        with reality():
            _chance.state = torch.get_rng_state()
            torch.set_rng_state(outer)


def reseed() -> None:
    """Let the next replay draw what the first one of a recording draws."""
    _chance.state = None


class Identity(NamedTuple):
    """Which elements these are: a region of the value that has this number, in row-major order."""

    root: int
    region: Geometry


class Value:
    """What a tensor of a shape and dtype holds, in row-major order.

    Attributes:
        law: how its elements come about.
        identity: equal for copies, so that two tensors of the same random numbers are seen.
        draws: numbers of all draws that it depends on.
        notes: what the report should say of it.
        sources: what it was joined from, by ranges, if it was.
    """

    __slots__ = (
        "_make", "_real", "draws", "dtype", "identity", "law", "notes", "shape", "sources",
    )  # fmt: skip

    def __init__(
        self,
        shape: tuple[int, ...] | torch.Size,
        dtype: torch.dtype,
        law: Law,
        make: Callable[[], torch.Tensor] | None = None,
        identity: Identity | None = None,
        draws: frozenset[int] = frozenset(),
        notes: frozenset[str] = frozenset(),
        sources: tuple[tuple[Box, Value], ...] | None = None,
    ) -> None:
        self.sources = sources
        self.shape = tuple(shape)
        self.dtype = dtype
        self.law = law
        self.identity = identity or Identity(next(numbers), row_major(self.shape))
        self.draws = draws
        self.notes = notes
        self._make = make
        self._real: torch.Tensor | None = None
        if not draws and isinstance(law, Drawn):
            self.draws = frozenset([law.draw])
        elif not draws and isinstance(law, Whole | Chance):
            self.draws = frozenset([next(numbers)])

    @property
    def elements(self) -> int:
        """How many."""
        return math.prod(self.shape)

    @property
    def is_random(self) -> bool:
        """Whether another build holds other numbers."""
        if isinstance(self.law, Pieces):
            return any(value.is_random for _, value in self.law.pieces)
        return isinstance(self.law, Drawn | Whole | Chance)

    @property
    def is_unfilled(self) -> bool:
        """Whether some of it is memory that nothing has filled."""
        if isinstance(self.law, Pieces):
            return any(value.is_unfilled for _, value in self.law.pieces)
        return isinstance(self.law, Unfilled)

    @property
    def is_known(self) -> bool:
        """Whether its numbers are the same in every build."""
        return not self.is_random and not self.is_unfilled

    @property
    def constant(self) -> float | complex | None:
        """The one value that it holds everywhere."""
        return self.law.value if isinstance(self.law, Constant) else None

    def real(self) -> torch.Tensor:
        """The numbers, computed or drawn once. Not to be written to.

        Raises:
            TooLargeError: there are more than recording makes.
        """
        if self._real is None:
            if self.elements > REAL:
                raise TooLargeError(
                    f"{self.elements:,} elements of a tensor are asked for while recording, which "
                    f"makes at most {REAL:,}"
                )
            with _drawing() if self.is_random else contextlib.nullcontext(), reality():
                if isinstance(self.law, Constant):
                    self._real = torch.full(self.shape, self.law.value, dtype=self.dtype)
                elif self._make is None:  # of memory that nobody filled
                    self._real = torch.zeros(self.shape, dtype=self.dtype)
                else:
                    self._real = self._make().reshape(self.shape)
        return self._real

    def like(self, **changes: object) -> Value:
        """The same value in another form; what is not named stays, numbers included."""
        fields: dict[str, object] = {
            "shape": self.shape,
            "dtype": self.dtype,
            "law": self.law,
            "make": self.real,
            "identity": self.identity,
            "draws": self.draws,
            "notes": self.notes,
            "sources": self.sources if changes.get("shape", self.shape) == self.shape else None,
        }
        return Value(**{**fields, **changes})  # type: ignore[arg-type]


def constant(shape: tuple[int, ...] | torch.Size, dtype: torch.dtype, value: float) -> Value:
    """One value everywhere, rounded to the dtype."""
    with reality():
        rounded = torch.full((), value, dtype=dtype).item()
    return Value(shape, dtype, Constant(rounded))


def table(real: torch.Tensor) -> Value:
    """Numbers that are there."""
    with reality():
        real = real.detach().to("cpu").clone().resolve_conj().resolve_neg()
        if real.numel() and not real.is_quantized:
            first = real.flatten()[0]
            if bool((real == first).all()) and not has_minus_zeros(real):
                return Value(real.shape, real.dtype, Constant(first.item()))
    value = Value(real.shape, real.dtype, Table(), lambda: real)
    value._real = real
    return value


def has_minus_zeros(real: torch.Tensor) -> bool:
    """Whether zeros have signs, which == does not see."""
    return real.is_floating_point() and bool(torch.signbit(real[real == 0]).any())


def unfilled(
    shape: tuple[int, ...] | torch.Size, dtype: torch.dtype, reason: str = "never filled"
) -> Value:
    """Memory as it was found."""
    return Value(shape, dtype, Unfilled(reason))
