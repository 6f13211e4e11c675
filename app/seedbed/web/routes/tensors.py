"""One tensor by a line of curl."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from seedbed.files import shape_text
from seedbed.init import canonical_name
from seedbed.web.documentation import file_routes, tensor_parameters
from seedbed.web.queries import query_options
from seedbed.web.service import ServiceOf

router = APIRouter(tags=["tensors"])


async def get_tensor(
    request: Request,
    service: ServiceOf,
    scheme: Annotated[
        str,
        Path(
            description="A scheme's name or alias; see /v1/schemes.",
            examples=["he_normal", "kaiming_normal_"],
        ),
    ],
    shape: Annotated[
        str,
        Path(
            description="Dimensions, out, in, kernel …, as 256x784, 256,784, (256, 784) or "
            "[256, 784]; scalar for none.",
            examples=["256x784", "64x3x7x7"],
        ),
    ],
) -> Response:
    """A safetensors file with one tensor, whole or in ranges.

    Beside the parameters listed, of which each scheme takes its own, the query has `seed`, `dtype`
    and `name` of the tensor.
    """
    file = service.one_tensor(scheme, shape, query_options(request))
    seed, size = file.spec.seed, shape_text(file.tensors[0].shape)
    name = f"{canonical_name(scheme)}-{size}-seed{seed}.safetensors"
    digest = await service.digests.header_for(request, file)
    return service.respond(request, file, name, headers=digest)


file_routes(
    router,
    "/v1/tensors/{scheme}/{shape}.safetensors",
    get_tensor,
    operation="Tensor",
    summary="one tensor",
    parameters=tensor_parameters(),
)
