"""What a plan does that may not have been meant: nothing is wrong, but worth a look."""

from __future__ import annotations

from collections.abc import Iterator

from seedbed.init.planning import TensorPlan
from seedbed.init.schemes.directed import ByFans

_KERNEL_MAX = 15
"""Convolutions over one axis with longer kernels are rare; matrices with fewer columns, too."""


def hints_of(tensor: TensorPlan) -> Iterator[str]:
    """Sentences about a tensor, for people; mostly none."""
    if _may_be_a_stack(tensor):
        copies, first, second = tensor.shape
        yield (
            f"read as a kernel (out {copies}, in {first}, length {second}); if it is a stack of "
            f'{copies} matrices, say "batch_axis": 0 where each is (out, in), and '
            '"batch_axis": 0, "in_axis": 1, "out_axis": 2 where each is (in, out)'
        )


def _may_be_a_stack(tensor: TensorPlan) -> bool:
    """Whether three dimensions, of which no layer says what they are, look like many matrices.

    A kernel of a convolution has many outputs and a short last axis, a stack of experts or heads
    few matrices with many columns.
    """
    if tensor.origin is not None or tensor.known_fans is not None or len(tensor.shape) != 3:
        return False
    if not isinstance(tensor.scheme, ByFans) or tensor.scheme.is_directed:
        return False
    copies, first, second = tensor.shape
    return tensor.fans is not None and second > _KERNEL_MAX and 1 < copies <= min(first, second)
