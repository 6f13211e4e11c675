"""`init_`: a model's tensors filled where they are, each process its own part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from seedbed.errors import SpecError
from seedbed.files import nearest
from seedbed.recording import Contents, Origin, Recorded, cores, in_threads, opened
from seedbed.stream import DTYPES, Dtype
from seedbed.torch.emission import CODES
from seedbed.torch.geometry import Geometry, contains, row_major
from seedbed.torch.local import Part, cut, memory_of, parts_of, shape_of
from seedbed.torch.memory import geometry_of
from seedbed.torch.names import not_persistent, without_wrappers
from seedbed.torch.portions import Portion, portion, same
from seedbed.torch.recording import RecordedTensor, Recording

PIECE = 1 << 20
"""Elements written by one thread at a time, and of a buffer on the way to a GPU."""

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

_SHOWN = 8
"""Faults that are told, of as many as there are."""


@dataclass(frozen=True, slots=True)
class Initialised:
    """What `init_` did in this process.

    Attributes:
        tensors: names of those that were filled.
        size_bytes: that were written here.
        left: those that were not, and why: buffers that are not persistent, which no file has, and
            with `strict=False` what the source has not.
    """

    tensors: tuple[str, ...]
    size_bytes: int
    left: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Target:
    """A tensor that is to be filled."""

    name: str
    tensor: torch.Tensor
    dtype: Dtype
    parts: list[Part]
    portions: Sequence[Portion]


@dataclass(slots=True)
class _Checked:
    """What was found of a model before anything is written."""

    targets: list[_Target] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


def init_(
    model: nn.Module | Mapping[str, torch.Tensor],
    source: Origin,
    *,
    seed: int | None = None,
    strict: bool = True,
    recording: Recording | None = None,
    prefix: str = "",
    key: str | None = None,
    threads: int | None = None,
) -> Initialised:
    """Fill parameters and persistent buffers in place, of DTensors the part that is here.

    Each element is that of the source's file, in the dtype of its tensor: one draw, rounded. So
    neither the mesh nor the placements change a weight. No process talks to another.

    Args:
        model: a module, or a state dict; tensors on the meta device need `to_empty` first.
        source: a recording, a spec (also as a dict, JSON text, or the path of a JSON file), the
            name of a preset, or the `http://…` of a service's checkpoint: a named spec, a model, a
            link, or a file. By a URL the parts are fetched, else they are drawn here.
        seed: instead of the source's own.
        strict: refuse tensors that the source has not; else they stay as they are.
        recording: where the file's tensors are in the module, if the source is no recording and
            the file's names are not the module's.
        prefix: of the source's names before those of `model`, if that is a part of the network.
        key: an API key of the service.
        threads: that draw; by default as many as there are cores.

    Raises:
        SpecError: the source means no file, or not this model's; nothing is written then.
        httpx.HTTPError: the service cannot be reached.
    """
    state = _state_of(model)
    threads = threads or cores()
    contents = opened(source, seed, key, threads, framework="torch")
    try:
        if recording is None and isinstance(source, Recorded):
            recording = source
        known = _portions(contents, recording)
        checked = _checked(model, state, contents, known, prefix)
        faults = checked.faults | (checked.left if strict else {})
        if not checked.targets and not faults:
            faults = checked.left or {"": "the model has no tensors"}
        if faults:
            raise _refusal(faults)
        with _waiting({p.memory.device for t in checked.targets for p in t.parts}):
            in_threads(_work(checked.targets, contents), _write, threads)
    finally:
        contents.close()
    for target in checked.targets:
        memory = memory_of(target.tensor)
        if not memory.is_inference():
            torch.autograd.graph.increment_version(memory)
    return Initialised(
        tuple(target.name for target in checked.targets),
        sum(p.memory.nbytes for target in checked.targets for p in target.parts),
        checked.left | dict.fromkeys(not_persistent(model), "not persistent: no file has it"),
    )


@contextmanager
def _waiting(devices: Iterable[torch.device]) -> Iterator[None]:
    """Let what others began on GPUs end before, and what is begun meanwhile end too."""
    apart = [device for device in devices if device.type != "cpu"]
    for device in apart:
        torch.accelerator.synchronize(device)
    yield
    for device in apart:
        torch.accelerator.synchronize(device)


def _state_of(model: nn.Module | Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors by the names that files have.

    Raises:
        SpecError: FSDP1 has made flat parameters of them, or one is lazy.
    """
    if not isinstance(model, nn.Module):
        return {name: x for name, x in model.items() if isinstance(x, torch.Tensor)}
    for path, module in model.named_modules():
        if any(kind.__name__ == "FullyShardedDataParallel" for kind in type(module).__mro__):
            raise SpecError(
                f"{path or 'the model'} is FullyShardedDataParallel (FSDP1), which keeps flat "
                "parameters: use torch.distributed.fsdp.fully_shard, or init_ before it is wrapped"
            )
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if torch.nn.parameter.is_lazy(tensor):
            raise SpecError(f"{name} is lazy: it has no shape before the first batch")
    return {name: x for name, x in without_wrappers(model).items() if isinstance(x, torch.Tensor)}


def _portions(contents: Contents, recording: Recording | None) -> dict[str, list[Portion]]:
    """What each tensor of the module is made of, by its name."""
    if recording is None:
        return {name: [same(name, shape)] for name, shape in contents.shapes.items()}
    by_parameter: dict[str, list[Portion]] = defaultdict(list)
    for tensor in recording.tensors:
        shape = contents.shapes.get(tensor.name)
        if shape is not None and shape != tensor.shape:
            raise SpecError(f"{tensor.name} is recorded as {tensor.shape}, the source's is {shape}")
        if not isinstance(tensor, RecordedTensor):
            raise SpecError("it is a recording of another framework, whose names are others")
        for region in () if shape is None else tensor.regions or ():
            made = portion(tensor.name, tensor.shape, region.at, region.part, region.shape)
            others = by_parameter[region.parameter]
            if made is not None and not any(map(made.overlaps, others)):  # tied, or a part of one
                others.append(made)
    return {name: portions for name, portions in by_parameter.items() if portions}


