"""Real models of transformers, built small: what they would save, and what they read to do so.

Development only: needs torch and the transformers release that the catalogue is of.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
warnings.filterwarnings("ignore")

import torch
import transformers
from transformers import PreTrainedConfig, modeling_utils
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

transformers.logging.set_verbosity(60)
torch.set_num_threads(1)

DTYPES = {
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.complex64: "C64",
}
# Files whose reading of a config says nothing about weights.
_DEAF = (
    "configuration_utils",
    "modeling_rope_utils",
    "/generation/",
    "/copy.py",
    "/dataclasses.py",
    "/catalogue/",
    "logging",
)


def config_class(model_type: str) -> type:
    """The class of a model type's config."""
    return CONFIG_MAPPING[model_type]


def subconfigs(cls: type) -> dict[str, type]:
    """Classes of nested configs: those that have a class of their own, or a default type."""
    found = {}
    for key, spec in cls.sub_configs_defaults.items():
        sub = spec.config_class
        if not issubclass(sub, PreTrainedConfig):
            if not spec.model_type:
                continue
            sub = spec.get_config_class(spec.model_type)
        found[key] = sub
    return found


def classes(cls: type, prefix: str = "") -> dict[str, type]:
    """Classes of a config and of those nested in it, by the prefix of their fields."""
    found = {prefix: cls}
    for key, sub in subconfigs(cls).items():
        found.update(classes(sub, f"{prefix}{key}."))
    return found


@lru_cache(maxsize=256)
def listened(cls: type) -> frozenset[str]:
    """Declared fields that a config's own code looks at."""
    words: set[str] = set()
    for one in cls.__mro__:
        if one.__module__.startswith("transformers.models"):
            try:
                words.update(re.findall(r"self\.(\w+)", inspect.getsource(one)))
            except (OSError, TypeError):
                continue
    return frozenset(words)


def absent(cls: type, key: str) -> dict[str, Any]:
    """What a nested config that is not given starts from."""
    return dict(cls.sub_configs_defaults[key].init_kwargs)


def plain(value: Any) -> Any:
    """Tuples as lists, as JSON would have them."""
    if isinstance(value, PreTrainedConfig):
        return {k: plain(v) for k, v in value.to_dict().items()}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(v) for v in value]
    if isinstance(value, (torch.dtype, type)):
        return str(value)
    return value


def mapped(cls: type, key: str) -> str:
    """The name under which a config keeps a field."""
    return str(cls.attribute_map.get(key, key))


def extras(cls: type) -> dict[str, str]:
    """Fields that a class does not declare, but that the library looks for in any config."""
    return (
        {}
        if "tie_word_embeddings" in defaults(cls, extra=False)
        else {"tie_word_embeddings": "flag"}
    )


def defaults(cls: type, *, extra: bool = True, kept: bool = True) -> dict[str, Any]:
    """Declared defaults of a config class; nested ones as they are when given in part.

    Args:
        cls: of a config.
        extra: with the fields that every config may have.
        kept: by the names under which they are kept, not by those they are given by.
    """
    found: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.default is not dataclasses.MISSING:
            value = field.default
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            value = None
        found[mapped(cls, field.name) if kept else field.name] = plain(value)
    for key, sub in subconfigs(cls).items():
        found[key] = defaults(sub, kept=kept)
    if extra:
        found.update(dict.fromkeys(extras(cls)))
    return found


