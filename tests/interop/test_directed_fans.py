"""Fans by named axes are those that JAX computes."""

from __future__ import annotations

import itertools
import math

import pytest

from seedbed.init.schemes.directed import directed

pytestmark = pytest.mark.interop


def partitions(rank: int) -> list[tuple[tuple[int, ...], ...]]:
    """Every way to call each axis one of inputs, outputs, copies or the kernel."""
    return [
        tuple(tuple(axis for axis in range(rank) if part[axis] == kind) for kind in range(3))
        for part in itertools.product(range(4), repeat=rank)
    ]


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (2, 3, 5, 7), (8, 64, 128)])
def test_fans_are_those_of_jax(shape: tuple[int, ...]) -> None:
    """Every way to name axes of a shape gives JAX' fan_in and fan_out, from either end."""
    from jax._src.nn.initializers import _compute_fans

    for ins, outs, copies in partitions(len(shape)):
        theirs = _compute_fans(shape, in_axis=ins, out_axis=outs, batch_axis=copies)
        back = [tuple(axis - len(shape) for axis in axes) for axes in (ins, outs, copies)]
        for ours in (directed(shape, ins, outs, copies), directed(shape, *back)):
            assert ours == tuple(map(round, theirs))
            assert all(math.isclose(a, b) for a, b in zip(ours, theirs, strict=True))
    assert directed(shape, -2, -1) == _compute_fans(shape)
