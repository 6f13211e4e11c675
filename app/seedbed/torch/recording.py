"""`record`: what a module starts from, as a spec, without building it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from seedbed.errors import SpecError
from seedbed.files import CheckpointSpec
from seedbed.torch.again import agreed, has_tables, outer_generators
from seedbed.torch.emission import CODES, Init, Unsaid, said
from seedbed.torch.geometry import Box, Geometry
from seedbed.torch.laws import Drawn, Law, Pieces
from seedbed.torch.modes import recording
from seedbed.torch.names import Root, Saved, saved
from seedbed.torch.report import Report
from seedbed.torch.sharing import Shared, shared
from seedbed.torch.values import Value, reseed

Build = Callable[[], nn.Module | Mapping[str, torch.Tensor]]


class RecordingError(SpecError):
    """What was recorded is no spec: no scheme says some tensors, or code looked at random values.

    Attributes:
        report: with all of them.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True, slots=True)
class Region:
    """Where a part of a tensor of the file is in the module.

    `parameter.reshape(-1).as_strided(part.shape, part.strides, part.offset)`, of the contiguous
    parameter, is what the file's tensor has at these ranges.

    Attributes:
        at: ranges along the axes of the file's tensor.
        parameter: the module's name.
        part: its elements, in the row-major numbering of the parameter.
    """

    at: Box
    parameter: str
    part: Geometry


