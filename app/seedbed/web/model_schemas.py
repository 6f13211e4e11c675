"""Response bodies about presets."""

from __future__ import annotations

from pydantic import BaseModel, Field

from seedbed.files import Checkpoint, seed_to_json
from seedbed.models import presets
from seedbed.web.schemas import Parameter


class ModelSummary(BaseModel):
    """A preset of the catalogue."""

    name: str
    summary: str
    library: str = Field(description="Whose names and initial weights these are, with its version.")
    tensor_count: int
    parameter_count: int = Field(description="Elements of all tensors.")
    size_bytes: int = Field(description="Of all tensors in F32.")
    href: str = Field(description="Path of the preset.")


class ModelFile(BaseModel):
    """A file of a checkpoint."""

    name: str
    size_bytes: int
    etag: str
    href: str = Field(description="Path for GET, with the query.")


class ModelDescription(ModelSummary):
    """A preset with arguments, for one seed and dtype."""

    seed: int | str = Field(description="A number up to 2**53 − 1, else a decimal string.")
    dtype: str
    spec_sha256: str = Field(description="Digest of the canonical spec, without the seed.")
    arguments: list[Parameter]
    files: list[ModelFile] = Field(description="As `save_pretrained` would have left them.")


def described_model(preset: str, checkpoint: Checkpoint, root: str, query: str) -> bytes:
    """A `ModelDescription` of a preset, as JSON.

    Args:
        preset: its name.
        checkpoint: that it means with some arguments.
        root: path before all others.
        query: that spells those arguments, with its question mark.
    """
    spec = checkpoint.spec
    tensors = checkpoint.tensors
    href = f"{root}/v1/models/{preset}"
    description = ModelDescription(
        name=preset,
        summary=presets()[preset].summary,
        library=presets()[preset].library,
        tensor_count=len(tensors),
        parameter_count=sum(tensor.elements for tensor in tensors),
        size_bytes=sum(tensor.size_bytes for tensor in tensors),
        href=f"{href}{query}",
        seed=seed_to_json(spec.seed),
        dtype=spec.dtype,
        spec_sha256=spec.digest,
        arguments=[
            Parameter(
                name=argument.name,
                required=False,
                default=argument.default,
                description=argument.description,
                json_schema=dict(argument.json_schema),
            )
            for argument in presets()[preset].arguments()
        ],
        files=[
            ModelFile(
                name=file.name,
                size_bytes=file.size,
                etag=file.etag,
                href=f"{href}/{file.name}{query}",
            )
            for file in checkpoint.files()
        ],
    )
    return description.model_dump_json().encode()
