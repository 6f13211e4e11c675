"""Specs with names: stored, replaced, deleted, listed, and their files."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from seedbed.errors import (
    IdError,
    InvalidError,
    ParameterError,
    SpecError,
    UnknownSpecError,
    said,
)
from seedbed.files import FILE_NAME, File, Seed, seed_to_json
from seedbed.registry import (
    PREFIX_DIGITS,
    Content,
    Expected,
    SpecEntry,
    SpecId,
    SpecStore,
    digest_of,
    etag_of,
)
from seedbed.web.clients import KEY_NAME
from seedbed.web.documentation import PROBLEMS, file_routes
from seedbed.web.jobs import Source
from seedbed.web.problems import RequestProblem, problem
from seedbed.web.queries import query_options, refuse_others, refuse_query
from seedbed.web.ranges import conditions, entity_tags, select
from seedbed.web.responses import CACHE_CONTROL
from seedbed.web.service import Service, ServiceOf

router = APIRouter(tags=["specs"])

log = structlog.get_logger("seedbed")

_PATH = "/v1/specs/{namespace}/{name}"

_REVALIDATE = "no-cache"
"""A name may mean something else tomorrow: caches may keep an answer, but have to ask."""

_PAGE = 100

_SEED: TypeAdapter[int] = TypeAdapter(Seed)


class SpecLinks(BaseModel):
    """Where to get what a name means."""

    spec: str = Field(description="The JSON as it was given.")
    file: str = Field(description="A file of it; seed= gives another seed's.")
    pinned: str = Field(
        description="The same file, whatever the name may mean later; as long as it is kept."
    )


class NamedSpec(BaseModel):
    """A stored spec, without its JSON."""

    id: str = Field(description="namespace/name.")
    digest: str = Field(
        description="Of the files that it means, but for the seed: 64 hexadecimal digits."
    )
    seed: int | str = Field(
        description="Its own, where a request says none. Up to 2**53 − 1 a number, else a string."
    )
    etag: str = Field(description="Strong validator of the JSON, for If-Match; without quotes.")
    size_bytes: int = Field(description="Of the JSON.")
    created: datetime = Field(description="When the name was first given.")
    updated: datetime = Field(description="When the JSON last changed.")
    links: SpecLinks


class NamedSpecs(BaseModel):
    """A page of the list."""

    specs: list[NamedSpec] = Field(description="In order of their ids.")
    next: str | None = Field(description="Path of the next page; null if this is the last.")


Namespace = Annotated[
    str,
    Path(description="Whose specs. seedbed and some others are reserved.", examples=["team"]),
]
Name = Annotated[
    str,
    Path(
        description="Up to 96 letters, digits, _, - and ., as in the Hub's ids.",
        examples=["experiment"],
    ),
]

_ETAG = {"ETag": {"description": "Strong validator.", "schema": {"type": "string"}}}

_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "The ETag of what is stored now, or *: 412 if it is another.",
    "schema": {"type": "string"},
}
_IF_NONE_MATCH = {**_IF_MATCH, "name": "If-None-Match"}

_NEW_ONLY = {**_IF_NONE_MATCH, "description": "*: 412 if there is a spec of that name."}
_KNOWN = {**_IF_NONE_MATCH, "description": "304 if one of these is the ETag."}

_STORED: dict[str, Any] = {"model": NamedSpec, "headers": _ETAG}


@router.put(
    _PATH,
    operation_id="putSpec",
    summary="Store a spec under a name",
    response_model=NamedSpec,
    responses={
        200: {**_STORED, "description": "Replaced, or there already."},
        201: {**_STORED, "description": "Stored under a new name."},
        **PROBLEMS,
    },
    openapi_extra={
        "parameters": [_IF_MATCH, _NEW_ONLY],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/CheckpointSpec"}}
            },
        },
    },
)
async def put_spec(
    request: Request, service: ServiceOf, namespace: Namespace, name: Name
) -> Response:
    """Only what means a file is stored.

    To replace a spec by another takes `If-Match` with its ETag; the same spec, spelled differently
    or not, may be stored again without that. Where a library was asked about a config that the
    catalogue does not know, what is stored says so, with its release and a digest.
    """
    spec_id = SpecId.of(namespace, name)
    settings = service.settings
    smaller = min("max_spec_bytes", "max_body_bytes", key=lambda limit: getattr(settings, limit))
    refuse_query(request, "the spec is in the body")
    body = await service.body(request, smaller)
    spec, text = await service.check(request, body.text)
    expected = _expected(request)
    entry, is_new = await service.registry.ask(SpecStore.put, spec_id, text, spec, expected)
    log.info("spec stored", id=str(spec_id), etag=entry.etag, key=request.scope.get(KEY_NAME))
    return Response(
        _describe(request, entry).model_dump_json(),
        201 if is_new else 200,
        {"etag": f'"{entry.etag}"', "cache-control": "no-store"},
        "application/json",
    )


@router.head(_PATH, include_in_schema=False)
@router.get(
    _PATH,
    operation_id="getSpec",
    summary="A stored spec",
    response_class=Response,
    responses={
        200: {
            "description": "The JSON, byte for byte as it was given.",
            "headers": _ETAG,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/CheckpointSpec"}}
            },
        },
        304: {"description": "The spec is the one that If-None-Match names.", "headers": _ETAG},
        **PROBLEMS,
    },
    openapi_extra={"parameters": [_IF_MATCH, _KNOWN]},
)
async def get_spec(
    request: Request, service: ServiceOf, namespace: Namespace, name: Name
) -> Response:
    """The JSON as it was given, to be posted, changed and put back."""
    refuse_query(request, "a seed belongs to a file")
    stored = await service.registry.ask(SpecStore.get, _known_id(namespace, name))
    etag = stored.entry.etag
    fields = conditions(request.scope["headers"])
    asked = {name: text for name, text in fields.items() if name in ("if-match", "if-none-match")}
    headers = {"etag": f'"{etag}"', "cache-control": _REVALIDATE}
    match select("GET", asked, stored.entry.size_bytes, etag, 0).status:
        case 304:
            return Response(status_code=304, headers=headers)
        case 412:
            return problem(
                412, "precondition-failed", "Precondition Failed",
                f'The spec\'s ETag is "{etag}", which If-Match does not name.',
                headers={"etag": f'"{etag}"'},
            )  # fmt: skip
    return Response(stored.text, 200, headers, "application/json")


@router.delete(
    _PATH,
    operation_id="deleteSpec",
    summary="Delete a stored spec",
    status_code=204,
    responses={204: {"description": "Deleted, with all that the name ever meant."}, **PROBLEMS},
    openapi_extra={"parameters": [_IF_MATCH]},
)
async def delete_spec(
    request: Request, service: ServiceOf, namespace: Namespace, name: Name
) -> Response:
    """The name and everything that it ever meant; links to its files end."""
    refuse_query(request, "a spec is deleted with all that it ever meant")
    spec_id = _known_id(namespace, name)
    await service.registry.ask(SpecStore.delete, spec_id, _expected(request))
    log.info("spec deleted", id=str(spec_id), key=request.scope.get(KEY_NAME))
    return Response(status_code=204)


@router.head("/v1/specs", include_in_schema=False)
@router.get(
    "/v1/specs",
    operation_id="listSpecs",
    summary="Stored specs",
    response_model=NamedSpecs,
    responses={
        200: {
            "description": "A page.",
            "headers": {
                "Link": {
                    "description": 'The next page, as rel="next", if there is one.',
                    "schema": {"type": "string"},
                }
            },
        },
        **PROBLEMS,
    },
)
async def list_specs(
    request: Request,
    service: ServiceOf,
    namespace: Annotated[str | None, Query(description="Only those of this one.")] = None,
    search: Annotated[
        str, Query(description="Only those with this text in their id, in either case.")
    ] = "",
    limit: Annotated[int, Query(ge=1, description="Entries of a page, at most.")] = _PAGE,
    cursor: Annotated[
        str | None, Query(description="The page behind this id: from `next` or Link.")
    ] = None,
) -> Response:
    """Names and what they mean, in order; a page is followed by the one that `next` leads to."""
    known = ("namespace", "search", "limit", "cursor")
    refuse_others(query_options(request), known)
    page = await service.registry.ask(
        SpecStore.list,
        namespace=namespace,
        search=search,
        limit=min(limit, service.settings.max_listed),
        after=_cursor(cursor),
    )
    following = None
    headers = {"cache-control": _REVALIDATE}
    if page.last is not None:
        query = {"namespace": namespace, "search": search, "limit": limit, "cursor": page.last}
        parameters = {name: str(value) for name, value in query.items() if value}
        following = f"{_root(request)}/v1/specs?{urlencode(parameters, safe='/')}"
        headers["link"] = f'<{following}>; rel="next"'
    listing = NamedSpecs(
        specs=[_describe(request, entry) for entry in page.entries], next=following
    )
    return Response(listing.model_dump_json(), 200, headers, "application/json")


async def get_spec_file(
    request: Request,
    service: ServiceOf,
    namespace: Namespace,
    name: Name,
    file: Annotated[
        str,
        Path(
            description="model.safetensors, or another file of the spec.",
            examples=["model.safetensors"],
        ),
    ],
) -> Response:
    """A file of a stored spec, whole or in ranges.

    Caches may keep it but have to ask whether it has changed, unless the link has both `digest` and
    `seed`: then it can never change.
    """
    options = query_options(request)
    refuse_others(options, ("seed", "digest"))
    seed = _seed(options["seed"]) if "seed" in options else None
    digest = options.get("digest")
    spec_id = _known_id(namespace, name)
    if digest is None:
        stored = await service.registry.ask(SpecStore.get, spec_id)
        content, etag = stored.content, stored.entry.etag
    else:
        _require_digest(digest)
        content = await service.registry.ask(SpecStore.find, digest, spec_id)
        etag = etag_of(content.text)
    key = ("stored", etag, seed, digest is not None)
    never_changes = digest is not None and seed is not None
    virtual = await _file_of(request, service, key, file, content, seed, pinned=digest is not None)
    return service.respond(
        request,
        virtual,
        file,
        cache_control=CACHE_CONTROL if never_changes else _REVALIDATE,
        headers=await service.digests.header_for(request, virtual),
    )


file_routes(
    router,
    _PATH + "/{file}",
    get_spec_file,
    operation="SpecFile",
    summary="a file of a stored spec",
    parameters=[
        {
            "name": "seed",
            "in": "query",
            "description": "Instead of the spec's own: 0 … 2**64 − 1.",
            "schema": _SEED.json_schema(),
        },
        {
            "name": "digest",
            "in": "query",
            "description": "What the name has to mean, now or earlier: the first "
            f"{PREFIX_DIGITS} digits or more of its digest. 404 if it is not kept.",
            "schema": {"type": "string", "pattern": f"^[0-9a-f]{{{PREFIX_DIGITS},64}}$"},
        },
    ],
)


async def _file_of(
    request: Request,
    service: Service,
    key: tuple[object, ...],
    name: str,
    content: Content,
    seed: int | None,
    *,
    pinned: bool,
) -> File:
    """The file of this name, of what a content means."""
    changes = {} if seed is None else {"seed": seed}
    try:
        checkpoint = await service.checkpoint_of(
            request, key, len(repr(key)), lambda: Source(content.text, changes=changes)
        )
    except (SpecError, InvalidError) as error:  # it meant a file when it was stored
        raise RequestProblem(
            404, "not-found", f"The stored spec means no file any more: {said(error)}"
        ) from error
    if pinned and digest_of(checkpoint.spec) != content.digest:
        raise UnknownSpecError(
            f"what {content.id} was stored as under this digest meant other files to the "
            "Seedbed of that time"
        )
    return await service.file_in(checkpoint, name)


def _known_id(namespace: str, name: str) -> SpecId:
    """An id that is asked for; one that cannot be given is simply not there."""
    try:
        return SpecId.of(namespace, name)
    except IdError as error:
        raise UnknownSpecError(f"there is no such spec: {error.message}") from error


def _seed(text: str) -> int:
    try:
        return _SEED.validate_python(text)
    except ValidationError as error:
        raise ParameterError(error.errors()[0]["msg"], ("seed",)) from error


def _require_digest(text: str) -> None:
    if not PREFIX_DIGITS <= len(text) <= 64 or set(text) - set("0123456789abcdef"):
        raise ParameterError(
            f"a digest is {PREFIX_DIGITS} to 64 hexadecimal digits in lower case", ("digest",)
        )


def _cursor(text: str | None) -> SpecId | None:
    try:
        return None if text is None else SpecId.parse(text)
    except IdError as error:
        raise ParameterError(f"no cursor of this list: {error.message}", ("cursor",)) from error


def _expected(request: Request) -> Expected:
    """What the conditions of a request say is stored (RFC 9110 §13.1)."""
    fields = conditions(request.scope["headers"])
    match, none_match = (
        fields[name].strip(" \t") if name in fields else None
        for name in ("if-match", "if-none-match")
    )
    return Expected(
        etags=None if match in (None, "*") else entity_tags(match or "", strong=True),
        anything=match == "*",
        nothing=none_match == "*",
        unlike=() if none_match in (None, "*") else entity_tags(none_match or "", strong=False),
    )


def _root(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root


def _describe(request: Request, entry: SpecEntry) -> NamedSpec:
    path = f"{_root(request)}/v1/specs/{entry.id}"
    pin = urlencode({"seed": entry.seed, "digest": entry.digest})
    return NamedSpec(
        id=str(entry.id),
        digest=entry.digest,
        seed=seed_to_json(entry.seed),
        etag=entry.etag,
        size_bytes=entry.size_bytes,
        created=entry.created,
        updated=entry.updated,
        links=SpecLinks(spec=path, file=f"{path}/{FILE_NAME}", pinned=f"{path}/{FILE_NAME}?{pin}"),
    )