@dataclass(frozen=True, slots=True)
class RecordedTensor:
    """One tensor of the file.

    Attributes:
        name: in the file.
        shape: in the file.
        dtype: Seedbed's code, None if it has none.
        init: how it is filled, None if no spec can say, or if it is equal to another.
        same_as: name of the tensor that it is equal to.
        problem: why not.
        regions: where it is in the module; None if it is computed from the module's tensors.
        value: as recorded.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str | None
    init: Init | None
    same_as: str | None
    problem: str | None
    regions: tuple[Region, ...] | None
    value: Value = field(repr=False, compare=False)


@dataclass(frozen=True)
class Recording:
    """What a build starts from.

    Attributes:
        tensors: in the order of the state dict, or of the library's file.
        report: counts, and everything special.
    """

    tensors: tuple[RecordedTensor, ...]
    report: Report

    def json(self) -> dict[str, Any]:
        """The spec as JSON.

        Raises:
            RecordingError: no spec can say some tensors, or code looked at random values.
        """
        if not self.report.is_complete:
            raise RecordingError(_refusal(self.report), self.report)
        counted = Counter(t.dtype for t in self.tensors if t.value.dtype.is_floating_point)
        default = counted.most_common(1)[0][0] if counted else "F32"
        entries = [
            {
                "name": tensor.name,
                "shape": list(tensor.shape),
                **(
                    {"init": tensor.init} if tensor.same_as is None else {"same_as": tensor.same_as}
                ),
                **({} if tensor.dtype == default else {"dtype": tensor.dtype}),
            }
            for tensor in self.tensors
        ]
        return {**({} if default == "F32" else {"dtype": default}), "tensors": entries}

    @cached_property
    def spec(self) -> CheckpointSpec:
        """The spec, seed 0.

        Raises:
            RecordingError: no spec can say some tensors, or code looked at random values.
        """
        return CheckpointSpec.model_validate_json(json.dumps(self.json()))

    def put(self, url: str, name: str, *, key: str | None = None) -> str:
        """Store the spec at a service, and give back its address.

        Args:
            url: of the service.
            name: `namespace/name`; what was there before stays reachable by its digest.
            key: an API key that may write, where the service wants one.

        Raises:
            RecordingError: as `spec`.
            SpecError: the service refuses it.
            httpx.HTTPError: the service cannot be reached.
        """
        import httpx  # noqa: PLC0415  only this needs a network

        address = f"{url.rstrip('/')}/v1/specs/{name}"
        headers = {"authorization": f"Bearer {key}"} if key else {}
        answer = httpx.put(address, json=self.json(), headers=headers, timeout=60)
        if answer.is_error:
            kind = answer.headers.get("content-type", "")
            problem = answer.json() if kind.startswith("application/problem+json") else {}
            raise SpecError(problem.get("detail") or f"{answer.status_code} from {address}")
        return address


def record(build: Build, *, looks: bool = False) -> Recording:
    """What `build()` starts from, at full size, without allocating or drawing anything.

    Each parameter's and buffer's law is read off the operations that reach it.

    Args:
        build: makes a module, or a state dict. It runs in this thread, once, or twice where
            numbers that torch did not draw may be random.
        looks: let a spec be had although code looked at random values, as a print would; if what
            it saw decides what it builds, another build would be another model.
    """
    reseed()
    before = outer_generators()
    held, looked = _held(build)
    if before != outer_generators() or any(map(has_tables, held.values.values())):
        values = agreed(held.values, _held(build)[0].values)
        held = replace(held, values=values)
    return _described(held, {} if looks else looked)


def _held(build: Build) -> tuple[Saved, Mapping[str, str]]:
    """What a build holds, and where it looks at numbers."""
    with recording() as recorder:
        return saved(build(), recorder), recorder.looks


def _described(held: Saved, looked: Mapping[str, str]) -> Recording:
    common = shared(held)
    tensors = tuple(
        _tensor(name, value, held, common.get(name)) for name, value in held.values.items()
    )
    schemes = Counter(scheme for scheme in map(_scheme, tensors) if scheme is not None)
    literal = "literal"
    report = Report(
        library=held.library,
        tensors=len(tensors),
        elements=sum(tensor.value.elements for tensor in tensors),
        schemes=dict(schemes.most_common()),
        refused={t.name: t.problem for t in tensors if t.problem is not None},
        unfilled=tuple(t.name for t in tensors if t.value.is_unfilled),
        copied={name: s.other for name, s in common.items() if name not in held.tied},
        literals=tuple(
            t.name for t in tensors if t.problem is not None and t.problem.startswith(literal)
        ),
        tied=held.tied,
        left_out=held.left_out,
        looked=dict(looked),
        noted={t.name: ", ".join(sorted(t.value.notes)) for t in tensors if t.value.notes},
    )
    return Recording(tensors, report)


def _tensor(name: str, value: Value, held: Saved, common: Shared | None) -> RecordedTensor:
    init = said(value)
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


def _scheme(tensor: RecordedTensor) -> str | None:
    """What the report counts a tensor as."""
    if tensor.same_as is not None:
        return "same_as"
    return tensor.init["scheme"] if isinstance(tensor.init, dict) else tensor.init


def _regions(value: Value, held: Saved) -> tuple[Region, ...] | None:
    """Where a tensor of the file is in the module."""
    whole = tuple((0, n) for n in value.shape)
    found = []
    for box, part in value.sources or ((whole, value),):
        root = held.roots.get(part.identity.root)
        if root is None or (isinstance(part.law, Drawn) and part.law != _law_of(root, part)):
            return None  # computed, as by -exp
        found.append(Region(box, root.name, part.identity.region))
    return tuple(found)


def _law_of(root: Root, part: Value) -> Law:
    """The law of those elements of a module's tensor that a part has."""
    if isinstance(root.law, Pieces):  # which one of them is known by its draw
        laws = [value.law for _, value in root.law.pieces]
        return next((law for law in laws if law == part.law), root.law)
    return root.law


def _refusal(report: Report) -> str:
    lines = [f"{name}: {reason}" for name, reason in list(report.refused.items())[:8]]
    if len(report.refused) > 8:
        lines.append(f"and {len(report.refused) - 8:,} more")
    if report.refused:
        lines.insert(0, f"{len(report.refused):,} tensors that no spec can say")
    if report.looked:
        lines.append("code looked at values that another build would not have")
        lines += [f"{place}: {how}" for place, how in list(report.looked.items())[:8]]
    return "\n".join(lines)
