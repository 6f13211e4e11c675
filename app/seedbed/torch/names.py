"""The names that a library's files have, and which part of which parameter each tensor is."""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from seedbed.errors import SpecError
from seedbed.torch.geometry import Geometry, overlaps
from seedbed.torch.laws import Law
from seedbed.torch.memory import geometry_of
from seedbed.torch.recorder import FOREIGN, META, Recorder
from seedbed.torch.values import Identity, Value, table, unfilled


@dataclass(frozen=True, slots=True)
class Root:
    """One of the module's own tensors, as what a file's tensors are made of.

    Attributes:
        name: the module's.
        shape: of it.
        identity: what it was before it became a root.
        law: of it.
    """

    name: str
    shape: tuple[int, ...]
    identity: Identity
    law: Law


@dataclass(frozen=True, slots=True)
class Saved:
    """What a file of a model holds.

    Attributes:
        values: by the file's names, in its order.
        tied: names of a tensor that another name has too; transformers leaves them out.
        left_out: names that are left out for another reason, with the reason.
        roots: the module's own tensors, by the root of their values' identity.
        library: whose names these are.
        files: that the library writes beside the weights: config.json.
    """

    values: dict[str, Value]
    tied: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    roots: dict[int, Root] = field(default_factory=dict)
    library: str = "torch"
    files: dict[str, Any] = field(default_factory=dict)


_WRAPPERS = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "OptimizedModule": "_orig_mod",
    "CheckpointWrapper": "_checkpoint_wrapped_module",
    "OffloadWrapper": "_checkpoint_wrapped_module",
    "FullyShardedDataParallel": "_fsdp_wrapped_module",
}
"""Classes that put a module of theirs between a name and its parent."""


def saved(model: nn.Module | Mapping[str, torch.Tensor], recorder: Recorder) -> Saved:
    """What a file of this model holds, by its library's rules.

    Args:
        model: as built while recording, or its state dict.
        recorder: still recording, since saving may compute.
    """
    if isinstance(model, nn.Module):
        state = without_wrappers(model)
        left_out = dict.fromkeys(not_persistent(model), "not persistent")
    else:
        state, left_out = dict(model), {}
    for name in [name for name, x in state.items() if not isinstance(x, torch.Tensor)]:
        del state[name]
        left_out[name] = "not a tensor"
    for name, x in state.items():
        if nn.parameter.is_lazy(x):
            raise SpecError(f"{name} is lazy and has no shape: let build() call the module once")
    library, inner = "torch", _unwrapped(model)
    tied: dict[str, str] = {}
    files: dict[str, Any] = {}
    transformers = sys.modules.get("transformers")
    roots = _sealed(state, recorder)
    if transformers is not None and isinstance(inner, transformers.PreTrainedModel):
        library = "transformers"
        ignored = set(getattr(inner, "_keys_to_ignore_on_save", None) or ())
        for name in ignored & state.keys():
            del state[name]
            left_out[name] = "not saved by its class"
        tied = _tied(state, _tied_patterns(inner))
        state = {name: x for name, x in state.items() if name not in tied}
        state, files = _converted(inner, state), _configs(inner)
    else:
        tied = _tied(state, ())
    with torch._C.DisableTorchFunction():
        values = {name: _held(x, recorder) for name, x in state.items()}
    return Saved(values, tied, left_out, roots, library, files)


def _held(tensor: torch.Tensor, recorder: Recorder) -> Value:
    """What a tensor holds; on the meta device a real build would hold nothing."""
    if recorder.device_of(tensor) == META:
        reason = "left on the meta device: build on the CPU, since recording allocates nothing"
        return unfilled(tensor.shape, tensor.dtype, reason)
    if not recorder.memory.has(tensor):
        return table(tensor).like(notes=frozenset([FOREIGN]))
    return recorder.memory.read(tensor)


def _unwrapped(model: Any) -> Any:
    """The module that wrappers around all of it hold."""
    while (attribute := _WRAPPERS.get(type(model).__name__)) and hasattr(model, attribute):
        model = getattr(model, attribute)
    return model


