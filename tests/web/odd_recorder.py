"""A recorder that knows no library: a config says itself what is recorded of it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from seedbed.errors import SpecError
from seedbed.models import Record

VERSION = "9.9.9"


def prepare() -> None:
    """Nothing is needed."""


def record(text: str, max_tensors: int, max_elements: int) -> Record:
    """The entries of a config, after it has told a file, waited or failed as it says."""
    config: dict[str, Any] = json.loads(text)
    assert max_tensors
    assert max_elements
    if place := config.get("tell"):
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
    if "wait" in config:
        time.sleep(config["wait"])
    if "fail" in config:
        raise SpecError(config["fail"], ("model", "config"))
    return Record.of(VERSION, config["entries"])
