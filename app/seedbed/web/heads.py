"""What may be wrong with the head of a request, as far as uvicorn's parser lets it through."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_HOST = re.compile(rb"(?:[\w.~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?", re.ASCII)
"""uri-host [ ":" port ] (RFC 9110 §7.2); empty for a target that has no authority."""

Fields = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values."""


class Refusal(NamedTuple):
    """Why a connection is closed: status, kind and detail of the problem that it is told."""

    status: int
    kind: str
    detail: str


def wrong_with(
    method: bytes, url: bytes, version: str, fields: Fields, most: int
) -> Refusal | None:
    """The first thing that is wrong with a head, or `None`.

    Args:
        method: of the request.
        url: as it came.
        version: of HTTP.
        fields: all of them.
        most: bytes of URL and fields together.
    """
    if len(url) + sum(len(name) + len(value) + 4 for name, value in fields) > most:
        return too_large(url, most)
    if method == b"CONNECT":  # the parser would look for no body behind it
        return Refusal(501, "not-implemented", "CONNECT is for proxies, which this is not.")
    return _wrong_host(version, fields) or _wrong_coding(version, fields)


def too_large(url: bytes, most: int) -> Refusal:
    """The answer to a head that is larger than it may be."""
    if len(url) > most:
        detail = f"The URL has more than {most:,} bytes (SEEDBED_MAX_HEAD_BYTES)."
        return Refusal(414, "uri-too-long", detail)
    detail = f"URL and headers have more than {most:,} bytes (SEEDBED_MAX_HEAD_BYTES)."
    return Refusal(431, "head-too-large", detail)


def _wrong_host(version: str, fields: Fields) -> Refusal | None:
    """What RFC 9112 §3.2 has to say against Host."""
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) > 1:
        return _bad(f"The request has {len(hosts)} Host headers.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        return _bad("The Host header is no host name, with or without a port.")
    if not hosts and version == "1.1":
        return _bad("The request has no Host header, which HTTP/1.1 asks for.")
    return None


def _wrong_coding(version: str, fields: Fields) -> Refusal | None:
    """What RFC 9112 §6.1 has to say against how the body is framed."""
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if not codings:
        return None
    if version != "1.1":
        return _bad("Transfer-Encoding is for HTTP/1.1 only.")
    if [coding.strip(b" \t").lower() for coding in codings] != [b"chunked"]:
        detail = "The only Transfer-Encoding that is taken is chunked."
        return Refusal(501, "not-implemented", detail)
    return None


def _bad(detail: str) -> Refusal:
    return Refusal(400, "bad-request", detail)
