"""Whole architectures: names, shapes and initial distributions as the real libraries have them."""

from seedbed.models.base import Architecture, Model, Preset, collect, prefixed
from seedbed.models.bounds import require_bounded
from seedbed.models.manifest import ListEntry, ManifestEntry
from seedbed.models.ranges import Ranged, compressed
from seedbed.models.recorded import LIBRARY, Record, RecordedBy
from seedbed.models.registry import catalogue_types, preset, presets
from seedbed.models.source import (
    MODEL_KINDS,
    ModelOfConfig,
    ModelOfList,
    ModelOfPreset,
    ModelSource,
    dumps,
    plain,
)
from seedbed.models.tokenizers import absent

__all__ = [
    "LIBRARY",
    "MODEL_KINDS",
    "Architecture",
    "ListEntry",
    "ManifestEntry",
    "Model",
    "ModelOfConfig",
    "ModelOfList",
    "ModelOfPreset",
    "ModelSource",
    "Preset",
    "Ranged",
    "Record",
    "RecordedBy",
    "absent",
    "catalogue_types",
    "collect",
    "compressed",
    "dumps",
    "plain",
    "prefixed",
    "preset",
    "presets",
    "require_bounded",
]
