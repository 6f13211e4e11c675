"""The S3 API, as far as reading goes: presets and named specs are objects of buckets.

A bucket is a namespace, a key is `name/revision/file`, with names and revisions as the Hub's
repositories have them. Signatures are not looked at: the bucket is there only where anybody may
read, and a client that signs its requests is answered like one that does not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from typing import Any

from fastapi import Request, Response
from starlette.routing import Router

from seedbed.errors import BusyError, IdError, LimitError, UnavailableError, UnknownSpecError
from seedbed.files import Checkpoint
from seedbed.hub import NAMESPACE, RevisionError, file_of, parse_revision, split_variants
from seedbed.models import presets
from seedbed.registry import SpecId, SpecStore
from seedbed.s3 import (
    BRANCH,
    MAX_KEYS,
    Listing,
    Object,
    Query,
    S3Error,
    bucket_list,
    key_of,
    listed,
    location,
)
from seedbed.web.named_routes import NamedRoute
from seedbed.web.repositories import BRANCH_CONTROL, HubError, checkpoint_at
from seedbed.web.s3_objects import answer, refused
from seedbed.web.service import Service, load_presets

PATH = "/s3"

_MOST_BUCKETS = 10_000
"""Of one page, as S3 has it."""

_PLANNED = 4
"""Checkpoints that one page of a listing has planned, at most; the next page goes on."""

_REGION = {"x-amz-bucket-region": "us-east-1"}

_LISTING = frozenset({
    "list-type", "prefix", "delimiter", "marker", "max-keys", "encoding-type", "start-after",
    "continuation-token", "fetch-owner",
})  # fmt: skip
_OF_ANY = frozenset({"x-id", "AWSAccessKeyId", "Signature", "Expires"})
"""What the AWS SDKs add to say what they mean, and what URLs have that are signed in the older way;
those of the newer way have `X-Amz-…`."""


def off() -> S3Error:
    """The refusal of a service whose bucket is off."""
    return S3Error(
        "AccessDenied",
        "The buckets of this service are off: reading needs an API key here, of which only hashes "
        "are kept, so that no signature can be verified; or SEEDBED_BUCKETS is none.",
    )


Endpoint = Callable[..., Coroutine[Any, Any, Response]]


def _guarded(endpoint: Endpoint) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """An endpoint whose errors clients of S3 understand."""

    async def guarded(request: Request) -> Response:
        service: Service = request.app.state.service
        resource = str(request.url.path)
        try:
            if not service.settings.buckets_are_on:
                raise off()
            return await endpoint(request, service, **request.path_params)
        except S3Error as refusal:
            said = refusal
        except HubError as unknown:
            said = S3Error("NoSuchKey", unknown.message)
        except LimitError as limit:
            said = S3Error("InvalidRequest", str(limit))
        except (BusyError, UnavailableError) as busy:
            said = _later(busy)
        return refused(said, resource, head=request.method == "HEAD")

    return guarded


def _later(busy: BusyError | UnavailableError) -> S3Error:
    """Try again; or where no names are kept, there is no such bucket."""
    if busy.retry_seconds is None:
        return S3Error("NoSuchBucket", str(busy))
    return S3Error("SlowDown", str(busy), busy.retry_seconds)


async def list_buckets(request: Request, service: Service) -> Response:
    """All namespaces that have something, or a page of them."""
    _require(request, _OF_ANY | {"max-buckets", "continuation-token", "prefix"})
    asked = request.query_params
    most = _number(asked.get("max-buckets") or str(_MOST_BUCKETS), "max-buckets")
    if not 1 <= most <= _MOST_BUCKETS:
        raise S3Error("InvalidArgument", f"max-buckets is from 1 to {_MOST_BUCKETS}.")
    after, prefix = key_of(asked.get("continuation-token", "")), asked.get("prefix", "")
    names = [NAMESPACE]
    if service.registry.exists:
        with contextlib.suppress(UnavailableError):  # the presets are there in any case
            names += await service.registry.ask(SpecStore.namespaces, _MOST_BUCKETS)
    rest = sorted(name for name in names if name.startswith(prefix) and name > after)
    return _xml(bucket_list(rest[:most], prefix, rest[most - 1] if len(rest) > most else ""))


async def bucket(request: Request, service: Service, bucket: str) -> Response:
    """A bucket: that it is there, where it is, or what it has."""
    if request.method == "HEAD":
        await _require_bucket(service, bucket)
        return Response(headers=_REGION)
    if "location" in request.query_params:
        _require(request, _OF_ANY | {"location"})
        await _require_bucket(service, bucket)
        return _xml(location())
    query = _query(request)
    page = Listing(query)
    await _require_bucket(service, bucket)
    if query.most:
        await _fill(request, service, bucket, page)
    return _xml(listed(bucket, page))


async def get_object(request: Request, service: Service, bucket: str, **_: str) -> Response:
    """An object, whole, in a range, or its headers alone."""
    version = request.query_params.get("versionId", "null")
    _require(request, _OF_ANY | {"versionId", "partNumber"})
    root = request.scope.get("root_path", "")
    key = request.scope["path"].removeprefix(root).split("/", 3)[3]
    name, revision, file_name = (*key.split("/", 2), "", "")[:3]
    if version != "null":
        raise S3Error("NoSuchVersion", "Objects have one version, whose id is null.")
    checkpoint = await checkpoint_at(request, service, bucket, name, revision)
    if "/" in file_name or not checkpoint.has(file_name):
        raise S3Error("NoSuchKey", f"There is no {file_name[:200]!r} in {name}/{revision}.")
    file = Object(await service.file_in(checkpoint, file_name))
    return answer(request, file, service.streamer)


async def refuse(_: Request, __: Service, **___: str) -> Response:
    """Whatever would change something."""
    raise S3Error(
        "MethodNotAllowed", "These buckets are read-only: objects are a function of their key."
    )


def _xml(body: bytes) -> Response:
    return Response(body, headers={"cache-control": BRANCH_CONTROL}, media_type="application/xml")


def _require(request: Request, known: Iterable[str]) -> None:
    """Refuse parameters that would be ignored.

    Raises:
        S3Error: there is one.
    """
    for name in request.query_params:
        if name not in known and not name.lower().startswith("x-amz-"):
            raise S3Error("NotImplemented", f"{name[:100]!r} is not implemented here.")


async def _require_bucket(service: Service, bucket: str) -> None:
    """Refuse a bucket that is not there.

    Raises:
        S3Error: it is not.
    """
    if bucket == NAMESPACE:
        return
    if service.registry.exists:
        page = await service.registry.ask(SpecStore.list, namespace=bucket, limit=1)
        if page.entries:
            return
    raise S3Error("NoSuchBucket", f"There is no bucket {bucket[:200]!r}.")


def _number(text: str, name: str) -> int:
    """A parameter as a number; one that is longer than any that matters is cut.

    Raises:
        S3Error: it is none.
    """
    if not (text.isascii() and text.isdigit()):
        raise S3Error("InvalidArgument", f"{name} is a whole number.")
    return int(text[:9])


def _query(request: Request) -> Query:
    """What a listing is asked to be.

    Raises:
        S3Error: it cannot be that.
    """
    _require(request, _LISTING | _OF_ANY)
    asked = request.query_params
    version = {"": 1, "2": 2}.get(asked.get("list-type", ""))
    most = _number(asked.get("max-keys") or str(MAX_KEYS), "max-keys")
    encoding = asked.get("encoding-type", "")
    if version is None or encoding not in {"", "url"}:
        raise S3Error("InvalidArgument", "list-type is 2, and encoding-type is url.")
    if (delimiter := asked.get("delimiter", "")) not in {"", "/"}:
        raise S3Error("NotImplemented", "The only delimiter is /.")
    token = asked.get("continuation-token", "")
    start = asked.get("start-after" if version == 2 else "marker", "")
    return Query(
        asked.get("prefix", ""), delimiter, key_of(token) if token else start,
        min(most, MAX_KEYS), version, encoding == "url", start, token,
    )  # fmt: skip


async def _fill(request: Request, service: Service, bucket: str, page: Listing) -> None:
    """Fill a page with what its prefix leads to; nothing is planned that is not in it."""
    name, *rest = page.query.prefix.split("/", 2)
    if not rest:
        await _fill_names(request, service, bucket, page)
        return
    if not await _is_known(service, bucket, name):
        return
    revision, *files = rest
    with contextlib.suppress(HubError):  # a prefix of nothing
        for known in [revision] if files else _revisions(revision):
            if not files and page.query.delimiter:
                if not page.add_prefix(f"{name}/{known}/"):
                    return
            elif not await _add_files(request, service, bucket, page, f"{name}/{known}/"):
                return


async def _is_known(service: Service, bucket: str, name: str) -> bool:
    """Whether a bucket has a name; of presets, with arguments in it too."""
    if bucket == NAMESPACE:
        await load_presets()
        return split_variants(name, presets()) is not None
    try:
        await service.registry.ask(SpecStore.get, SpecId.of(bucket, name))
    except (IdError, UnknownSpecError):
        return False
    return True


def _revisions(beginning: str) -> list[str]:
    """Revisions that are listed: the branch, and one that is named whole."""
    revisions = {BRANCH} if BRANCH.startswith(beginning) else set()
    with contextlib.suppress(RevisionError):
        parse_revision(beginning)
        revisions.add(beginning)
    return sorted(revisions)


async def _fill_names(request: Request, service: Service, bucket: str, page: Listing) -> None:
    """Fill a page from the names of a bucket on."""
    planned = 0
    async for name in _names(service, bucket, page.query.prefix):
        if page.query.delimiter:
            if not page.add_prefix(f"{name}/"):
                return
            continue
        folder = f"{name}/{BRANCH}/"
        if page.has_all_of(folder):
            continue
        if planned == _PLANNED:
            page.is_cut = True
            return
        planned += 1
        with contextlib.suppress(HubError, LimitError):  # it means nothing, or nothing any more
            if not await _add_files(request, service, bucket, page, folder):
                return
        page.leave(folder)


async def _names(service: Service, bucket: str, beginning: str) -> AsyncIterator[str]:
    """Names of a bucket that begin so, in the order of the keys that begin with them."""
    if bucket == NAMESPACE:
        await load_presets()
        names = list(presets())
    else:
        names, after = [], None
        while True:
            listed = await service.registry.ask(
                SpecStore.list, namespace=bucket, limit=MAX_KEYS, after=after
            )
            names += [entry.id.name for entry in listed.entries]
            if (after := listed.last) is None:
                break
    for name in sorted(names, key=lambda name: f"{name}/"):
        if name.startswith(beginning):
            yield name


async def _add_files(
    request: Request, service: Service, bucket: str, page: Listing, folder: str
) -> bool:
    """Add the files of a revision; False if the page is full."""
    name, revision, _ = folder.split("/")
    checkpoint = await checkpoint_at(request, service, bucket, name, revision)
    return await asyncio.to_thread(_add_all, checkpoint, page, folder)


def _add_all(checkpoint: Checkpoint, page: Listing, folder: str) -> bool:
    """A file has a header, which is made for its size: so only of those that are listed."""
    for name in checkpoint.names:
        key = f"{folder}{name}"
        if not key.startswith(page.query.prefix) or page.is_past(key):
            continue
        file = file_of(checkpoint, name)
        if file is None:
            raise AssertionError("it is one of the checkpoint's own names")
        if not page.add_key(key, file.size, Object(file).etag):
            return False
    return True


_READ = ("GET", "HEAD")
_CHANGE = ("PUT", "POST", "DELETE", "PATCH")

_ROUTES: Mapping[str, tuple[tuple[str, ...], Endpoint]] = {
    "": (("GET",), list_buckets),
    "/": (("GET",), list_buckets),
    "/{bucket}": (_READ, bucket),
    "/{bucket}/": (_READ, bucket),
    "/{bucket}/{key:path}": (_READ, get_object),
}

router = Router(
    [
        *(
            NamedRoute(f"{PATH}{path}", _guarded(endpoint), methods=list(methods))
            for path, (methods, endpoint) in _ROUTES.items()
        ),
        NamedRoute(f"{PATH}/{{rest:path}}", _guarded(refuse), methods=list(_CHANGE)),
    ]
)
"""Not in OpenAPI: the protocol is Amazon's. docs/s3.md says which clients were tried."""
