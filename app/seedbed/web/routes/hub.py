"""The Hugging Face Hub's protocol, as far as its clients use it to load a model.

Measured with the real clients; there is no specification. Errors carry `X-Error-Code`, by which
clients tell an unknown repository from an unknown revision or file; a plain 404 would have them
say that the network is down.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from fastapi import Request, Response
from starlette.responses import JSONResponse
from starlette.routing import Match, Route, Router
from starlette.types import Scope

from seedbed.errors import (
    IdError,
    LimitError,
    SeedbedError,
    SpecError,
    UnavailableError,
    UnknownSpecError,
)
from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.files.one_model import spec_of_preset
from seedbed.hub import (
    NAMESPACE,
    Entry,
    Revision,
    RevisionError,
    commit_of,
    entries,
    file_of,
    parse_revision,
    split_variants,
)
from seedbed.hub.repository import entry_of
from seedbed.models import presets
from seedbed.registry import SpecId, SpecStore, etag_of
from seedbed.web.problems import problem
from seedbed.web.requests import read_body
from seedbed.web.responses import CACHE_CONTROL
from seedbed.web.routes.models import load_presets
from seedbed.web.service import Service

PREFIXES = ("", "/hub")
"""Where the protocol is served: at the root, and apart for whoever wants it so."""

_EPOCH = "2020-01-01T00:00:00.000Z"
_BRANCH_CONTROL = "no-cache"
"""A branch may come to mean other bytes, by a new version or a new spec; a commit never does."""

_LISTED = 1000


class HubError(SeedbedError):
    """What a Hub client can tell apart.

    Attributes:
        code: for `X-Error-Code`.
        message: for people.
        commit: of the revision, where that is known: then clients remember that a file is missing.
    """

    def __init__(self, code: str, message: str, commit: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.commit = commit


def _no_repository(name: str) -> HubError:
    return HubError("RepoNotFound", f"There is no repository {name[:200]!r}.")


def _refused(error: HubError) -> Response:
    """An answer that Hub clients understand, and a problem+json reader too."""
    headers = {"x-error-code": error.code, "x-error-message": _latin(error.message)}
    if error.commit is not None:
        headers["x-repo-commit"] = error.commit
    kind = {"RepoNotFound": "no-repository", "RevisionNotFound": "no-revision"}
    answer = problem(
        404,
        kind.get(error.code, "no-file"),
        "Not Found",
        error.message,
        headers=headers,
        error=error.message,
    )
    answer.headers["content-type"] = "application/json"  # JS clients read no other
    return answer


def _latin(text: str) -> str:
    """Text that a header can carry."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)


