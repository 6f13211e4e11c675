"""Checkpoints: a spec in, the file out; links to it; and its plan without the bytes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from seedbed.web.documentation import FILE_RESPONSES, PROBLEMS, file_routes
from seedbed.web.queries import query_options, refuse_others, refuse_query
from seedbed.web.schemas import Description
from seedbed.web.service import ServiceOf

router = APIRouter(tags=["checkpoints"])

_LINK = (
    "DchLCoAgFAXQvdyxNBD74FZEQuqVQj5DhQbi3vMMT0MhOqGVFKjEJeUCbRoChwoNTzunHN0DAXaRRl3H9FG4fR1VvHvH"
    "GTkvYt2U7bb_"
)
"""The token of a spec of one tensor: written down, since another zlib would spell it otherwise."""

_SPEC_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/CheckpointSpec"}}
        },
    }
}

_POSTED: dict[str, Any] = {
    **FILE_RESPONSES[200],
    "headers": {
        **FILE_RESPONSES[200]["headers"],
        "Content-Location": {
            "description": "Path of the same bytes for GET; absent if a URL cannot hold the spec.",
            "schema": {"type": "string"},
        },
    },
}


@router.post(
    "/v1/checkpoints",
    operation_id="createCheckpoint",
    summary="Stream the checkpoint of a spec",
    response_class=Response,
    responses={200: _POSTED, **PROBLEMS},
    openapi_extra=_SPEC_BODY,
)
async def create_checkpoint(request: Request, service: ServiceOf) -> Response:
    """Always one safetensors file, whatever its size.

    `Content-Location` is a link to the same bytes for GET, with ranges, if a URL can hold the spec.
    """
    refuse_query(request, "the spec is in the body")
    checkpoint, link = await service.plan(request)
    return service.respond(request, checkpoint.whole, location=link)


@router.post(
    "/v1/describe",
    operation_id="describeCheckpoint",
    summary="Plan a checkpoint without drawing it",
    response_model=Description,
    responses=PROBLEMS,
    openapi_extra=_SPEC_BODY,
)
async def describe_checkpoint(
    request: Request,
    service: ServiceOf,
    offset: Annotated[int, Query(ge=0, description="Of the first tensor described.")] = 0,
    limit: Annotated[
        int | None, Query(ge=1, description="Of the tensors described; null: as many as may be.")
    ] = None,
) -> Response:
    """For each tensor its place, scheme, fans, moments and bounds; totals; a link.

    Of many tensors the answer has the first; `next_offset` says what `offset` gives those after.
    """
    refuse_others(query_options(request), ("offset", "limit"), ": the spec is in the body")
    most = service.settings.max_described
    text = await service.describe(request, offset, min(limit or most, most))
    return Response(text, media_type="application/json")


async def get_checkpoint(
    request: Request,
    service: ServiceOf,
    token: Annotated[
        str,
        Path(
            description="The spec itself, compressed: from Content-Location or describe's links.",
            examples=[_LINK],
        ),
    ],
    file: Annotated[
        str,
        Path(
            description="model.safetensors; a shard, the index, config.json.",
            examples=["model.safetensors"],
        ),
    ],
) -> Response:
    """The same file as POST made, whole or in ranges, from any replica and after any restart.

    Beside it are the files that `POST /v1/describe` lists.
    """
    virtual = await service.file_of_token(request, token, file)
    digest = await service.digests.header_for(request, virtual)
    return service.respond(request, virtual, file, headers=digest)


file_routes(
    router,
    "/v1/checkpoints/{token}/{file}",
    get_checkpoint,
    operation="Checkpoint",
    summary="a checkpoint by its link",
)
