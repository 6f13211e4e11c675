"""The layers that can be asked for, read from the layers themselves."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from seedbed.errors import Choices, SpecError
from seedbed.init import LAYERS, Framework, Layer, Limits, TensorPlan, plan
from seedbed.web.documentation import PROBLEMS
from seedbed.web.problems import RequestProblem
from seedbed.web.queries import no_query
from seedbed.web.schemas import Parameter, parameters_of

router = APIRouter(tags=["catalogue"], dependencies=[Depends(no_query)])

FRAMEWORKS: tuple[Framework, ...] = get_args(Framework)


class LayerParameter(BaseModel):
    """A parameter of the example layer, as PyTorch has it."""

    name: str
    shape: list[int]
    also: list[str] = Field(description="Other keys of `init` that mean it, and others with it.")
    defaults: dict[str, str | dict[str, Any]] = Field(
        description="Its scheme by default, by whose defaults they are."
    )


class LayerTensor(BaseModel):
    """A tensor of the example layer in a file."""

    name: str
    shape: list[int]
    made_of: list[str] = Field(description="Parameters, by PyTorch's names.")
    expression: str = Field(description="How, in NumPy's words.")


class LayerForm(BaseModel):
    """The example layer in one framework."""

    framework: str
    tensors: list[LayerTensor]
    note: str | None = Field(description="What it lacks there, or needs.")


class LayerDescription(BaseModel):
    """A layer of the catalogue."""

    type: str
    summary: str
    arguments: list[Parameter]
    example: dict[str, Any] = Field(description="A small one, called `x`, that the rest is about.")
    parameters: list[LayerParameter]
    frameworks: list[LayerForm]


def describe_layer(kind: type[Layer]) -> LayerDescription:
    """A layer class as its catalogue entry."""
    name = kind.model_fields["type"].default
    example = {"type": name, "name": "x", **kind.example}
    own = [field for field in kind.model_fields if field not in Layer.model_fields]
    by_defaults = {
        defaults: {
            parameter.name: parameter.init.canonical()
            for parameter in kind.model_validate({**example, "defaults": defaults}).parameters()
        }
        for defaults in FRAMEWORKS
    }
    return LayerDescription(
        type=name,
        summary=(kind.__doc__ or "").strip(),
        arguments=parameters_of(kind, own),
        example=example,
        parameters=[
            LayerParameter(
                name=parameter.name,
                shape=list(parameter.shape),
                also=list(parameter.roles),
                defaults={whose: inits[parameter.name] for whose, inits in by_defaults.items()},
            )
            for parameter in kind.model_validate(example).parameters()
        ],
        frameworks=[_form(kind, example, framework) for framework in FRAMEWORKS],
    )


def _form(kind: type[Layer], example: dict[str, Any], framework: Framework) -> LayerForm:
    """The example in one framework; if only its defaults are in the way, with that one's own."""
    note = None
    tensors: tuple[TensorPlan, ...] = ()
    for fields in ({}, {"defaults": framework}):
        layer = kind.model_validate({**example, **fields})
        try:
            tensors = plan((), (), "F32", Limits(), (layer,), framework)
            break
        except SpecError as error:
            note = error.message
    return LayerForm(
        framework=framework,
        tensors=[
            LayerTensor(
                name=tensor.name,
                shape=list(tensor.shape),
                made_of=list(tensor.origin.parameters),
                expression=tensor.origin.expression,
            )
            for tensor in tensors
            if tensor.origin
        ],
        note=note,
    )


@cache
def catalogue() -> dict[str, LayerDescription]:
    """All entries by type."""
    return {name: describe_layer(kind) for name, kind in LAYERS.items()}


@router.head("/v1/layers", include_in_schema=False)
@router.get("/v1/layers", operation_id="listLayers", summary="All layers", responses=PROBLEMS)
async def list_layers() -> list[LayerDescription]:
    """Every layer with its arguments, parameters and defaults, and its form in each framework."""
    return list(catalogue().values())


@router.head("/v1/layers/{kind}", include_in_schema=False)
@router.get("/v1/layers/{kind}", operation_id="getLayer", summary="One layer", responses=PROBLEMS)
async def get_layer(
    kind: Annotated[str, Path(description="The layer's type.", examples=["conv2d"])],
) -> LayerDescription:
    """One layer."""
    if kind not in LAYERS:
        raise RequestProblem(
            404,
            "not-found",
            f"there is no layer {kind[:100]!r}",
            allowed=Choices(LAYERS, kind[:100]),
        )
    return catalogue()[kind]
