"""Elements of tensors made by all cores of a machine."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVarTuple

import numpy as np
from numpy.typing import NDArray

from seedbed.recording.contents import Contents
from seedbed.stream import Box, Dtype, boxes

Ranges = tuple[tuple[int, int], ...]
"""A half-open range of each axis."""

PIECE = 1 << 20
"""Elements that a thread makes at a time."""

T = TypeVarTuple("T")


def cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(work: Iterator[tuple[*T]], do: Callable[[*T], None], threads: int) -> None:
    """Do all there is to do, each thread the next piece when it is done with one."""
    lock, over = threading.Lock(), threading.Event()

    def take() -> None:
        while not over.is_set():
            with lock:
                piece = next(work, None)
            if piece is None:
                return
            try:
                do(*piece)
            except BaseException:
                over.set()
                raise

    if threads == 1:
        take()
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="init") as pool:
        try:
            for done in [pool.submit(take) for _ in range(threads)]:
                done.result()
        finally:
            over.set()


def filled(
    contents: Contents, wanted: Sequence[tuple[str, Dtype, Ranges]], threads: int
) -> list[NDArray[Any]]:
    """Parts of tensors, as their dtype is stored.

    Args:
        contents: where they are from.
        wanted: of each part the tensor's name, a dtype that `check` lets pass, and ranges along
            the axes.
        threads: that make pieces of them.
    """
    made = [np.empty([b - a for a, b in ranges], dtype.storage) for _, dtype, ranges in wanted]

    def pieces() -> Iterator[tuple[str, Dtype, Box, NDArray[Any]]]:
        for (name, dtype, ranges), out in zip(wanted, made, strict=True):
            shape = contents.shapes[name]
            strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
            start = sum(low * stride for (low, _), stride in zip(ranges, strides, strict=True))
            if not shape:
                yield name, dtype, Box.run(0, 1), out.reshape(1)
            elif out.size:
                box = Box(start, out.shape, strides)
                for piece, place in boxes.pieces(box, out, PIECE):
                    yield name, dtype, piece, place

    in_threads(pieces(), contents.write, threads)
    return made
