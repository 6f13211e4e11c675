"""Which Seedbed this is, without importing any of it."""

VERSION = "0.1.0"
"""Of the package: the only place where it stands."""

STREAM_VERSION = 1
"""Version of everything that decides a byte of a file. A released version never changes."""
