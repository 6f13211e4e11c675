"""What one recording knows, and which one is going on in this thread."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import torch

from seedbed.errors import SpecError
from seedbed.torch.generators import Generators
from seedbed.torch.laws import Chance
from seedbed.torch.memory import Memory
from seedbed.torch.values import Value, reality, table

META = torch.device("meta")
FOREIGN = "of a tensor from before the recording, or from another thread"
"""What is said of numbers that are known, but that the build has not made."""


class _Recorders(threading.local):
    def __init__(self) -> None:
        self.stack: list[Recorder] = []


RECORDERS = _Recorders()


def current() -> Recorder | None:
    """The recorder of this thread, the innermost if there are several."""
    return RECORDERS.stack[-1] if RECORDERS.stack else None


class ForeignWriteError(RuntimeError):
    """A build changes a tensor that is not of its own making."""


class Recorder:
    """What one recording knows.

    Attributes:
        memory: what every storage holds.
        generators: where random numbers come from.
        looks: where code looked at numbers that are random or were never filled, and how.
        is_autocast: whether the call that runs is under `torch.autocast` of the CPU.
        placed: where what is made says it is, though torch asks for meta, as it sees ghosts there.
    """

    def __init__(self) -> None:
        self.memory = Memory()
        self.generators = Generators()
        self.looks: dict[str, str] = {}
        self.is_autocast = False
        self.placed: torch.device | None = None

    @contextlib.contextmanager
    def placing(self, device: torch.device) -> Iterator[None]:
        """Let what torch itself puts where a ghost is say that it is there."""
        before, self.placed = self.placed, device
        try:
            yield
        finally:
            self.placed = before

    def looked(self, how: str, value: Value) -> None:
        """Note that code asks for numbers that another build would not have."""
        if not value.is_known:
            what = "a random value" if value.is_random else "memory that nothing filled"
            self.looks.setdefault(place(), f"{how} of {what}")

    def adopt(
        self, real: torch.Tensor, chance: str | None = None, note: str | None = None
    ) -> torch.Tensor:
        """A ghost with the numbers of a real tensor.

        Args:
            real: the tensor.
            chance: why they are random, if they are.
            note: what the report should say of all that is made of it.
        """
        refuse_scattered(real)
        with reality():
            ghost = torch.empty_strided(real.shape, real.stride(), dtype=real.dtype, device=META)
        value = table(real)
        if chance:
            value = Value(real.shape, real.dtype, Chance(chance), value.real)
        if note:
            value = value.like(notes=frozenset([note]))
        self.memory.write(ghost, value)
        if not real.untyped_storage().resizable():  # not torch's own, but of an array
            self.memory.lend(ghost, real)
        return ghost

    def device_of(self, tensor: torch.Tensor) -> torch.device | None:
        """Where a ghost says it is."""
        store = self.memory.find(tensor)
        return store.device if store is not None else META if tensor.is_meta else None


def refuse_scattered(tensor: torch.Tensor) -> None:
    """Raise an error for a tensor whose elements do not lie in memory one by one.

    Raises:
        SpecError: it is sparse, nested or quantised.
    """
    what = "nested" if tensor.is_nested else "quantised" if tensor.is_quantized else ""
    if tensor.layout is not torch.strided:
        what = what or "sparse"
    if what:
        raise SpecError(f"{place()}: a {what} tensor, of which recording knows no elements")


_LIBRARIES = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


def place() -> str:
    """The line of code, outside of torch and this package, that is running."""
    frame = sys._getframe(1)
    last = frame
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_LIBRARIES):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        last, frame = frame, frame.f_back  # type: ignore[assignment]
    return f"{last.f_code.co_filename}:{last.f_lineno}"
