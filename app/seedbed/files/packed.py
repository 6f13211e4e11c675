"""A planned checkpoint in pieces, for another process that will read its files.

The spec stays behind: it takes ten times the memory of the plan. So does all that takes long, such
as the order of the tensors and the header. Pieces are small, so that whoever takes them in can do
something else in between.
"""

from __future__ import annotations

import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from seedbed.files.identity import SpecIdentity
from seedbed.files.layout import Layout
from seedbed.init import TensorPlan

CHUNK_TENSORS = 500
"""Of one piece: it is made, or taken in, in some 3 ms."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Everything of a checkpoint but its tensors.

    Attributes:
        identity: of its spec.
        config: that its model has, as of `Model`.
        beside: content of its small files by name, without the index.
        count: of its tensors, which follow in the order of its shards.
        of_layers: how many of those are a layer's, of which there is more to know.
        order: of the whole file, as 32-bit indices into those.
        header: of the whole file.
    """

    identity: SpecIdentity
    config: Mapping[str, Any] | None
    beside: Mapping[str, bytes]
    count: int
    of_layers: int
    order: bytes
    header: bytes

    @property
    def size_bytes(self) -> int:
        """Memory that it and its tensors take in all, about, as measured."""
        text = 2 * len(self.identity.canonical_json) + len(self.header)
        beside = sum(map(len, self.beside.values()))
        return 5_000 + text + beside + 700 * self.count + 1_000 * self.of_layers

    def lay_out(self, tensors: Sequence[TensorPlan]) -> Layout:
        """The layout of the whole file, whose tensors are these in the order of the shards."""
        order = array.array("I")
        order.frombytes(self.order)
        ordered = tuple(tensors[index] for index in order)
        return Layout(ordered, tuple(accumulate((t.size_bytes for t in ordered), initial=0)))


def order_of(tensors: Sequence[TensorPlan], ordered: Sequence[TensorPlan]) -> bytes:
    """Where each of the second is among the first, which are the same in another order."""
    place = {id(tensor): index for index, tensor in enumerate(tensors)}
    return array.array("I", (place[id(tensor)] for tensor in ordered)).tobytes()


def chunks(tensors: Sequence[TensorPlan]) -> Iterator[tuple[TensorPlan, ...]]:
    """The tensors in pieces."""
    for start in range(0, len(tensors), CHUNK_TENSORS):
        yield tuple(tensors[start : start + CHUNK_TENSORS])
