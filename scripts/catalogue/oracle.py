"""What the library itself makes of a config.json: the recorder's word, the only truth here.

Needs torch and the release of transformers that the catalogue is of: the interop environment.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers
from transformers import modeling_utils
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from scripts.catalogue.limited import limited
from seedbed.torch import RecordedTensor, record
from seedbed.torch.emission import CODES

transformers.logging.set_verbosity(60)
torch.set_num_threads(1)

VERSION: str = transformers.__version__
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Truth:
    """What a new model starts as.

    Attributes:
        tensors: in the order in which the library writes them.
        post: the config, as the library would write it.
    """

    tensors: tuple[RecordedTensor, ...]
    post: Json


def config_of(config: Json) -> Any:
    """The library's config of a config.json, read as `from_pretrained` reads it."""
    return CONFIG_MAPPING[config["model_type"]].from_dict(copy.deepcopy(dict(config)))


def truth(config: Json, architecture: str, *, seconds: float = 60.0) -> Truth:
    """What a model of this class is saved as when it is new; float32 where the class does not care.

    Raises:
        Timeout: it took longer than `seconds` of this process.
        Exception: whatever the library raises.
    """
    with limited(seconds):
        read = config_of(config)
        read.dtype = None
        post = read.to_dict()
        architecture_ = getattr(transformers, architecture)
        recording = record(
            lambda: architecture_._from_config(read, dtype=torch.float32), looks=True
        )
    return Truth(recording.tensors, post)


@dataclass(frozen=True, slots=True)
class Outlined:
    """A tensor without how it starts."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def outline(config: Json, architecture: str, *, seconds: float = 60.0) -> tuple[Outlined, ...]:
    """Names, dtypes, shapes and order alone, at a tenth of the cost of `truth`.

    From torch's meta device, of which nothing but these is true.

    Raises:
        Timeout: it took longer than `seconds` of this process.
        Exception: whatever the library raises.
    """
    with limited(seconds):
        read = config_of(config)
        read.dtype = None
        with torch.device("meta"), torch.no_grad():
            model = getattr(transformers, architecture)._from_config(read, dtype=torch.float32)
        state = model.state_dict()
        for key in model._keys_to_ignore_on_save or ():
            state.pop(key, None)
        state = modeling_utils.remove_tied_weights_from_state_dict(state, model)
        state = revert_weight_conversion(model, state)
    return tuple(
        Outlined(name, CODES.get(one.dtype, str(one.dtype)), tuple(one.shape))
        for name, one in state.items()
    )


def values(
    config: Json, architecture: str, names: Sequence[str], seed: int, *, seconds: float = 30.0
) -> dict[str, Any]:
    """Values of some tensors of a model that is really built: of small ones.

    Raises:
        Timeout: it took longer than `seconds` of this process.
        Exception: whatever the library raises.
    """
    with limited(seconds), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        read = config_of(config)
        read.dtype = None
        model = getattr(transformers, architecture)._from_config(read, dtype=torch.float32)
        state = revert_weight_conversion(model, model.state_dict())
        return {name: state[name].numpy().copy() for name in names}
