"""Keras and specs: what a model starts from by its initialisers, and a model filled in place.

Needs the extra `seedbed[keras]` and a backend of Keras. Nothing imports this room, and nothing else
imports Keras.
"""

from seedbed.keras.initialise import init_
from seedbed.keras.recording import Recording, record
from seedbed.recording import RecordingError, Report

__all__ = ["Recording", "RecordingError", "Report", "init_", "record"]
