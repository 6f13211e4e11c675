"""The Hugging Face Hub's protocol, as far as its clients use it to load a model.

Measured with the real clients; there is no specification. Errors carry `X-Error-Code`, by which
clients tell an unknown repository from an unknown revision or file; a plain 404 would have them
say that the network is down.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse
from starlette.routing import Router

from seedbed.errors import BusyError, LimitError, UnavailableError
from seedbed.files import Form, SmallFile, TextLimits, read
from seedbed.hub import NAMESPACE, Entry, entries, entry_of, file_of, published_specs
from seedbed.models import presets
from seedbed.registry import SpecStore
from seedbed.web.bodies import FORM, Body
from seedbed.web.named_routes import NamedRoute
from seedbed.web.problems import problem, shortened
from seedbed.web.repositories import HubError, Snapshot, find, no_repository
from seedbed.web.service import Service, load_presets

PREFIXES = ("/hub", "")
"""Where the protocol is served: at the root, and apart for whoever wants it so."""

_EPOCH = "2020-01-01T00:00:00.000Z"
_LISTED = 1000
_LONGEST_ID = 200


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
    return "".join(c if " " <= c <= "~" else "?" for c in shortened(text))


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
        except (UnavailableError, BusyError) as error:
            return _later(error)

    return guarded


def _later(error: UnavailableError | BusyError) -> Response:
    """The answer while nobody is free or the registry is away: 429, for which clients wait.

    503 is fatal to them.
    """
    if error.retry_seconds is None:  # where no names are kept there is no such name
        return _refused(HubError("RepoNotFound", str(error)))
    headers = {"retry-after": str(error.retry_seconds), "x-error-message": _latin(str(error))}
    answer = problem(
        429,
        "busy" if isinstance(error, BusyError) else "registry-unavailable",
        "Too Many Requests",
        str(error),
        headers=headers,
        error=str(error),
    )
    answer.headers["content-type"] = "application/json"
    return answer


def _rest(request: Request) -> list[str]:
    """The segments of the path that the route calls `rest`, decoded one by one.

    A revision with a slash comes as `%2F`, which must not part it from itself. The route says where
    they begin, since any word of it may also be a name.
    """
    root = request.scope.get("root_path", "").encode()
    raw: bytes = request.scope["raw_path"].removeprefix(root)
    begin = request.scope["route"].path.split("/").index("{rest:path}")
    return [unquote(segment) for segment in raw.decode("latin-1").split("/")[begin:]]


def _flag(request: Request, name: str) -> bool:
    """Whether the query says true, as Python or JavaScript spells it."""
    return request.query_params.get(name, "").lower() == "true"


async def resolve(
    request: Request, service: Service, name: str, namespace: str = "", **_: str
) -> Response:
    """A file of a repository at a revision, whole or in ranges."""
    revision, *path = _rest(request)
    snapshot = await find(request, service, namespace, name, revision)
    file = file_of(snapshot.checkpoint, "/".join(path))
    if file is None:
        raise HubError(
            "EntryNotFound",
            f"{snapshot.repository} has no file {'/'.join(path)[:200]!r}.",
            snapshot.commit,
        )
    return service.respond(
        request,
        file,
        path[-1],
        cache_control=snapshot.cache_control,
        headers=[*snapshot.headers, *await service.digests.header_for(request, file)],
    )


async def model_info(
    request: Request, service: Service, name: str, namespace: str = "", rest: str | None = None
) -> Response:
    """What a repository is, at a revision or now, and which files it has."""
    revision = "main" if rest is None else "/".join(_rest(request))
    snapshot = await find(request, service, namespace, name, revision)
    blobs = _flag(request, "blobs")
    if blobs:
        await _hash(request, service, snapshot)
    content = await asyncio.to_thread(lambda: _info(service, snapshot, blobs=blobs))
    return JSONResponse(content, headers={"x-repo-commit": snapshot.commit})


def _info(service: Service, snapshot: Snapshot, *, blobs: bool) -> dict[str, Any]:
    checkpoint = snapshot.checkpoint
    totals: dict[str, int] = {}
    for tensor in checkpoint.tensors:
        totals[tensor.dtype.code] = totals.get(tensor.dtype.code, 0) + tensor.elements
    config = checkpoint.config
    siblings: list[dict[str, Any]] = []
    for entry in entries(checkpoint, service.digests.known):
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
        **_listing(snapshot.repository, transformers="model_type" in (config or {})),
        "sha": snapshot.commit,
        "siblings": siblings,
        "safetensors": {"parameters": totals, "total": sum(totals.values())},
        "config": dict(config or {}),
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
        "tags": ["seedbed", "safetensors", "random-weights"],
        "library_name": "transformers" if transformers else "safetensors",
        "pipeline_tag": None,
    }


async def tree(
    request: Request, service: Service, name: str, namespace: str = "", **_: str
) -> Response:
    """The files of a repository at a revision, with sizes and hashes."""
    revision, *path = _rest(request)
    snapshot = await find(request, service, namespace, name, revision)
    if any(path):
        folder = "/".join(path)[:200]
        raise HubError("EntryNotFound", f"There is no folder {folder!r}.", snapshot.commit)
    await _hash(request, service, snapshot)
    expand = _flag(request, "expand")
    content = await asyncio.to_thread(
        lambda: [
            _leaf(entry, snapshot, expand=expand)
            for entry in entries(snapshot.checkpoint, service.digests.known)
        ]
    )
    return JSONResponse(content, headers={"x-repo-commit": snapshot.commit})


def _leaf(entry: Entry, snapshot: Snapshot, *, expand: bool) -> dict[str, Any]:
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
        leaf["lastCommit"] = {"id": snapshot.commit, "title": snapshot.title, "date": _EPOCH}
    return leaf


async def paths_info(
    request: Request, service: Service, name: str, namespace: str = "", **_: str
) -> Response:
    """Those of some paths that a repository has at a revision; the body is a form or JSON."""
    body = await service.body(request, "max_paths_bytes", also=FORM)
    snapshot = await find(request, service, namespace, name, "/".join(_rest(request)))
    asked = _asked(body, service.settings.text_limits)
    paths = [asked.paths] if isinstance(asked.paths, str) else asked.paths
    expand = asked.expand
    await _hash(request, service, snapshot)

    def leaves() -> Iterator[dict[str, Any]]:
        for path in dict.fromkeys(paths):
            if (file := file_of(snapshot.checkpoint, path)) is not None:
                yield _leaf(entry_of(file, service.digests.known), snapshot, expand=expand)

    content = await asyncio.to_thread(lambda: list(leaves()))
    return JSONResponse(content, headers={"x-repo-commit": snapshot.commit})


class _Asked(BaseModel):
    """What `paths-info` is asked; other fields are other versions' business."""

    model_config = ConfigDict(frozen=True)

    paths: list[str] | str = []
    expand: bool = False


