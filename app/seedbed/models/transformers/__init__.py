"""Models of Hugging Face transformers, written by hand: what `save_pretrained` would have written.

A family is a class with the fields of a config.json that decide about the weights; names, shapes,
order and initial distributions are those of the version that `family.VERSION` names.
"""

from __future__ import annotations

from collections.abc import Mapping

from seedbed.errors import SpecError
from seedbed.models.base import Json, Model
from seedbed.models.transformers import (
    bart,
    bert,
    clip,
    deberta,
    fused,
    gpt2,
    gpt_neox,
    llama,
    mamba,
    moe,
    opt,
    phi,
    t5,
    vit,
)
from seedbed.models.transformers.family import ConfigPreset, Family, UnknownModelType
from seedbed.models.transformers.presets import KNOWN
from seedbed.models.transformers.tiny import TINY

FAMILIES: Mapping[str, type[Family]] = {
    family.model_type: family
    for module in (
        gpt2,
        llama,
        phi,
        moe,
        gpt_neox,
        fused,
        opt,
        mamba,
        bert,
        deberta,
        t5,
        bart,
        vit,
        clip,
    )
    for family in module.FAMILIES
}
"""Model type → family."""

PRESETS: tuple[ConfigPreset, ...] = (*KNOWN, *TINY)


def of_config(config: Json) -> Model:
    """The model that a config.json means.

    Raises:
        UnknownModelType: no family here has this model type; it lists those that are.
        SpecError: a field or a value is not covered, with its path.
    """
    said = config.get("model_type")
    if not isinstance(said, str):
        raise SpecError("a config.json names its model_type", ("model_type",), tuple(FAMILIES))
    if said not in FAMILIES:
        raise UnknownModelType(
            f"there is no model type {said[:100]!r}", ("model_type",), tuple(FAMILIES)
        )
    return FAMILIES[said].read(config)


__all__ = ["FAMILIES", "PRESETS", "ConfigPreset", "Family", "UnknownModelType", "of_config"]
