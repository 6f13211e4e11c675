"""What the service's recording process does: builds a model by its library, and says its tensors.

It needs the extra `seedbed[transformers]`. The service names this module and never imports it, so
that no torch is in the process that serves; `seedbed.web.planner` forks a child for each config,
which can neither open a socket nor write a file.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import torch

from seedbed.confinement import confine
from seedbed.errors import LimitError, SpecError
from seedbed.models import Ranged, Record, compressed
from seedbed.torch import Built, RecordedTensor

_SAID = 4
"""Tensors that a refusal names, of as many as there are."""

_TEXT_CHARS = 300
"""Of what a library says of a config."""


def prepare() -> None:
    """Have in memory what each child needs."""
    importlib.import_module("transformers.modeling_utils")
    importlib.import_module("transformers.models.auto.modeling_auto")
    importlib.import_module("transformers.core_model_loading")
    torch.set_num_threads(1)  # a child of a process with threads has none of them


def record(text: str, max_tensors: int, max_elements: int) -> Record:
    """The record of a config: what is saved of a new, unquantised model of it.

    Args:
        text: JSON of the config.
        max_tensors: parameters and buffers of the model.
        max_elements: of all of them.

    Raises:
        SpecError: the library does not build it, or no scheme says how it starts.
        LimitError: there is too much of it.
    """
    confine()
    config = json.loads(text, object_hook=_float)
    _count_to(max_tensors)
    try:
        built = Built.of(config, fallback="literal")
        kept = built.kept | _fixed(config, built)
    except SpecError as error:
        raise _readable(error).within("model", "config") from error
    tensors = built.recording.tensors
    elements = sum(tensor.value.elements for tensor in tensors)
    if len(tensors) > max_tensors:
        raise LimitError("max_recorded_tensors", len(tensors), max_tensors, "tensors")
    if elements > max_elements:
        raise LimitError("max_recorded_elements", elements, max_elements, "elements")
    refused = built.recording.report.refused
    if not built.recording.report.is_complete:
        some = "; ".join(f"{name}: {why}" for name, why in [*refused.items()][:_SAID])
        some = some or "; ".join(built.recording.report.looked)
        raise SpecError(
            f"of {max(len(refused), 1):,} tensors no scheme says how they start: {some}",
            ("model", "config"),
        )
    entries = [
        Ranged(tensor.name, tensor.same_as, _said(tensor, built.dtype, kept)) for tensor in tensors
    ]
    return Record.of(
        built.version,
        [
            {"name": one.name, **one.rest, **({"same_as": one.same_as} if one.same_as else {})}
            for one in compressed(entries)
        ],
    )


def _float(member: dict[str, Any]) -> Any:
    """What transformers writes for a number that is not finite, as the number."""
    return float(member["__float__"]) if member.keys() == {"__float__"} else member


def _said(tensor: RecordedTensor, dtype: str, kept: frozenset[str]) -> dict[str, Any]:
    """An entry of a record, without its name."""
    follows = tensor.dtype == dtype
    return {
        "shape": list(tensor.shape),
        **({} if tensor.init is None else {"init": tensor.init}),
        **({} if follows else {"dtype": tensor.dtype}),
        **({"kept": True} if follows and tensor.name in kept else {}),
    }


def _fixed(config: dict[str, Any], built: Built) -> frozenset[str]:
    """Names of tensors that stay F32 where the model is built in a narrower dtype.

    In a model that is F32 as a whole they look like all others, so it is built once more.
    """
    if built.dtype != "F32":
        return frozenset()
    narrow = Built.of(config, dtype=torch.bfloat16)
    return frozenset(one.name for one in narrow.recording.tensors if one.dtype == "F32")


def _count_to(most: int) -> None:
    """Have the library stop when it has made so many tensors."""
    count = 0

    def counted(register: Callable[..., None]) -> Callable[..., None]:
        def registered(*arguments: Any, **named: Any) -> None:
            nonlocal count
            count += 1
            if count > 2 * (2 * most + 1000):  # two builds of two passes; what is saved is counted
                raise LimitError("max_recorded_tensors", count, most, "tensors, or more,")
            register(*arguments, **named)

        return registered

    for name in ("register_parameter", "register_buffer"):
        setattr(torch.nn.Module, name, counted(getattr(torch.nn.Module, name)))


def _readable(error: SpecError) -> SpecError:
    """An error without the library's line breaks, and its advice to whoever runs it."""
    text = " ".join(error.message.split()).partition(" You can install")[0]
    if len(text) > _TEXT_CHARS:
        text = f"{text[:_TEXT_CHARS]} …"
    return type(error)(text, error.path, error.allowed)