@dataclass(frozen=True, slots=True)
class _Found:
    """A commit of a repository.

    Attributes:
        repository: its id.
        checkpoint: that the commit is of.
        commit: 40 hexadecimal digits.
        pinned: whether the commit itself was asked for, whose files never change.
    """

    repository: str
    checkpoint: Checkpoint
    commit: str
    pinned: bool

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What every answer about a file says."""
        return [(b"x-repo-commit", self.commit.encode())]

    @property
    def cache_control(self) -> str:
        """How long a cache may keep a file."""
        return CACHE_CONTROL if self.pinned else _BRANCH_CONTROL


async def _find(service: Service, namespace: str, name: str, revision: str) -> _Found:
    """The commit that a revision of a repository means.

    Raises:
        HubError: there is no such repository, or it has no such revision.
    """
    repository = f"{namespace}/{name}"
    templates = _templates(service, namespace, name)
    template = await anext(templates)  # an unknown repository is said before a wrong revision
    try:
        asked = parse_revision(revision)
    except RevisionError as error:
        raise HubError("RevisionNotFound", str(error)) from error
    while True:
        found = await _try(service, repository, template, asked)
        if asked.digest is None or found.commit == revision:
            return found
        try:
            template = await anext(templates)
        except StopAsyncIteration:
            raise HubError("RevisionNotFound", f"{repository} has no commit {revision}.") from None


async def _try(service: Service, repository: str, template: _Template, asked: Revision) -> _Found:
    """What a revision means, if this is the spec of the repository."""
    key = ("hub", repository, template.key, asked.seed, asked.dtype)
    try:
        checkpoint = await service.checkpoint_of(
            key, len(repository) + len(template.key), lambda: template.spec(asked), in_thread=True
        )
    except SpecError as error:
        raise HubError("RepoNotFound", f"{repository} means no model: {error.message}") from error
    commit = await asyncio.to_thread(_commit, checkpoint)
    return _Found(repository, checkpoint, commit, asked.digest is not None)


def _commit(checkpoint: Checkpoint) -> str:
    """The commit of a checkpoint, which keeps it once it is known."""
    known: str | None = checkpoint.__dict__.get("commit")
    if known is None:
        known = checkpoint.__dict__["commit"] = commit_of(checkpoint)
    return known


@dataclass(frozen=True, slots=True)
class _Template:
    """A repository's spec, but for what a revision says.

    Attributes:
        key: tells it from any other that the repository has had, its seed included.
        make: gives the spec.
    """

    key: str
    make: Callable[[], CheckpointSpec]

    def spec(self, asked: Revision) -> CheckpointSpec:
        """The spec of a revision."""
        spec = self.make()
        if asked.dtype is not None:
            spec = spec.model_copy(update={"dtype": asked.dtype})
        return spec.with_seed(spec.seed if asked.seed is None else asked.seed)


async def _templates(service: Service, namespace: str, name: str) -> AsyncIterator[_Template]:
    """What a repository means, then what it meant earlier, the newest first.

    Raises:
        HubError: there is no such repository.
    """
    if namespace == NAMESPACE:
        await load_presets()
        if (found := split_variants(name, presets())) is None:
            raise _no_repository(f"{namespace}/{name}")
        preset, options = found
        yield _Template("", lambda: spec_of_preset(preset, options))
        return
    try:
        spec_id = SpecId.of(namespace, name)
        if not service.registry.exists:
            raise _no_repository(str(spec_id))
        now = (await service.registry.ask(SpecStore.get, spec_id)).content
    except (IdError, UnknownSpecError) as error:
        raise _no_repository(f"{namespace}/{name}") from error
    yield _Template(etag_of(now.text), now.spec)
    for content in await service.registry.ask(SpecStore.versions, spec_id):
        if content.digest != now.digest:
            yield _Template(etag_of(content.text), content.spec)


# The surfaces. Each takes the request, the service, and parts of the path.

Endpoint = Callable[..., Coroutine[Any, Any, Response]]


def _guarded(endpoint: Endpoint) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """An endpoint whose errors Hub clients understand."""

    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request, request.app.state.service, **request.path_params)
        except HubError as error:
            return _refused(error)
        except LimitError as error:
            return _refused(HubError("EntryNotFound", str(error)))
        except UnavailableError as error:
            return _later(error)

    return guarded


def _later(error: UnavailableError) -> Response:
    """The answer while the registry cannot be asked: 429, for which clients wait; 503 is fatal."""
    if error.retry_seconds is None:  # where no names are kept there is no such name
        return _refused(HubError("RepoNotFound", str(error)))
    headers = {"retry-after": str(error.retry_seconds), "x-error-message": _latin(str(error))}
    answer = problem(
        429, "registry-unavailable", "Too Many Requests", str(error),
        headers=headers, error=str(error),
    )  # fmt: skip
    answer.headers["content-type"] = "application/json"
    return answer


class _Route(Route):
    """A route that the log and the metrics can name."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette does, and which route it was, as FastAPI does."""
        match, found = super().matches(scope)
        return match, {**found, "route": self} if match is not Match.NONE else found


def _after(request: Request, marker: bytes) -> list[str]:
    """The segments of the path after a marker, decoded one by one.

    A revision with a slash comes as `%2F`, which must not part it from itself.
    """
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    _, _, rest = raw.partition(b"?")[0].partition(b"/" + marker + b"/")
    return [unquote(segment) for segment in rest.decode("latin-1").split("/")]


async def resolve(
    request: Request, service: Service, namespace: str, name: str, rest: str
) -> Response:
    """A file of a repository at a revision, whole or in ranges."""
    marker = b"raw" if "/raw/" in request.scope["path"] else b"resolve"
    revision, *path = _after(request, marker)
    found = await _find(service, namespace, name, revision)
    file = file_of(found.checkpoint, "/".join(path))
    if file is None:
        raise HubError(
            "EntryNotFound",
            f"{found.repository} has no file {rest.partition('/')[2][:200]!r}.",
            found.commit,
        )
    return service.respond(
        request,
        file,
        path[-1],
        cache_control=found.cache_control,
        headers=[*found.headers, *await service.digest_of(request, file)],
    )


