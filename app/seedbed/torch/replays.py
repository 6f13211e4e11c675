"""An operation kept to be carried out later, with real numbers, if anybody asks for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from seedbed.torch.values import Value, reality

CPU = torch.device("cpu")


class Replay:
    """One operation on values; what it gives is computed once for all its results.

    It holds no tensor of the recording, which could never be freed otherwise.
    """

    def __init__(self, func: Any, flat: list[Any], tree: Any, before: dict[int, Value]) -> None:
        self._func = func
        self._tree = tree
        self._flat = [_kept(x, before) for x in flat]
        self._writes = func._schema.is_mutable
        self._default = torch.get_default_dtype()
        self._results: list[Any] | None = None
        self._arguments: list[Any] = []

    def result(self, number: int) -> torch.Tensor:
        """The tensor that it returns there."""
        return self._run()[number]

    def argument(self, place: int) -> torch.Tensor:
        """The tensor that it changes there, among the flattened arguments."""
        self._run()
        changed: torch.Tensor = self._arguments[place]
        return changed

    def _run(self) -> list[Any]:
        if self._results is None:
            with reality(), _default_dtype(self._default):
                self._arguments = [
                    (x.real().clone() if self._writes else x.real()) if isinstance(x, Value) else x
                    for x in self._flat
                ]
                args, kwargs = tree_unflatten(self._arguments, self._tree)
                self._results = tree_flatten(self._func(*args, **kwargs))[0]
        return self._results


@contextlib.contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """What floats are where nothing says so, as when the operation was recorded.

    torch has one for the whole process, so it is left alone where it is the same.
    """
    before = torch.get_default_dtype()
    if before != dtype:
        torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        if before != dtype:
            torch.set_default_dtype(before)


def _kept(x: Any, before: dict[int, Value]) -> Any:
    """An argument as it is kept: values for tensors, the CPU for devices, no generator."""
    if isinstance(x, torch.Tensor):
        return before[id(x)]
    if isinstance(x, torch.device):
        return CPU
    return None if isinstance(x, torch.Generator) else x
