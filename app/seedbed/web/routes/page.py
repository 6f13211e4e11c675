"""The page at / for people: files of this package only, in as few bytes as may be.

All its assets lie under one path that has their common digest in it. So modules find each other by
relative names, without a build, and a browser may keep them for ever; only the page itself is asked
for again, by its ETag. The Content-Security-Policy allows this origin and nothing inline.
"""

from __future__ import annotations

import gzip
import hashlib
import html
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import FastAPI, HTTPException, Request, Response

from seedbed.web.ranges import conditions, select

PATH = "/page"
POLICY = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "img-src 'self'; "
    "font-src 'self'; "
    "connect-src 'self'; "
    "base-uri 'none'; "
    "form-action 'none'; "
    "frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)

_INDEX = "index.html"
_READ = ["GET", "HEAD"]
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_WORTH_BYTES = 512
"""Smaller answers are sent as they are: gzip would save less than its header takes."""

_KINDS = {
    "": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
"""By suffix; `mimetypes` would ask the machine, and machines differ."""

_PACKED = frozenset({".woff2"})


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, as it is and compressed.

    Attributes:
        media_type: of the content.
        plain: the content.
        zipped: the same by gzip, or None if that is no smaller.
        digest: of the content, in hexadecimal.
    """

    media_type: str
    plain: bytes
    zipped: bytes | None
    digest: str


def asset_of(name: str, content: bytes) -> Asset:
    """A file by its name, whose suffix says what it is."""
    suffix = name[name.rfind(".") :] if "." in name.rpartition("/")[2] else ""
    zipped = None
    if suffix not in _PACKED and len(content) > _WORTH_BYTES:
        zipped = gzip.compress(content, 9, mtime=0)
    return Asset(_KINDS[suffix], content, zipped, hashlib.sha256(content).hexdigest()[:32])


@cache
def asset(name: str) -> Asset | None:
    """A file of the page, or None if it has no such file."""
    content = _contents().get(name)
    return None if content is None or name == _INDEX else asset_of(name, content)


@cache
def digest() -> str:
    """Of all files together."""
    total = hashlib.sha256()
    for name, content in sorted(_contents().items()):
        total.update(f"{name}\n{len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()[:16]


@cache
def index(root: str) -> Asset:
    """The page itself, for a service whose paths begin with `root`."""
    assets = f"{html.escape(root)}{PATH}/{digest()}"
    preloads = "\n".join(
        f'<link rel="modulepreload" href="{assets}/{name}">'
        for name in sorted(_contents())
        if name.endswith(".js") and "/" not in name and name not in ("early.js", "main.js")
    )
    text = _contents()[_INDEX].decode()
    for mark, value in (("assets", assets), ("root", html.escape(root)), ("preloads", preloads)):
        text = text.replace(f"{{{{{mark}}}}}", value)
    return asset_of(_INDEX, text.encode())


@cache
def _contents() -> dict[str, bytes]:
    """Every file of the page by its path."""
    return dict(_walk(files("seedbed.web").joinpath("page"), ""))


def _walk(directory: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in directory.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding allows gzip (RFC 9110 §12.5.3): named, or by `*`, not with q=0."""
    acceptable: dict[str, bool] = {}
    for part in header.lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        acceptable[coding] = weight.strip("0.") != ""
    return acceptable.get("gzip", acceptable.get("x-gzip", acceptable.get("*", False)))


def _answer(request: Request, resource: Asset, caching: str) -> Response:
    zipped = resource.zipped if accepts_gzip(request.headers.get("accept-encoding", "")) else None
    etag = f"{resource.digest}-gzip" if zipped else resource.digest
    body = resource.plain if zipped is None else zipped
    headers = {
        "cache-control": caching,
        "etag": f'"{etag}"',
        "vary": "Accept-Encoding",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "content-security-policy": POLICY,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    selection = select("HEAD", conditions(request.headers.raw), len(body), etag, 0)
    if selection.status != 200:
        return Response(None, selection.status, headers)
    if zipped:
        headers["content-encoding"] = "gzip"
    return Response(body, 200, headers, resource.media_type)


def install(app: FastAPI) -> None:
    """Serve the page at /, and its assets."""

    @app.api_route("/", methods=_READ, include_in_schema=False)
    def page(request: Request) -> Response:
        return _answer(request, index(request.scope.get("root_path", "")), _ASK_AGAIN)

    @app.api_route(f"{PATH}/{{version}}/{{name:path}}", methods=_READ, include_in_schema=False)
    def page_asset(request: Request, version: str, name: str) -> Response:
        resource = asset(name)
        if resource is None:
            raise HTTPException(404)
        # In the middle of an upgrade another replica's page may ask here for its assets: better
        # this one's than none, but not to be kept under the other's name.
        return _answer(request, resource, _FOR_EVER if version == digest() else _ASK_AGAIN)