def full(cls: type, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with the declared defaults of all that they leave out, nested ones too."""
    found = {}
    kwargs = {mapped(cls, key): value for key, value in kwargs.items()}
    for key, value in defaults(cls).items():
        sub = subconfigs(cls).get(key)
        if sub is not None:
            given = kwargs.get(key)
            if given is None and cls.sub_configs_defaults[key].optional:
                found[key] = None
            else:
                found[key] = full(sub, absent(cls, key) if given is None else given)
        else:
            found[key] = plain(kwargs.get(key, value))
    for key, value in kwargs.items():
        if key not in found:
            found[key] = plain(value)
    return found


class Reads:
    """Which fields of a config the building of a model reads, by the class of the (sub)config."""

    def __init__(self) -> None:
        self.seen: dict[str, set[str]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Until it ends, reads of any config by anything but configs are noted."""
        original = PreTrainedConfig.__getattribute__
        seen = self.seen

        def read(self: Any, key: str) -> Any:
            if key[0] != "_" or key in type(self).__dataclass_fields__:
                frame = sys._getframe(1)
                name = frame.f_code.co_filename
                if not any(part in name for part in _DEAF):
                    cls = type(self)
                    mapped = cls.attribute_map.get(key, key)
                    seen.setdefault(cls.__name__, set()).add(mapped)
            return original(self, key)

        PreTrainedConfig.__getattribute__ = read
        try:
            yield
        finally:
            PreTrainedConfig.__getattribute__ = original


def make_config(cls: type, kwargs: Mapping[str, Any]) -> Any:
    """A config; its dictionary is taken before a model can change it."""
    import copy

    return cls(**copy.deepcopy(dict(kwargs)))


def construct(architecture: type, config: Any, device: str) -> Any:
    """A model; transformers draws no initial values on the meta device."""
    with torch.device(device), torch.no_grad():
        return architecture(config)


def saved(model: Any) -> dict[str, Any]:
    """The tensors that `save_pretrained` hands to the writer: as it goes about it, in memory."""
    state = model.state_dict()
    for key in model._keys_to_ignore_on_save or ():
        state.pop(key, None)
    state = modeling_utils.remove_tied_weights_from_state_dict(state, model)
    return revert_weight_conversion(model, state)


def _takes(architecture: type, model_type: str) -> bool:
    """Whether a class is for this config: some are for one that this one only contains."""
    try:
        wanted = architecture.config_class
    except ImportError:
        return True  # what it lacks is said when it is built
    if model_type not in CONFIG_MAPPING:
        return True
    own = CONFIG_MAPPING[model_type]  # `get` does not load what is lazy
    return wanted is None or issubclass(own, wanted)


def parts() -> dict[str, list[str]]:
    """Model type to the public classes for its config, which no auto class may list: towers."""
    found: dict[str, list[str]] = {}
    for name in dir(transformers):
        if not name[0].isupper() or "PreTrained" in name or "Pretrained" in name:
            continue
        try:
            cls = getattr(transformers, name)
            own = cls.config_class if issubclass(cls, transformers.PreTrainedModel) else None
        except (ImportError, TypeError, AttributeError):
            continue
        model_type = getattr(own, "model_type", "")
        if model_type in CONFIG_MAPPING and CONFIG_MAPPING[model_type] is own:
            found.setdefault(model_type, []).append(name)
    for names in found.values():
        names.sort(key=lambda name: ("Projection" in name, name))
    return found


def architectures() -> dict[str, list[str]]:
    """Model type to the names of its classes: bare model first, then heads, as people use them."""
    from transformers.models.auto import modeling_auto

    order = (
        "MODEL_FOR_CAUSAL_LM",
        "MODEL_FOR_MASKED_LM",
        "MODEL",
        "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM",
        "MODEL_FOR_IMAGE_TEXT_TO_TEXT",
        "MODEL_FOR_MULTIMODAL_LM",
        "MODEL_FOR_SEQUENCE_CLASSIFICATION",
        "MODEL_FOR_IMAGE_CLASSIFICATION",
        "MODEL_FOR_TOKEN_CLASSIFICATION",
        "MODEL_FOR_QUESTION_ANSWERING",
        "MODEL_FOR_SPEECH_SEQ_2_SEQ",
        "MODEL_FOR_CTC",
        "MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION",
        "MODEL_FOR_AUDIO_CLASSIFICATION",
        "MODEL_FOR_SEMANTIC_SEGMENTATION",
        "MODEL_FOR_OBJECT_DETECTION",
        "MODEL_FOR_PRETRAINING",
        "MODEL_FOR_MULTIPLE_CHOICE",
        "MODEL_FOR_TEXT_ENCODING",
        "MODEL_FOR_VIDEO_CLASSIFICATION",
        "MODEL_FOR_DEPTH_ESTIMATION",
        "MODEL_FOR_MASKED_IMAGE_MODELING",
        "MODEL_FOR_NEXT_SENTENCE_PREDICTION",
    )
    rest = sorted(
        name.removesuffix("_MAPPING_NAMES")
        for name in vars(modeling_auto)
        if name.startswith("MODEL") and name.endswith("_MAPPING_NAMES")
    )
    found: dict[str, list[str]] = {}
    for mapping in (*order, *(name for name in rest if name not in order)):
        names = getattr(modeling_auto, f"{mapping}_MAPPING_NAMES", {})
        for model_type, classes in names.items():
            for name in [classes] if isinstance(classes, str) else classes:
                into = found.setdefault(model_type, [])
                cls = getattr(transformers, name, None)
                if name not in into and inspect.isclass(cls) and name[:4] != "Timm":
                    if _takes(cls, model_type):
                        into.append(name)
    for model_type, names in parts().items():
        if not found.get(model_type):
            found[model_type] = names
    masked = set(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES.values())
    for names in found.values():
        # What both can do is mostly an encoder.
        names.sort(key=lambda name: name not in masked)
    return {k: v for k, v in found.items() if v and k in CONFIG_MAPPING}
