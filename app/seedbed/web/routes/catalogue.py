"""What can be asked for: schemes and dtypes, read from the code's own tables."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic_core import PydanticCustomError

from seedbed.errors import Choices
from seedbed.init import SCHEMES, canonical_name
from seedbed.stream import DTYPES
from seedbed.web.documentation import PROBLEMS
from seedbed.web.problems import RequestProblem
from seedbed.web.queries import no_query
from seedbed.web.schemas import (
    DtypeDescription,
    SchemeDescription,
    describe_dtype,
    describe_scheme,
)

router = APIRouter(tags=["catalogue"], dependencies=[Depends(no_query)])


@cache
def _schemes() -> dict[str, SchemeDescription]:
    return {name: describe_scheme(scheme) for name, scheme in SCHEMES.items()}


@router.head("/v1/schemes", include_in_schema=False)
@router.get("/v1/schemes", operation_id="listSchemes", summary="All schemes", responses=PROBLEMS)
async def list_schemes() -> list[SchemeDescription]:
    """Every initialisation scheme: parameters, defaults, formula, paper, aliases and notes."""
    return list(_schemes().values())


@router.head("/v1/schemes/{name}", include_in_schema=False)
@router.get(
    "/v1/schemes/{name}", operation_id="getScheme", summary="One scheme", responses=PROBLEMS
)
async def get_scheme(
    name: Annotated[
        str, Path(description="The scheme's name or an alias.", examples=["he_normal"])
    ],
) -> SchemeDescription:
    """One initialisation scheme."""
    try:
        return _schemes()[canonical_name(name)]
    except PydanticCustomError as error:
        facts = error.context or {}
        near = Choices(facts["allowed"], facts["word"], facts["known"])
        raise RequestProblem(404, "not-found", error.message(), allowed=near) from error


@router.head("/v1/dtypes", include_in_schema=False)
@router.get("/v1/dtypes", operation_id="listDtypes", summary="All dtypes", responses=PROBLEMS)
async def list_dtypes() -> list[DtypeDescription]:
    """Every dtype that a tensor can have."""
    return [describe_dtype(dtype) for dtype in DTYPES.values()]
