"""`seedbed record`: a spec from a function that builds a module, or from a config.json."""

from __future__ import annotations

import difflib
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from seedbed.errors import SpecError

SHOWN = 20
"""Refused tensors that are named, of as many as there are."""


def record_to(
    target: str,
    output: Path | None,
    *,
    looks: bool,
    literals: bool,
    ignore_quantization: bool,
    tell: Callable[[str], None],
) -> str:
    """Record what a target builds, and write its spec.

    Args:
        target: `package.module:function`, of a function without arguments; the working directory
            is looked in too. Or the path of a config.json of transformers.
        output: file to write; None to write none.
        looks: let code look at random values.
        literals: list numbers that no scheme gives.
        ignore_quantization: record the unquantised model of a quantised one's config.
        tell: what to do with each line of the report.

    Returns:
        The spec as JSON.

    Raises:
        SpecError: there is no such function, or torch is not installed.
        ExceptionGroup: what no spec can say, or what code looked at, each by its place.
        OSError: the file cannot be written.
    """
    is_config = target.endswith(".json")
    try:
        from seedbed.torch import (  # noqa: PLC0415  torch is large
            RecordingError,
            record,
            record_config,
        )
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        needs, extra = "recording needs PyTorch", "torch"
        if is_config:
            needs, extra = "recording a config.json needs PyTorch and transformers", "transformers"
        raise SpecError(f"{needs}: pip install 'seedbed[{extra}]'", ("target",)) from error
    fallback: Literal["literal"] | None = "literal" if literals else None
    if is_config:
        config = _config_of(Path(target))
        recording = record_config(
            config, ignore_quantization=ignore_quantization, fallback=fallback
        )
    else:
        recording = record(function_of(target), looks=looks, fallback=fallback)
    for line in str(recording.report).splitlines():
        tell(line)
    try:
        text = json.dumps(recording.json(), indent=1) + "\n"
    except RecordingError as error:
        report = error.report
        faults = [SpecError(why, (name,)) for name, why in report.refused.items()][:SHOWN]
        faults += [SpecError(how, (place,)) for place, how in report.looked.items()][:SHOWN]
        raise ExceptionGroup("no spec", faults) from error
    if output is not None:
        output.write_text(text, encoding="utf-8")
    return text


def _config_of(path: Path) -> dict[str, Any]:
    """What a config.json says.

    Raises:
        SpecError: it is no JSON object.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SpecError(f"{path} is no JSON: {error}", ("target",)) from error
    if not isinstance(config, dict):
        raise SpecError(f"{path} is no config.json, which is an object", ("target",))
    return config


def function_of(target: str) -> Callable[[], Any]:
    """The function of that name.

    Raises:
        SpecError: there is none.
    """
    module_name, colon, name = target.partition(":")
    if not (colon and module_name and name):
        raise SpecError(f"{target!r} is not package.module:function", ("target",))
    sys.path.insert(0, "")
    try:
        member: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise SpecError(f"{module_name} needs {error.name}: {error}", ("target",)) from error
        raise SpecError(f"there is no module {error.name!r}", ("target",)) from error
    finally:
        sys.path.remove("")
    for part in name.split("."):
        if not hasattr(member, part):
            near = difflib.get_close_matches(part, dir(member), 4)
            raise SpecError(f"{module_name} has no {name!r}", ("target",), near)
        member = getattr(member, part)
    if not callable(member):
        raise SpecError(f"{target} is no function but {type(member).__name__}", ("target",))
    function: Callable[[], Any] = member
    return function
