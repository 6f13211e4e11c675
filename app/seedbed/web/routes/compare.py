"""Comparisons of schemes in networks, and advice on which to use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from seedbed.advice import Advice, Question, advise
from seedbed.compare import CompareRequest, CompareResult, Comparison, Finished
from seedbed.files import CheckpointSpec
from seedbed.web import jobs
from seedbed.web.comparisons import Running
from seedbed.web.documentation import PROBLEMS
from seedbed.web.problems import RequestProblem
from seedbed.web.queries import query_options, refuse_others, refuse_query
from seedbed.web.service import Service, ServiceOf
from seedbed.web.shared import until_disconnected

router = APIRouter(tags=["compare"])

NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/CompareRequest"}}
        },
    }
}

_LINES = {
    "schema": {"type": "string"},
    "example": '{"type":"progress","done":1,"total":20,"label":"he_normal"}\n',
}


@router.post(
    "/v1/compare",
    operation_id="compareSchemes",
    summary="Measure schemes side by side in a network",
    response_model=CompareResult,
    responses={
        200: {
            "description": "The measurements; with Accept: application/x-ndjson or "
            "text/event-stream first how far they are, as Progress, then Finished.",
            "content": {NDJSON: _LINES, EVENTS: _LINES},
        },
        **PROBLEMS,
    },
    openapi_extra=_BODY,
)
async def compare_schemes(request: Request, service: ServiceOf) -> Response:
    """Layer by layer, over seeds, beside theory: signals, gradients, spectra, correlations.

    The weights are Seedbed's own, byte for byte; what is measured with them is the same elsewhere
    to rounding. The work ends when the connection does.
    """
    refuse_query(request, "the comparison is in the body")
    body = await service.body(request, "max_compare_body_bytes")
    settings = service.settings
    service.comparisons.reserve()
    try:  # in a process of its own first, where nothing that is wrong with it can take long
        await service.elsewhere(
            request, jobs.check_comparison, body.text, settings.text_limits, settings.budget
        )
    except BaseException:
        service.comparisons.forgo()
        raise
    running = service.comparisons.begin(
        lambda: service.plan_comparison(CompareRequest.model_validate_json(body.text))
    )
    try:
        comparison = await running.planned()
    except BaseException:
        running.stop()
        raise
    accept = request.headers.get("accept", "")
    for kind in (NDJSON, EVENTS):
        if kind in accept:
            lines = _lines(request, service, running, comparison, events=kind == EVENTS)
            return StreamingResponse(lines, media_type=kind, headers={"cache-control": "no-store"})
    return await _whole(request, service, running, comparison)


@router.head("/v1/advise", include_in_schema=False)
@router.get(
    "/v1/advise",
    operation_id="adviseScheme",
    summary="Which scheme to use, why, and the evidence",
    responses=PROBLEMS,
)
async def advise_scheme(request: Request, question: Annotated[Question, Query()]) -> Advice:
    """For a layer between an activation and, perhaps, a norm: a scheme, reasons, measurements."""
    refuse_others(query_options(request), Question.model_fields)
    return advise(question)


async def _whole(
    request: Request, service: Service, running: Running, comparison: Comparison
) -> Response:
    """The answer as one document, or nothing if nobody waits for it any more."""
    gone = asyncio.ensure_future(until_disconnected(request))
    result = asyncio.ensure_future(running.result())
    try:
        await asyncio.wait({gone, result}, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise RequestProblem(499, "client-closed-request", "The client has gone.")
        text = _linked(request, service, await result, comparison).model_dump_json()
    finally:
        gone.cancel()
        result.cancel()
        running.stop()
    return Response(text, media_type="application/json", headers={"cache-control": "no-store"})


async def _lines(
    request: Request, service: Service, running: Running, comparison: Comparison, *, events: bool
) -> AsyncGenerator[str]:
    """Progress, then the answer, a line or an event each; cut off if it fails."""

    def spell(message: BaseModel, kind: str) -> str:
        text = message.model_dump_json()
        return f"event: {kind}\ndata: {text}\n\n" if events else f"{text}\n"

    try:
        async for step in running.progress():
            yield spell(step, step.type)
        result = _linked(request, service, await running.result(), comparison)
        yield spell(Finished(result=result), "result")
    finally:  # also when the client is gone
        running.stop()


def _linked(
    request: Request, service: Service, result: CompareResult, comparison: Comparison
) -> CompareResult:
    """The answer with links to the weights that it is about."""
    for scheme, file in zip(result.schemes, comparison.files, strict=True):
        if isinstance(file.spec, CheckpointSpec):
            scheme.link = service.link(request, file.spec)
    return result
