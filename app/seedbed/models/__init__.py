"""Whole architectures: names, shapes and initial distributions as the real libraries have them."""

from seedbed.models.base import Architecture, Model, Preset, prefixed

__all__ = ["Architecture", "Model", "Preset", "prefixed"]
