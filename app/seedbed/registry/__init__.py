"""Specs with names, kept in a database: which specs there are, never what their files hold."""

from seedbed.registry.database import AUTO, NONE, Database, default_path, registry_url
from seedbed.registry.ids import BUILT_IN, RESERVED, SpecId
from seedbed.registry.records import (
    PREFIX_DIGITS,
    Content,
    Expected,
    Page,
    RegistryLimits,
    SpecEntry,
    StoredSpec,
    digest_of,
    etag_of,
)
from seedbed.registry.registry import Registry
from seedbed.registry.store import SpecStore

__all__ = [
    "AUTO",
    "BUILT_IN",
    "NONE",
    "PREFIX_DIGITS",
    "RESERVED",
    "Content",
    "Database",
    "Expected",
    "Page",
    "Registry",
    "RegistryLimits",
    "SpecEntry",
    "SpecId",
    "SpecStore",
    "StoredSpec",
    "default_path",
    "digest_of",
    "etag_of",
    "registry_url",
]
