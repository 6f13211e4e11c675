"""`init_`: a Keras model's variables filled in place, by `assign`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from seedbed.errors import SpecError
from seedbed.files import nearest
from seedbed.recording import CODES, Contents, Origin, cores, filled, opened
from seedbed.stream import DTYPES

_SHOWN = 8


def init_(
    model: Any,
    source: Origin,
    seed: int | None = None,
    *,
    key: str | None = None,
    threads: int | None = None,
) -> tuple[str, ...]:
    """Fill every variable of `model.weights` with the tensor of its path.

    Elements are those of the source's file, in the variable's dtype: one draw, rounded. Keras
    numbers layers through a process, so paths may differ by that: `dense_4/kernel` and
    `dense_5/kernel` are `dense/kernel` and `dense_1/kernel`, if all of a name differ by as much.

    Args:
        model: with its variables made.
        source: a recording, a spec (also as a dict, JSON text, or the path of a JSON file), or the
            `http://…` of a service's checkpoint, which is fetched by ranges.
        seed: instead of the source's own.
        key: an API key of the service.
        threads: that make the numbers; by default as many as there are cores.

    Returns:
        Names of the tensors that were assigned, in the model's order.

    Raises:
        SpecError: the source means no file, or not this model's; nothing is assigned then.
        httpx.HTTPError: the service cannot be reached.
    """
    threads = threads or cores()
    contents = opened(source, seed, key, threads)
    try:
        pairs = _paired(model.weights, contents)
        for variable, name in pairs:
            dtype = DTYPES[CODES[variable.dtype]]
            whole = tuple((0, n) for n in contents.shapes[name])
            (stored,) = filled(contents, [(name, dtype, whole)], threads)
            values = stored.view(np.dtype(variable.dtype))
            # Narrow floats go as float32, which holds each exactly and every backend takes.
            is_narrow = dtype.is_float and dtype.size_bytes < 4
            variable.assign(values.astype(np.float32) if is_narrow else values)
    finally:
        contents.close()
    return tuple(name for _, name in pairs)


def _paired(variables: Sequence[Any], contents: Contents) -> Sequence[tuple[Any, str]]:
    """Each variable with the name of its tensor.

    Raises:
        SpecError: some have none, or another shape, or a dtype that cannot hold it.
    """
    names = [*contents.shapes]
    by_path = dict(zip(names, names, strict=True))
    paths = [variable.path for variable in variables]
    if set(paths) != by_path.keys():
        by_path = _numbered_on(paths, names) or by_path
    faults = {}
    for variable in variables:
        name = by_path.get(variable.path)
        if name is None:
            near = nearest(variable.path, by_path)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            faults[variable.path] = f"the source has no such tensor{hint}"
        elif contents.shapes[name] != tuple(variable.shape):
            shape = contents.shapes[name]
            faults[variable.path] = f"its shape is {variable.shape}, the source's is {shape}"
        elif variable.dtype not in CODES:
            faults[variable.path] = f"{variable.dtype} has no code in specs"
        else:
            try:
                contents.check(name, DTYPES[CODES[variable.dtype]])
            except SpecError as error:
                faults[variable.path] = error.message
    faults |= dict.fromkeys(by_path.keys() - set(paths), "the model has no such variable")
    if faults or not variables:
        lines = [f"{name}: {why}" for name, why in list(faults.items())[:_SHOWN]]
        if len(faults) > _SHOWN:
            lines.append(f"and {len(faults) - _SHOWN:,} more")
        lines = lines or ["the model has no variables yet"]
        raise SpecError(
            "\n".join(["the source does not fit the model; nothing was assigned", *lines])
        )
    return [(variable, by_path[variable.path]) for variable in variables]


def _unnumbered(path: str) -> str:
    """A path without the numbers that Keras gives layers of one name."""
    return re.sub(r"_\d+(?=/)", "", path)


def _numbered_on(paths: Sequence[str], names: Sequence[str]) -> dict[str, str] | None:
    """Paths with names, if all layers of a name were only numbered on, by as much as each other."""
    matched: dict[str, str] = {}
    groups: dict[str, list[list[str]]] = defaultdict(lambda: [[], []])
    for side, listed in enumerate((paths, names)):
        for path in listed:
            groups[_unnumbered(path)][side].append(path)
    for mine, theirs in groups.values():
        mine.sort(key=_numbers)
        theirs.sort(key=_numbers)
        if len(mine) != len(theirs):
            return None
        pairs = [*zip(mine, theirs, strict=True)]
        steps = {
            tuple(a - b for a, b in zip(_numbers(path), _numbers(name), strict=True))
            for path, name in pairs
        }
        if len(steps) > 1:
            return None
        matched |= pairs
    return matched


def _numbers(path: str) -> list[int]:
    """The numbers that Keras gave the layers of a path, 0 for none."""
    parts = path.split("/")[:-1]
    return [int(m[1]) if (m := re.search(r"_(\d+)$", part)) else 0 for part in parts]
