"""One call of an operation of ATen, as recording sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from seedbed.torch.replays import Replay
from seedbed.torch.values import Value


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of an operation, with what its tensors held before.

    Attributes:
        func: ATen's overload.
        name: its name, without the underscore of in-place forms.
        bound: arguments by the names of the schema, defaults included.
        flat: all arguments in a row, with `tree` to put them back.
        before: values by the id of their tensors.
        replay: to carry it out.
    """

    func: Any
    name: str
    bound: Mapping[str, Any]
    flat: list[Any]
    tree: Any
    before: Mapping[int, Value]
    replay: Replay

    def value_of(self, argument: Any) -> Value | None:
        """What a tensor held."""
        return self.before.get(id(argument)) if isinstance(argument, torch.Tensor) else None

    @property
    def inputs(self) -> list[Value]:
        """What all its tensors held."""
        return [self.before[id(x)] for x in self.flat if isinstance(x, torch.Tensor)]


@dataclass(frozen=True, slots=True)
class Target:
    """The tensor that an operation makes or changes.

    Attributes:
        tensor: itself.
        number: among the results; or
        place: among the flattened arguments.
    """

    tensor: torch.Tensor
    number: int = 0
    place: int | None = None

    def make(self, replay: Replay) -> Callable[[], torch.Tensor]:
        """How to get its numbers."""
        if self.place is None:
            number = self.number
            return lambda: replay.result(number)
        place = self.place
        return lambda: replay.argument(place)
