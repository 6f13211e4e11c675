"""Names of stored specs, `namespace/name`: the Hub's grammar of repository ids."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from seedbed.errors import IdError

MAX_PART_CHARS = 96

BUILT_IN = "seedbed"
"""The namespace of the models that Seedbed has itself."""

RESERVED = frozenset(
    {BUILT_IN, "api", "datasets", "docs", "hub", "models", "s3", "spaces", "static", "v1", "v2"}
)
"""Namespaces that paths of this service or of the Hub would be taken for, in any case."""

_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?", re.ASCII)

_RULE = (
    f"up to {MAX_PART_CHARS} letters, digits, _, - and . (ASCII); no - or . at either end, no -- "
    "or .. within, and no .git at the end"
)


class SpecId(NamedTuple):
    """The name of a stored spec."""

    namespace: str
    name: str

    @classmethod
    def of(cls, namespace: str, name: str) -> Self:
        """An id that Hub clients take as well.

        Raises:
            IdError: they would not, or the namespace is reserved.
        """
        for part, text in (("namespace", namespace), ("name", name)):
            if not _is_part(text):
                raise IdError(f"{text[:MAX_PART_CHARS]!r} is no {part}", (part,), (_RULE,))
        if namespace.lower() in RESERVED:
            raise IdError(
                f"the namespace {namespace!r} is reserved, as are {', '.join(sorted(RESERVED))}",
                ("namespace",),
            )
        return cls(namespace, name)

    @classmethod
    def parse(cls, text: str) -> Self:
        """An id from `namespace/name`.

        Raises:
            IdError: it is none.
        """
        namespace, _, name = text.partition("/")
        return cls.of(namespace, name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def _is_part(text: str) -> bool:
    return (
        len(text) <= MAX_PART_CHARS
        and _PART.fullmatch(text) is not None
        and "--" not in text
        and ".." not in text
        and not text.endswith(".git")
    )