def _checked(
    model: nn.Module | Mapping[str, torch.Tensor],
    state: Mapping[str, torch.Tensor],
    contents: Contents,
    known: Mapping[str, list[Portion]],
    prefix: str,
) -> _Checked:
    """Every tensor of the model, held against the source."""
    checked = _Checked()
    places: dict[Any, list[str]] = defaultdict(list)  # tied tensors are one place
    for name, tensor in state.items():
        places[_place(tensor) if tensor.numel() else name].append(name)
    for names in places.values():
        # As by load_state_dict, the last one stays of those that the file has.
        name = next((n for n in reversed(names) if prefix + n in known), names[0])
        try:
            target = _target(name, state[name], contents, known.get(prefix + name))
        except SpecError as error:
            checked.faults[name] = error.message
            continue
        if target is not None:
            checked.targets.append(target)
            continue
        if any(_has(other.tensor, state[name]) for other in checked.targets):
            continue
        near = nearest(prefix + name, known)
        checked.left[name] = "the source has no such tensor" + (
            f"; did you mean {' or '.join(near)}?" if near else ""
        )
    if isinstance(model, nn.Module):
        checked.faults |= _apart(model, {*places}, checked.targets)
    return checked


def _apart(
    model: nn.Module, places: AbstractSet[Any], targets: Sequence[_Target]
) -> dict[str, str]:
    """Where a module's state dict, which hooks may change, is not its own tensors."""
    own = dict(model.named_parameters(remove_duplicate=False))
    faults = {
        name: "the model's own state_dict() does not give this parameter"
        for name, tensor in own.items()
        if tensor.numel() and _place(tensor) not in places
    }
    held = {_place(tensor) for tensor in (*own.values(), *model.buffers())}
    return faults | {
        target.name: "the model's own state_dict() gives a copy of it"
        for target in targets
        if target.tensor.numel() and _place(target.tensor) not in held
    }


def _place(tensor: torch.Tensor) -> tuple[int, Geometry, torch.dtype]:
    """What two tensors have in common that are one."""
    memory = memory_of(tensor)
    if memory.layout != torch.strided:
        return id(tensor), row_major(tuple(tensor.shape)), tensor.dtype
    return memory.untyped_storage()._cdata, geometry_of(memory), memory.dtype


def _has(whole: torch.Tensor, tensor: torch.Tensor) -> bool:
    """Whether a tensor is a part of the memory of another."""
    (first, outer, _), (second, inner, _) = _place(whole), _place(tensor)
    return first == second and contains(outer, inner)


def _target(
    name: str, tensor: torch.Tensor, contents: Contents, portions: Sequence[Portion] | None
) -> _Target | None:
    """A tensor of the model with all that it is made of; None if the source does not have it.

    Raises:
        SpecError: it cannot be filled, with the reason.
    """
    if portions is None:
        return None
    shape = shape_of(tensor)
    for piece in portions:
        if piece.whole != shape:
            wanted = list(piece.whole)
            raise SpecError(f"its shape is {list(tensor.shape)}, the source's is {wanted}")
    if (elements := sum(piece.elements for piece in portions)) != tensor.numel():
        raise SpecError(f"the source has {elements:,} of its {tensor.numel():,} elements")
    if tensor.dtype not in CODES:
        raise SpecError(f"{tensor.dtype} has no code in specs")
    dtype = DTYPES[CODES[tensor.dtype]]
    for piece in portions:
        contents.check(piece.name, dtype)
    return _Target(name, tensor, dtype, parts_of(tensor), portions)


def _refusal(faults: Mapping[str, str]) -> SpecError:
    lines = [f"{name}: {why}" if name else why for name, why in list(faults.items())[:_SHOWN]]
    if len(faults) > _SHOWN:
        lines.append(f"and {len(faults) - _SHOWN:,} more")
    error = SpecError("\n".join(["the source does not fit the model; nothing was written", *lines]))
    error.others = tuple(SpecError(why, (name,)) for name, why in faults.items())
    return error


def _work(
    targets: Sequence[_Target], contents: Contents
) -> Iterator[tuple[_Target, Part, Contents]]:
    """All there is to write, in pieces."""
    for target in targets:
        for part in target.parts:
            for piece in cut(part, PIECE):
                yield target, piece, contents


def _write(target: _Target, part: Part, contents: Contents) -> None:
    """Write a piece: into memory here, or by way of it."""
    memory = part.memory
    if memory.device.type != "cpu":
        # The allocator of pinned memory keeps a buffer until its copy is done, so that the next
        # piece is drawn meanwhile.
        pinned = memory.device.type == "cuda"
        memory = torch.empty(memory.shape, dtype=memory.dtype, pin_memory=pinned)
    out = elements_of(memory, target.dtype)
    for piece in target.portions:
        for box, place in piece.within(part.ranges, out):
            contents.write(piece.name, target.dtype, box, place)
    if memory is not part.memory:
        part.memory.copy_(memory, non_blocking=True)


def elements_of(memory: torch.Tensor, dtype: Dtype) -> NDArray[Any]:
    """A tensor's memory on the CPU as NumPy has it, bfloat16 and other bits as whole numbers."""
    elements: NDArray[Any] = memory.view(_BITS[dtype.size_bytes]).numpy().view(dtype.storage)
    return elements
