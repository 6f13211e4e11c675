"""What of a request's target may be written down: not a key, wherever a client has put it.

Keys belong into Authorization, and none is taken from a URL. People put them there all the same.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from seedbed.web.keys import PREFIX

_HIDDEN = "REDACTED"

_SECRET_NAME = re.compile(
    r"(?:.*[_.-])?(?:(?:api|access|secret|private)?keys?|(?:access|auth)?tokens?|secrets?|passw(?:or)?d"
    r"|pwd|auth|authorization|bearer|credentials?|sig(?:nature)?)",
    re.IGNORECASE | re.DOTALL,
)
"""Names of parameters whose values are meant to be secret."""

_KEY = re.compile(rf"(?:{PREFIX}|hf_|Bearer\s)[A-Za-z0-9_-]{{8,}}", re.IGNORECASE)
"""A key of this service, a token of the Hub, or what follows Bearer."""

_DECODED = 3
"""How many layers of percent-encoding are taken off in search of one."""


def without_keys(target: str) -> str:
    """A path, a query, or both, percent-encoded as they came, with what looks secret left out."""
    path, mark, query = target.partition("?")
    segments = [_HIDDEN if _has_key(segment) else segment for segment in path.split("/")]
    return "/".join(segments) + mark + without_secrets(query)


def without_secrets(query: str) -> str:
    """A query string, with what looks secret left out."""
    return "&".join(map(_shown, query.split("&")))


def _shown(part: str) -> str:
    name, mark, _ = part.partition("=")
    if _has_key(name):
        return _HIDDEN
    if mark and (_SECRET_NAME.fullmatch(_decoded(name)) or _has_key(part)):
        return f"{name}={_HIDDEN}"
    return part


def _has_key(text: str) -> bool:
    return _KEY.search(_decoded(text)) is not None


def _decoded(text: str) -> str:
    for _ in range(_DECODED):
        if "%" not in text and "+" not in text:
            break
        text = unquote_plus(text)
    return text