async def model_info(
    request: Request, service: Service, namespace: str, name: str, rest: str = "main"
) -> Response:
    """What a repository is, at a revision, and which files it has."""
    revision = _after(request, b"revision") if "revision" in request.url.path else [rest]
    found = await _find(service, namespace, name, "/".join(revision))
    query = parse_qs(request.scope["query_string"].decode("latin-1"))
    blobs = query.get("blobs", [""])[-1].lower() == "true"
    if blobs:
        await _hash(service, found)
    content = await asyncio.to_thread(lambda: _info(service, found, blobs=blobs))
    return JSONResponse(content, headers={"x-repo-commit": found.commit})


def _info(service: Service, found: _Found, *, blobs: bool) -> dict[str, Any]:
    checkpoint = found.checkpoint
    totals: dict[str, int] = {}
    for tensor in checkpoint.tensors:
        totals[tensor.dtype.code] = totals.get(tensor.dtype.code, 0) + tensor.elements
    model = checkpoint.spec.built
    siblings: list[dict[str, Any]] = []
    for entry in entries(checkpoint, service.hashes):
        sibling: dict[str, Any] = {"rfilename": entry.file.name}
        if blobs:
            sibling |= {"size": entry.file.size, "blobId": entry.oid}
            if entry.sha256 is not None:
                sibling["lfs"] = {
                    "sha256": entry.sha256,
                    "size": entry.file.size,
                    "pointerSize": _POINTER_BYTES,
                }
        siblings.append(sibling)
    return {
        **_listing(found.repository, transformers=model is not None and model.config is not None),
        "sha": found.commit,
        "siblings": siblings,
        "safetensors": {"parameters": totals, "total": sum(totals.values())},
        "config": dict(model.config) if model is not None and model.config else {},
        "usedStorage": sum(file.size for file in checkpoint.files()),
    }


_POINTER_BYTES = 135


def _listing(repository: str, *, transformers: bool) -> dict[str, Any]:
    """What a list says of a repository."""
    return {
        "_id": hashlib.sha256(repository.encode()).hexdigest()[:24],
        "id": repository,
        "modelId": repository,
        "author": repository.partition("/")[0],
        "createdAt": _EPOCH,
        "lastModified": _EPOCH,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": ["seedbed", "safetensors"],
        "library_name": "transformers" if transformers else "safetensors",
        "pipeline_tag": None,
    }


async def tree(request: Request, service: Service, namespace: str, name: str, **_: str) -> Response:
    """The files of a repository at a revision, with sizes and hashes."""
    revision, *path = _after(request, b"tree")
    found = await _find(service, namespace, name, revision)
    if any(path):
        folder = "/".join(path)[:200]
        raise HubError("EntryNotFound", f"There is no folder {folder!r}.", found.commit)
    await _hash(service, found)
    query = parse_qs(request.scope["query_string"].decode("latin-1"))
    expand = query.get("expand", [""])[-1].lower() == "true"
    content = await asyncio.to_thread(
        lambda: [
            _leaf(entry, found, expand=expand)
            for entry in entries(found.checkpoint, service.hashes)
        ]
    )
    return JSONResponse(content, headers={"x-repo-commit": found.commit})


def _leaf(entry: Entry, found: _Found, *, expand: bool) -> dict[str, Any]:
    leaf: dict[str, Any] = {
        "type": "file",
        "path": entry.file.name,
        "size": entry.file.size,
        "oid": entry.oid,
    }
    if entry.sha256 is not None:
        leaf["lfs"] = {
            "oid": entry.sha256,
            "size": entry.file.size,
            "pointerSize": _POINTER_BYTES,
        }
    if expand:
        leaf["lastCommit"] = {"id": found.commit, "title": "Initialise", "date": _EPOCH}
    return leaf


