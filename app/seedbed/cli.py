"""The command line: `seedbed serve | generate | inspect`."""

from __future__ import annotations
