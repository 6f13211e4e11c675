"""`record_config`: what transformers makes of a config.json, recorded."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from seedbed.errors import SeedbedError, SpecError, respelt
from seedbed.torch.emission import CODES
from seedbed.torch.recording import Recording, record


def record_config(
    config: Mapping[str, Any],
    *,
    ignore_quantization: bool = False,
    fallback: Literal["literal"] | None = None,
) -> Recording:
    """What a new model of this config starts from, as `save_pretrained` would write it.

    The class is the first of `architectures`, or the base class of the model type; the dtype is the
    config's. What the library loads in F32 whatever the dtype is (`_keep_in_fp32_modules_strict`)
    is F32. Nothing is downloaded, and no code that a config names is run.

    Args:
        config: what a config.json says.
        ignore_quantization: record the unquantised model where the config is of a quantised one.
        fallback: as of `record`.

    Raises:
        SpecError: transformers is not installed, has no such class or cannot build it; with the
            field as its path.
    """
    if config.get("quantization_config") and not ignore_quantization:
        raise SpecError(
            "this is the config of a quantised model, whose tensors no recording has; "
            "ignore_quantization records the model that was quantised",
            ("quantization_config",),
        )
    built = Built.of(config, fallback=fallback)
    metadata = {"recorded_from": f"transformers {built.version} {built.architecture}"}
    return replace(_with_kept(built.recording, built.kept), metadata=metadata)


@dataclass(frozen=True, slots=True)
class Built:
    """The unquantised model of a config, recorded in the config's dtype.

    Attributes:
        recording: of it, as it is built.
        kept: names of tensors that the library loads in F32 whatever the dtype is.
        architecture: the class.
        version: of transformers.
        dtype: Seedbed's code of the config's.
    """

    recording: Recording
    kept: frozenset[str]
    architecture: str
    version: str
    dtype: str

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        *,
        dtype: torch.dtype | None = None,
        fallback: Literal["literal"] | None = None,
    ) -> Built:
        """What transformers builds.

        Args:
            config: what a config.json says.
            dtype: in place of the config's.
            fallback: as of `record`.

        Raises:
            SpecError: as of `record_config`.
        """
        transformers = _transformers()
        plain = {key: value for key, value in config.items() if key != "quantization_config"}
        made, architecture = _made(transformers, plain), _class(transformers, plain)
        chosen = dtype or made.dtype or torch.float32
        globs: list[str] = []

        def build() -> torch.nn.Module:
            model: Any = architecture._from_config(copy.deepcopy(made), dtype=chosen)
            globs[:] = model._get_dtype_plan(torch.bfloat16)
            return model

        try:
            recording = record(build, fallback=fallback)
        except SeedbedError:
            raise
        except Exception as error:
            raise SpecError(
                f"transformers {transformers.__version__} cannot build {architecture.__name__} of "
                f"this config: {type(error).__name__}: {error}"
            ) from error
        if not recording.tensors:
            raise SpecError(
                f"{architecture.__name__} of transformers {transformers.__version__} has no "
                "tensors",
                ("architectures", 0),
            )
        return cls(
            recording,
            _kept(recording, globs),
            architecture.__name__,
            transformers.__version__,
            CODES.get(chosen, "F32"),
        )


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise SpecError(
            "to record a config.json needs transformers: pip install 'seedbed[transformers]'"
        ) from error


def _made(transformers: Any, config: Mapping[str, Any]) -> Any:
    """The library's own object of a config."""
    known = transformers.CONFIG_MAPPING
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in known:
        remote = " and its own code (auto_map) is not run" if "auto_map" in config else ""
        raise SpecError(
            f"transformers {transformers.__version__} has no model type {str(kind)[:100]!r}"
            f"{remote}",
            ("model_type",),
            respelt(known, str(kind)),
        )
    try:
        return known[kind].from_dict(copy.deepcopy(dict(config)))  # some write into what they read
    except Exception as error:
        raise SpecError(
            f"transformers {transformers.__version__} does not take this config: "
            f"{type(error).__name__}: {error}"
        ) from error


def _class(transformers: Any, config: Mapping[str, Any]) -> Any:
    """The class that a config is for."""
    named = config.get("architectures")
    if not named:
        return _base_class(transformers, config["model_type"])
    name = named[0] if isinstance(named, list | tuple) else named
    if isinstance(name, str) and not hasattr(transformers, name):
        # Published by code of a repository's own that the library has taken in under its own name.
        others = respelt((one for one in dir(transformers) if one[:1].isupper()), name).known
        own = transformers.CONFIG_MAPPING[config["model_type"]]
        same = [
            one
            for one in others
            if getattr(getattr(transformers, one), "config_class", None) is own
        ]
        name = same[0] if len(same) == 1 else name
    model_class = getattr(transformers, name, None) if isinstance(name, str) else None
    if not (
        isinstance(model_class, type) and issubclass(model_class, transformers.PreTrainedModel)
    ):
        raise SpecError(
            f"transformers {transformers.__version__} has no class {str(name)[:100]!r}",
            ("architectures", 0),
        )
    return model_class


def _base_class(transformers: Any, kind: str) -> Any:
    """The class that the library takes for a model type where a config names none."""
    try:
        mapped = transformers.MODEL_MAPPING[transformers.CONFIG_MAPPING[kind]]
    except KeyError as error:
        raise SpecError(
            f"transformers {transformers.__version__} has no base class for model type {kind!r}: "
            "architectures must name one",
            ("architectures",),
        ) from error
    return mapped[0] if isinstance(mapped, list | tuple) else mapped


def _kept(recording: Recording, globs: list[str]) -> frozenset[str]:
    """Names of the tensors of a file that have a parameter of these names."""
    if not globs:
        return frozenset()
    matching = importlib.import_module("transformers.core_model_loading")
    search = matching.build_glob_alternation(globs)[0].search
    return frozenset(
        tensor.name
        for tensor in recording.tensors
        if any(search(region.parameter) for region in tensor.regions or ())
    )


def _with_kept(recording: Recording, kept: frozenset[str]) -> Recording:
    """The recording with what the library loads in F32 as that."""
    tensors = tuple(
        replace(tensor, dtype="F32")
        if tensor.dtype in {"BF16", "F16"} and tensor.name in kept
        else tensor
        for tensor in recording.tensors
    )
    return replace(recording, tensors=tensors)
