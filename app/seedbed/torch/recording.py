"""`record`: what a module starts from, as a spec, without building it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from seedbed.errors import SpecError
from seedbed.recording import Entry, Recorded, Report, Unsaid, schemes_of
from seedbed.torch.again import agreed
from seedbed.torch.emission import CODES, said
from seedbed.torch.geometry import Box, Geometry
from seedbed.torch.laws import Drawn, Law, Pieces
from seedbed.torch.modes import recording
from seedbed.torch.names import Root, Saved, saved
from seedbed.torch.sharing import Shared, shared
from seedbed.torch.values import Value, reseed

Build = Callable[[], nn.Module | Mapping[str, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class Region:
    """Where a part of a tensor of the file is in the module.

    `parameter.reshape(-1).as_strided(part.shape, part.strides, part.offset)`, of the contiguous
    parameter, is what the file's tensor has at these ranges.

    Attributes:
        at: ranges along the axes of the file's tensor.
        parameter: the module's name.
        shape: of the parameter.
        part: its elements, in the row-major numbering of the parameter.
    """

    at: Box
    parameter: str
    shape: tuple[int, ...]
    part: Geometry


@dataclass(frozen=True, slots=True)
class RecordedTensor(Entry):
    """One tensor of the file.

    Attributes:
        regions: where it is in the module; None if it is computed from the module's tensors.
        value: as recorded.
    """

    regions: tuple[Region, ...] | None
    value: Value = field(repr=False, compare=False)


Recording = Recorded[RecordedTensor]
"""What a module starts from."""


def record(
    build: Build, *, looks: bool = False, fallback: Literal["literal"] | None = None
) -> Recording:
    """What `build()` starts from, at full size, without allocating or drawing anything.

    Each parameter's and buffer's law is read off the operations that reach it.

    Args:
        build: makes a module, or a state dict. It runs in this thread, twice: what differs then
            is random, by means that torch does not see.
        looks: let a spec be had although code looked at random values, as a print would; if what
            it saw decides what it builds, another build would be another model.
        fallback: `literal` lists known numbers that no scheme gives, up to 65,536 of a tensor.

    Raises:
        SpecError: the build reads tensors from a file, leaves one without a shape, or makes other
            ones the second time.
    """
    reseed()
    held, looked = _held(build)
    held = agreed(held, _held(build, seed=ANOTHER)[0])
    return _described(held, {} if looks else looked, listing=fallback is not None)


ANOTHER = 0x5EED_BED5
"""torch's seed in the second run, so that what is made of the seed itself differs."""


def _held(build: Build, seed: int | None = None) -> tuple[Saved, Mapping[str, str]]:
    """What a build holds, from a seed of torch's, and where it looks at numbers."""
    with recording(seed) as recorder:
        try:
            built = build()
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            where = [n for n, frame in enumerate(frames) if frame.filename.endswith(_READERS)]
            if not where:
                raise
            own = [f for f in frames[: where[0]] if not f.filename.startswith(_TORCH)]
            place = (own or frames)[-1]
            raise SpecError(
                f"build() reads tensors from a file at {place.filename}:{place.lineno}, for which "
                "recording has no memory: read them before, and let build() use them"
            ) from error
        return saved(built, recorder), recorder.looks


_TORCH = str(Path(torch.__file__).parent)
_READERS = (str(Path("torch/serialization.py")), str(Path("safetensors/torch.py")))
"""Modules that put what they read into storages of their own."""


def _described(held: Saved, looked: Mapping[str, str], *, listing: bool) -> Recording:
    common = shared(held)
    tensors = tuple(
        _tensor(name, value, held, common.get(name), listing=listing)
        for name, value in held.values.items()
    )
    literal = "literal"
    report = Report(
        library=held.library,
        tensors=len(tensors),
        elements=sum(tensor.value.elements for tensor in tensors),
        schemes=schemes_of(tensors),
        refused={t.name: t.problem for t in tensors if t.problem is not None},
        unfilled=tuple(t.name for t in tensors if t.value.is_unfilled),
        copied={name: s.other for name, s in common.items() if name not in held.tied},
        literals=tuple(
            t.name
            for t in tensors
            if (t.problem is not None and t.problem.startswith(literal))
            or (isinstance(t.init, dict) and t.init["scheme"] == literal)
        ),
        tied=held.tied,
        left_out=held.left_out,
        looked=dict(looked),
        noted={t.name: ", ".join(sorted(t.value.notes)) for t in tensors if t.value.notes},
    )
    return Recording(tensors, report, files=held.files)


def _tensor(
    name: str, value: Value, held: Saved, common: Shared | None, *, listing: bool
) -> RecordedTensor:
    init = said(value, listing=listing)
    problem = None
    same_as = None
    if common is not None and not isinstance(init, Unsaid):
        if common.is_copy:
            same_as = common.other
        else:
            init = Unsaid("copy", f"made of the random numbers of {common.other}")
    if isinstance(init, Unsaid):
        problem = f"{init.kind}: {init.reason}"
    return RecordedTensor(
        name=name,
        shape=value.shape,
        dtype=CODES.get(value.dtype),
        init=None if isinstance(init, Unsaid) or same_as is not None else init,
        same_as=same_as,
        problem=problem,
        regions=_regions(value, held),
        value=value,
    )


def _regions(value: Value, held: Saved) -> tuple[Region, ...] | None:
    """Where a tensor of the file is in the module."""
    whole = tuple((0, n) for n in value.shape)
    regions = []
    for box, part in value.sources or ((whole, value),):
        root = held.roots.get(part.identity.root)
        if root is None or (isinstance(part.law, Drawn) and part.law != _law_of(root, part)):
            return None  # computed, as by -exp
        regions.append(Region(box, root.name, root.shape, part.identity.region))
    return tuple(regions)


def _law_of(root: Root, part: Value) -> Law:
    """The law of those elements of a module's tensor that a part has."""
    if isinstance(root.law, Pieces):  # which one of them is known by its draw
        laws = [value.law for _, value in root.law.pieces]
        return next((law for law in laws if law == part.law), root.law)
    return root.law