def without_wrappers(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict under the names that it would have without wrappers."""
    prefixes = [
        f"{path}.{_WRAPPERS[type(module).__name__]}."
        if path
        else f"{_WRAPPERS[type(module).__name__]}."
        for path, module in model.named_modules(remove_duplicate=False)
        if _WRAPPERS.get(type(module).__name__) in dict(module.named_children())
    ]
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        plain = name
        for prefix in sorted(prefixes, key=len, reverse=True):
            if name.startswith(prefix):
                kept = prefix[: -len(prefix.split(".")[-2]) - 1]
                plain = kept + plain[len(prefix) :] if plain.startswith(prefix) else plain
        if plain in tensors:
            raise ValueError(f"two tensors are called {plain!r} without the names of wrappers")
        tensors[plain] = tensor
    return tensors


def not_persistent(model: nn.Module | Mapping[str, torch.Tensor]) -> list[str]:
    """Buffers that no state dict has."""
    if not isinstance(model, nn.Module):
        return []
    return [
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        for name in sorted(module._non_persistent_buffers_set)
        if module._buffers.get(name) is not None
    ]


def _sealed(state: Mapping[str, torch.Tensor], recorder: Recorder) -> dict[int, Root]:
    """Give every tensor an identity of its own, to be known again in what is made of it.

    Not those that overlap one before them.
    """
    roots: dict[int, Root] = {}
    taken: dict[int, list[Geometry]] = {}
    with torch._C.DisableTorchFunction():
        for name, tensor in state.items():
            store = recorder.memory.find(tensor)
            place = geometry_of(tensor)
            if store is None or store.dtype != tensor.dtype or not place.is_injective:
                continue
            others = taken.setdefault(id(store), [])
            if any(overlaps(place, other) for other in others):
                continue  # tied, or a part of another
            others.append(place)
            value = recorder.memory.read(tensor)
            own = value.like(identity=None, sources=None)
            roots[own.identity.root] = Root(name, tuple(tensor.shape), value.identity, value.law)
            recorder.memory.write(tensor, own)
    return roots


def _tied_patterns(model: Any) -> tuple[str, ...]:
    """Patterns of names that a transformers model leaves out where they are tied."""
    return tuple(
        f"{path}.{key}" if path else key
        for path, module in model.named_modules()
        for key in (getattr(module, "_tied_weights_keys", None) or ())
    )


def _tied(state: Mapping[str, torch.Tensor], patterns: tuple[str, ...]) -> dict[str, str]:
    """Names to leave out, each with the name of the same tensor that stays.

    Those that match a pattern go first, but never the last of a group, as in transformers'
    `remove_tied_weights_from_state_dict`; else the first name in the order of the state stays.
    """
    groups: dict[Any, list[str]] = {}
    with torch._C.DisableTorchFunction():
        for name, tensor in state.items():
            if tensor.numel():
                place = tensor.untyped_storage()._cdata, geometry_of(tensor), tensor.dtype
                groups.setdefault(place, []).append(name)
    tied: dict[str, str] = {}
    for names in groups.values():
        if len(names) < 2:
            continue
        matching = [n for n in sorted(names) if any(re.search(p, n) for p in patterns)]
        free = [n for n in names if n not in matching]
        kept = free[0] if free else matching[-1]
        tied |= {name: kept for name in names if name != kept}
    return tied


def _converted(model: Any, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors that transformers writes: experts split, names of the original checkpoint."""
    from transformers.core_model_loading import revert_weight_conversion  # noqa: PLC0415

    converted: dict[str, torch.Tensor] = revert_weight_conversion(model, state)
    return {name: x.contiguous() for name, x in converted.items()}


def _configs(model: Any) -> dict[str, Any]:
    """What transformers' `save_pretrained` writes beside the weights."""
    config = json.loads(copy.deepcopy(model.config).to_json_string(use_diff=True))
    config.pop("_name_or_path", None)
    files = {"config.json": {**config, "architectures": [type(model).__name__]}}
    if model.can_generate() and model.generation_config is not None:
        generation = json.loads(model.generation_config.to_json_string(use_diff=True))
        if generation:
            files["generation_config.json"] = generation
    return files