_PATHS = Form(_Asked, "list of paths")


def _asked(body: Body, bounds: TextLimits) -> _Asked:
    """A form, as the Python client sends it, or JSON, as the others do."""
    if body.media_type != FORM:
        return read(_PATHS, body.text, bounds)
    form = parse_qs(body.text.decode("utf-8", "replace"))
    expand = form.get("expand", [""])[-1].lower() == "true"
    return _Asked(paths=form.get("paths", []), expand=expand)


async def refs(request: Request, service: Service, name: str, namespace: str = "") -> Response:
    """The branches of a repository: one, since every seed is a revision."""
    snapshot = await find(request, service, namespace, name, "main")
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": snapshot.commit}
    answer: dict[str, Any] = {"branches": [main], "converts": [], "tags": []}
    if request.query_params.get("include_prs"):
        answer["pullRequests"] = []
    return JSONResponse(answer)


async def commits(
    request: Request, service: Service, name: str, namespace: str = "", **_: str
) -> Response:
    """The history of a revision: one commit, since none is made from another."""
    snapshot = await find(request, service, namespace, name, "/".join(_rest(request)))
    commit: dict[str, Any] = {
        "id": snapshot.commit,
        "title": snapshot.title,
        "message": "",
        "authors": [{"user": NAMESPACE}],
        "date": _EPOCH,
    }
    if "formatted" in request.query_params.getlist("expand[]"):
        commit["formatted"] = {"title": snapshot.title, "message": ""}
    return JSONResponse([commit], headers={"x-repo-commit": snapshot.commit})


