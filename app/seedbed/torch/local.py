"""Which elements of a tensor are in this process, and where: plain tensors and DTensors alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, product

import torch
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.placement_types import Placement, _StridedShard

from seedbed.errors import SpecError
from seedbed.torch.geometry import Box

Runs = tuple[tuple[int, int], ...]
"""Half-open ranges of one axis, in the order in which they lie in memory."""


@dataclass(frozen=True, slots=True)
class Part:
    """Elements that are here.

    Attributes:
        ranges: along the axes of the whole tensor; a scalar has one axis, of 1.
        memory: theirs, of these extents, in any strides.
    """

    ranges: Box
    memory: torch.Tensor


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """Of the whole tensor; a scalar has one axis, of 1."""
    return tuple(tensor.shape) or (1,)


def memory_of(tensor: torch.Tensor) -> torch.Tensor:
    """What is here of a tensor, outside of autograd."""
    with torch.no_grad():
        return tensor.to_local() if isinstance(tensor, DTensor) else tensor.detach()


def parts_of(tensor: torch.Tensor) -> list[Part]:
    """What is here of a tensor.

    Raises:
        SpecError: it has no memory here that could be written to, or not what its placements say.
    """
    memory = memory_of(tensor)
    if memory.is_meta:
        raise SpecError("it is on the meta device, without memory: call to_empty(device=…) first")
    if type(memory).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        raise SpecError(f"{type(memory).__name__} keeps its elements in a way of its own")
    if memory.layout != torch.strided:
        raise SpecError(f"its layout is {memory.layout}, not strided")
    if any(n > 1 and s == 0 for n, s in zip(memory.shape, memory.stride(), strict=True)):
        raise SpecError("it is expanded: several of its elements are one place in memory")
    runs = _runs_of(tensor)
    if runs is None:
        return []
    held = tuple(sum(stop - start for start, stop in axis) for axis in runs)
    if held != (tuple(memory.shape) or (1,)):
        raise SpecError(f"its placements give {held} here, but the local tensor is {memory.shape}")
    if not memory.dim():
        memory = memory.view(1)
    return list(_parts(runs, memory)) if memory.numel() else []


def _parts(runs: tuple[Runs, ...], memory: torch.Tensor) -> Iterator[Part]:
    """Every combination of ranges, with its place in memory."""
    placed = []
    for axis in runs:
        starts = accumulate((stop - start for start, stop in axis), initial=0)
        placed.append(list(zip(axis, starts, strict=False)))
    for chosen in product(*placed):
        places = tuple(slice(at, at + stop - start) for (start, stop), at in chosen)
        yield Part(tuple(span for span, _ in chosen), memory[places])


def cut(part: Part, most: int) -> Iterator[Part]:
    """A part in pieces of at most so many elements."""
    elements = part.memory.numel()
    if elements <= most:
        yield part
        return
    axis = next(k for k, n in enumerate(part.memory.shape) if n > 1)
    start, stop = part.ranges[axis]
    step = max(most * (stop - start) // elements, 1)
    for low in range(start, stop, step):
        high = min(low + step, stop)
        ranges = (*part.ranges[:axis], (low, high), *part.ranges[axis + 1 :])
        yield from cut(Part(ranges, part.memory.narrow(axis, low - start, high - low)), most)


def _runs_of(tensor: torch.Tensor) -> tuple[Runs, ...] | None:
    """The ranges of each axis that are here; None if this process has no place in the mesh."""
    shape = shape_of(tensor)
    if not isinstance(tensor, DTensor):
        return tuple(((0, n),) for n in shape)
    coordinate = tensor.device_mesh.get_coordinate()
    if coordinate is None:
        return None
    return runs_at(shape, tensor.placements, tensor.device_mesh.shape, coordinate)


def runs_at(
    shape: tuple[int, ...],
    placements: Sequence[Placement],
    sizes: Sequence[int],
    coordinate: Sequence[int],
) -> tuple[Runs, ...]:
    """The ranges of each axis that are at one place of a mesh.

    As torch does, placements are applied from the first dimension of the mesh to the last.

    Args:
        shape: of the whole tensor.
        placements: one for each dimension of the mesh.
        sizes: of these dimensions.
        coordinate: the place, along each of them.

    Raises:
        SpecError: a placement has no elements of the tensor, but terms of them.
    """
    runs: list[Runs] = [((0, n),) for n in shape]
    for placement, size, place in zip(placements, sizes, coordinate, strict=True):
        if isinstance(placement, _StridedShard):
            pieces = int(placement.split_factor)
            whole, dim = runs[placement.dim], placement.dim
            runs[dim] = tuple(
                run for j in range(pieces) for run in chunk(chunk(whole, pieces, j), size, place)
            )
        elif isinstance(placement, Shard):
            runs[placement.dim] = chunk(runs[placement.dim], size, place)
        elif not isinstance(placement, Replicate):
            raise SpecError(f"its placement is {placement}: no process has its elements")
    return tuple(_joined(axis) for axis in runs)


def chunk(runs: Runs, chunks: int, number: int) -> Runs:
    """One of the chunks of `torch.chunk`, which are of one size but for the last; maybe empty."""
    length = sum(stop - start for start, stop in runs)
    each = -(-length // chunks)
    first, last = number * each, min((number + 1) * each, length)
    taken, at = [], 0
    for start, stop in runs:
        low, high = max(first - at, 0), min(last - at, stop - start)
        if low < high:
            taken.append((start + low, start + high))
        at += stop - start
    return tuple(taken)


def _joined(runs: Runs) -> Runs:
    """The same with neighbours as one range."""
    joined: list[tuple[int, int]] = []
    for start, stop in runs:
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], stop
        else:
            joined.append((start, stop))
    return tuple(joined)
