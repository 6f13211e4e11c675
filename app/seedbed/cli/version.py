"""`seedbed --version`."""

from __future__ import annotations

import sys

from seedbed.standard_streams import standard_streams
from seedbed.version import STREAM_VERSION, VERSION

TEXT = f"seedbed {VERSION}, stream version {STREAM_VERSION}"


def print_version() -> None:
    """Print which package and which stream this is, or say why that cannot be done, and exit."""
    with standard_streams(lambda error: sys.stderr.write(f"{error}\n")):
        sys.stdout.write(f"{TEXT}\n")