async def list_repositories(request: Request, service: Service) -> Response:
    """Repositories whose id has a text in it."""
    query = request.query_params
    search = query.get("search", "").lower()
    author = query.get("author")
    limit = query.get("limit", "")
    most = min(int(limit[:9]), _LISTED) if limit.isascii() and limit.isdigit() else _LISTED
    listings = []
    await load_presets()
    for name, preset in presets().items():
        repository = f"{NAMESPACE}/{name}"
        if search in repository.lower() and author in (None, NAMESPACE):
            transformers = "transformers" in preset.library
            listings.append(_listing(repository, transformers=transformers))
    if service.settings.published_ids:
        listings += [
            _listing(repository, transformers=True)
            for repository in published_specs()
            if search in repository.lower() and author in (None, repository.partition("/")[0])
        ]
    if service.registry.exists and len(listings) < most and len(search) <= _LONGEST_ID:
        with contextlib.suppress(UnavailableError):  # the presets are there in any case
            page = await service.registry.ask(
                SpecStore.list, namespace=author, search=search, limit=most - len(listings)
            )
            listings += [_listing(str(entry.id), transformers=False) for entry in page.entries]
    return JSONResponse(listings[:most])


async def _hash(request: Request, service: Service, snapshot: Snapshot) -> None:
    """Have the true sums of the weights known, if they are small enough for that to be quick."""
    checkpoint = snapshot.checkpoint
    size = sum(tensor.size_bytes for tensor in checkpoint.tensors)
    if size <= service.settings.hash_bytes:
        for file in checkpoint.files():
            if not isinstance(file, SmallFile):
                await service.digests.of(request, file)


async def unknown(_: Request, __: Service, name: str = "", rest: str = "") -> Response:
    """Whatever else a client may ask of an id that is none."""
    raise no_repository(name or rest)


# In an order that leaves no doubt: `api` and `hub`, which no namespace is called, come first.
_ROUTES: Mapping[str, tuple[tuple[str, ...], Endpoint]] = {
    "/api/models": (("GET", "HEAD"), list_repositories),
    "/api/models/{namespace}/{name}": (("GET", "HEAD"), model_info),
    "/api/models/{namespace}/{name}/revision/{rest:path}": (("GET", "HEAD"), model_info),
    "/api/models/{namespace}/{name}/tree/{rest:path}": (("GET", "HEAD"), tree),
    "/api/models/{namespace}/{name}/paths-info/{rest:path}": (("POST",), paths_info),
    "/api/models/{namespace}/{name}/commits/{rest:path}": (("GET", "HEAD"), commits),
    "/api/models/{namespace}/{name}/refs": (("GET", "HEAD"), refs),
    # Ids without a namespace, as a few on the Hub once had; of two segments the above are meant.
    "/api/models/{name}": (("GET", "HEAD"), model_info),
    "/api/models/{name}/revision/{rest:path}": (("GET", "HEAD"), model_info),
    "/api/models/{name}/tree/{rest:path}": (("GET", "HEAD"), tree),
    "/api/models/{name}/commits/{rest:path}": (("GET", "HEAD"), commits),
    "/api/models/{name}/paths-info/{rest:path}": (("POST",), paths_info),
    "/api/models/{rest:path}": (("GET", "HEAD"), unknown),
    "/{namespace}/{name}/resolve/{rest:path}": (("GET", "HEAD"), resolve),
    "/{namespace}/{name}/raw/{rest:path}": (("GET", "HEAD"), resolve),
    "/{name}/resolve/{rest:path}": (("GET", "HEAD"), resolve),
    "/{name}/raw/{rest:path}": (("GET", "HEAD"), resolve),
}

router = Router(
    [
        NamedRoute(f"{prefix}{path}", _guarded(endpoint), methods=list(methods))
        for prefix in PREFIXES
        for path, (methods, endpoint) in _ROUTES.items()
    ]
)
"""Not in OpenAPI: the protocol is the Hub's to define, its clients need no document of ours, and
their next release could break what ours promises. docs/hub.md says which of them were tried."""
