"""Whole architectures: names, shapes and initial distributions as the real libraries have them."""

from seedbed.models.base import Architecture, Model, Preset, collect, prefixed
from seedbed.models.registry import presets
from seedbed.models.source import ModelOfPreset, ModelSource, dumps

__all__ = [
    "Architecture",
    "Model",
    "ModelOfPreset",
    "ModelSource",
    "Preset",
    "collect",
    "dumps",
    "prefixed",
    "presets",
]
