"""Tensor plans → ordered segments with offsets. No bytes are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seedbed.init import Limits, TensorPlan


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each tensor lies in the data part of the file.

    Attributes:
        tensors: in the order of the file.
        offsets: of each tensor's first byte, then the end of the last: one more than tensors.
    """

    tensors: tuple[TensorPlan, ...]
    offsets: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors."""
        return self.offsets[-1]


def lay_out(plans: Sequence[TensorPlan], limits: Limits) -> Layout:
    """Order tensors as safetensors' own writer does, back to back.

    That order is by dtype, highest rank first (so that every tensor is aligned to its element
    size), then by the bytes of the name.

    Raises:
        LimitError: the tensors need more bytes than a file may have.
    """
    ordered = tuple(sorted(plans, key=lambda t: (-t.dtype.rank, t.name.encode())))
    offset = 0
    offsets = [offset]
    for tensor in ordered:
        offset += tensor.size_bytes
        offsets.append(offset)
    limits.require("max_file_bytes", offset, "bytes")
    return Layout(ordered, tuple(offsets))
