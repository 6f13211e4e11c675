"""Whole architectures with names: the list, what each takes, and their files."""

from __future__ import annotations

import asyncio
import math
from functools import cache
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response

from seedbed.errors import SpecError
from seedbed.files import OneModel, option_of_model
from seedbed.models import Model, presets
from seedbed.models import preset as find_preset
from seedbed.stream import DTYPES
from seedbed.web import jobs
from seedbed.web.documentation import (
    PRESET_ARGUMENTS,
    PROBLEMS,
    file_routes,
    query_parameters,
)
from seedbed.web.jobs import Source
from seedbed.web.model_schemas import ModelDescription, ModelSummary
from seedbed.web.problems import RequestProblem
from seedbed.web.queries import query_options, refuse_others
from seedbed.web.service import ServiceOf, load_presets

router = APIRouter(tags=["models"])

Preset = Annotated[str, Path(description="The preset's name.", examples=["tiny-gpt2"])]

_QUERY = [*query_parameters(OneModel), PRESET_ARGUMENTS]


@cache
def _totals(name: str) -> tuple[int, int, int]:
    """Tensors, elements and bytes of a preset in F32."""
    return _count(presets()[name].build({}))


def _count(model: Model) -> tuple[int, int, int]:
    sizes = [
        (math.prod(parameter.shape), DTYPES[parameter.dtype or "F32"])
        for parameter in model.parameters
    ]
    return (
        len(sizes),
        sum(size for size, _ in sizes),
        sum(size * dtype.size_bytes for size, dtype in sizes),
    )


def _summary(name: str, root: str) -> ModelSummary:
    preset = presets()[name]
    tensors, elements, size = _totals(name)
    return ModelSummary(
        name=name,
        summary=preset.summary,
        library=preset.library,
        tensor_count=tensors,
        parameter_count=elements,
        size_bytes=size,
        href=f"{root}/v1/models/{name}",
    )


@router.head("/v1/models", include_in_schema=False)
@router.get("/v1/models", operation_id="listModels", summary="All presets", responses=PROBLEMS)
async def list_models(
    request: Request,
    search: Annotated[str, Query(max_length=100, description="Part of the name or summary.")] = "",
) -> list[ModelSummary]:
    """Every architecture that has a name, with its size."""
    refuse_others(query_options(request), ("search",))
    root = request.scope.get("root_path", "")
    wanted = search.lower()

    def work() -> list[ModelSummary]:
        return [
            _summary(name, root)
            for name, preset in presets().items()
            if wanted in name.lower() or wanted in preset.summary.lower()
        ]

    return await asyncio.to_thread(work)


@router.head("/v1/models/{preset}", include_in_schema=False)
@router.get(
    "/v1/models/{preset}",
    operation_id="getModel",
    summary="One preset",
    responses=PROBLEMS,
    response_model=ModelDescription,
    openapi_extra={"parameters": _QUERY},
)
async def get_model(
    request: Request,
    service: ServiceOf,
    preset: Preset,
) -> Response:
    """What it takes, and its files for a seed, a dtype and arguments.

    Arguments of the preset are further parameters of the query.
    """
    options = query_options(request)
    root = request.scope.get("root_path", "")
    await known(preset)

    query = f"?{urlencode(options)}" if options else ""
    source = Source(preset=preset, options=options)
    text = await service.elsewhere(
        request, jobs.describe_model, source, service.settings.text_limits, root, query
    )
    return Response(text, media_type="application/json")


async def known(preset: str) -> None:
    """Refuse a path that names no preset.

    Raises:
        RequestProblem: 404.
    """
    await load_presets()
    try:
        find_preset(preset)
    except SpecError as error:
        raise RequestProblem(404, "not-found", error.message, allowed=error.allowed) from error


async def get_model_file(
    request: Request,
    service: ServiceOf,
    preset: Preset,
    file: Annotated[
        str,
        Path(
            description="model.safetensors, a shard, the index, config.json, …",
            examples=["model.safetensors"],
        ),
    ],
) -> Response:
    """A file of the preset's checkpoint, whole or in ranges.

    Beside seed, dtype and shard size, the query has the preset's own arguments, as `GET
    /v1/models/{preset}` lists them. `model.safetensors` is always the whole checkpoint.
    """
    await known(preset)
    query: bytes = request.scope["query_string"]
    try:
        virtual = await service.file_of(
            request,
            ("model", preset, query),
            len(preset) + len(query),
            file,
            lambda: Source(preset=preset, options=query_options(request)),
        )
    except SpecError as error:
        raise option_of_model(error) from error
    digest = await service.digests.header_for(request, virtual)
    return service.respond(request, virtual, file, headers=digest)


file_routes(
    router,
    "/v1/models/{preset}/{file}",
    get_model_file,
    operation="ModelFile",
    summary="a file of a preset",
    parameters=_QUERY,
)
