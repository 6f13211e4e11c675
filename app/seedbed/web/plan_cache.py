"""Plans that are remembered, so that the ranges of a file do not plan it again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

from seedbed.files import Checkpoint, CheckpointSpec, VirtualFile
from seedbed.memory import Claim, MemoryBudget

_Planned = TypeVar("_Planned", VirtualFile, Checkpoint)


class PlanCache:
    """Files and checkpoints planned lately, so that ranges of one do not plan it again.

    They are pure functions of their request, so an entry never expires; the least recently used
    go when all together need more memory than allowed, or when others need it more. One is always
    kept, but for those others.

    Args:
        max_bytes: of memory, as `weight_of` estimates it.
        seen: told of each request whether it was remembered.
        memory: the budget that lends it.
    """

    def __init__(
        self,
        max_bytes: int,
        seen: Callable[[bool], None] = lambda _: None,
        memory: MemoryBudget | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._seen = seen
        self._bytes = 0
        self._plans: OrderedDict[Hashable, tuple[VirtualFile | Checkpoint, int]] = OrderedDict()
        self._lock = threading.Lock()
        if memory is not None:
            memory.lend(self.give_back)

    def __len__(self) -> int:
        return len(self._plans)

    def find(self, key: Hashable) -> VirtualFile | Checkpoint | None:
        """What has this key, if it is remembered."""
        with self._lock:
            entry = self._plans.get(key)
            if entry is not None:
                self._plans.move_to_end(key)
        self._seen(entry is not None)
        return None if entry is None else entry[0]

    def keep(self, key: Hashable, planned: _Planned, key_bytes: int) -> _Planned:
        """Remember a plan under a key of this size; gives the plan back."""
        weight = weight_of(planned) + key_bytes
        with self._lock:
            self._bytes += weight - self._plans.pop(key, (None, 0))[1]
            self._plans[key] = (planned, weight)
            dropped = self._drop(self._bytes - self._max_bytes, 1)
        del dropped  # outside of the lock, since they give back what they hold
        return planned

    def give_back(self, size_bytes: int) -> None:
        """Forget plans of so many bytes, or all."""
        with self._lock:
            dropped = self._drop(size_bytes, 0)
        del dropped

    def _drop(self, size_bytes: int, kept: int) -> list[object]:
        """Forget the oldest until so many bytes are free, or only so many plans are left."""
        dropped: list[object] = []
        while size_bytes > 0 and len(self._plans) > kept:
            _, (plan, weight) = self._plans.popitem(last=False)
            self._bytes -= weight
            size_bytes -= weight
            dropped.append(plan)
        return dropped


def weight_of(planned: VirtualFile | Checkpoint) -> int:
    """Memory of a plan in bytes, measured: so much each, and names and metadata several times."""
    if isinstance(planned.held, Claim):
        return planned.held.size_bytes
    tensors = len(planned.tensors)
    if isinstance(planned, VirtualFile):
        return 2000 + 1500 * tensors + 3 * len(planned.header)
    names = sum(len(tensor.name) for tensor in planned.tensors)
    text = len(planned.spec.canonical_json) + sum(
        len(key) + len(value) for key, value in planned.spec.metadata.items()
    )
    if isinstance(planned.spec, CheckpointSpec):
        text += planned.spec.files_bytes
    return 4000 + 2000 * tensors + 6 * names + 9 * text