async def paths_info(
    request: Request, service: Service, namespace: str, name: str, **_: str
) -> Response:
    """Those of some paths that a repository has at a revision; the body is a form or JSON."""
    found = await _find(service, namespace, name, "/".join(_after(request, b"paths-info")))
    settings = service.settings
    body = await read_body(
        request, settings.max_body_bytes, settings.body_seconds, "max_body_bytes"
    )
    paths, expand = _paths(request, body)
    await _hash(service, found)

    def leaves() -> Iterator[dict[str, Any]]:
        for path in dict.fromkeys(paths):
            if (file := file_of(found.checkpoint, path)) is not None:
                yield _leaf(entry_of(file, service.hashes), found, expand=expand)

    content = await asyncio.to_thread(lambda: list(leaves()))
    return JSONResponse(content, headers={"x-repo-commit": found.commit})


def _paths(request: Request, body: bytes) -> tuple[list[str], bool]:
    if "json" in request.headers.get("content-type", ""):
        try:
            said = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise HubError("EntryNotFound", "The body is no JSON.") from error
        said = said if isinstance(said, dict) else {}
        paths, expand = said.get("paths"), said.get("expand")
    else:
        form = parse_qs(body.decode("utf-8", "replace"))
        paths, expand = form.get("paths"), form.get("expand", [""])[-1].lower() == "true"
    paths = [paths] if isinstance(paths, str) else paths
    if not isinstance(paths, list):
        paths = []
    return [path for path in paths if isinstance(path, str)], bool(expand)


async def refs(request: Request, service: Service, namespace: str, name: str) -> Response:
    """The branches of a repository: one, since every seed is a revision."""
    found = await _find(service, namespace, name, "main")
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": found.commit}
    answer: dict[str, Any] = {"branches": [main], "converts": [], "tags": []}
    if request.query_params.get("include_prs"):
        answer["pullRequests"] = []
    return JSONResponse(answer)


async def list_repositories(request: Request, service: Service) -> Response:
    """Repositories whose id has a text in it."""
    query = request.query_params
    search = query.get("search", "").lower()
    author = query.get("author")
    limit = query.get("limit", "")
    most = min(int(limit[:9]), _LISTED) if limit.isascii() and limit.isdigit() else _LISTED
    found = []
    await load_presets()
    for name, preset in presets().items():
        repository = f"{NAMESPACE}/{name}"
        if search in repository.lower() and author in (None, NAMESPACE):
            transformers = "transformers" in preset.library
            found.append(_listing(repository, transformers=transformers))
    if service.registry.exists and len(found) < most:
        with contextlib.suppress(UnavailableError):  # the presets are there in any case
            page = await service.registry.ask(
                SpecStore.list, namespace=author, search=search, limit=most - len(found)
            )
            found += [_listing(str(one.id), transformers=False) for one in page.entries]
    return JSONResponse(found[:most])


async def _hash(service: Service, found: _Found) -> None:
    """Have the true sums of the weights known, if they are small enough for that to be quick."""
    checkpoint = found.checkpoint
    size = sum(tensor.size_bytes for tensor in checkpoint.tensors)
    if size <= service.settings.hash_bytes:
        await service.hash_all(checkpoint)


async def unknown(_: Request, __: Service, name: str = "", rest: str = "") -> Response:
    """Whatever else a client may ask of an id that is none."""
    raise _no_repository(name or rest)


_ROUTES: Mapping[str, tuple[tuple[str, ...], Endpoint]] = {
    "/{namespace}/{name}/resolve/{rest:path}": (("GET", "HEAD"), resolve),
    "/{namespace}/{name}/raw/{rest:path}": (("GET", "HEAD"), resolve),
    "/api/models": (("GET", "HEAD"), list_repositories),
    "/api/models/{namespace}/{name}": (("GET", "HEAD"), model_info),
    "/api/models/{namespace}/{name}/revision/{rest:path}": (("GET", "HEAD"), model_info),
    "/api/models/{namespace}/{name}/tree/{rest:path}": (("GET", "HEAD"), tree),
    "/api/models/{namespace}/{name}/paths-info/{rest:path}": (("POST",), paths_info),
    "/api/models/{namespace}/{name}/refs": (("GET", "HEAD"), refs),
    "/api/models/{rest:path}": (("GET", "HEAD"), unknown),
    "/{name}/resolve/{rest:path}": (("GET", "HEAD"), unknown),
}

router = Router(
    [
        _Route(f"{prefix}{path}", _guarded(endpoint), methods=list(methods))
        for prefix in PREFIXES
        for path, (methods, endpoint) in _ROUTES.items()
    ]
)
"""Not in OpenAPI, which would make it a promise of ours."""
