"""Response bodies. Request bodies are the domain's own specs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from seedbed.files import Checkpoint, CheckpointSpec, seed_to_json
from seedbed.init import Scheme, TensorPlan, hints_of
from seedbed.stream import STREAM_VERSION, Dtype


class TensorDescription(BaseModel):
    """One tensor of a plan."""

    name: str
    shape: list[int] = Field(
        description="As in the file; of plain and of PyTorch tensors (out, in, *kernel)."
    )
    dtype: str
    elements: int
    offset: int = Field(description="Of the first byte, from the start of the file.")
    size_bytes: int
    init: str | dict[str, Any] = Field(description="The scheme in canonical form.")
    scheme: str = Field(description="Its canonical name.")
    fan_in: int | None = Field(description="Inputs an output sums over, where the scheme uses it.")
    fan_out: int | None = Field(description="Outputs an input feeds, where the scheme uses it.")
    mean: float = Field(description="Of the values, before rounding to the dtype.")
    std: float = Field(description="Of the values: after a truncation, if there is one.")
    lower: float | None = Field(description="No value is lower; null if there is no bound.")
    upper: float | None = Field(description="No value is higher; null if there is no bound.")
    excess_kurtosis: float | None = Field(
        description="0 for a normal, −1.2 for a uniform, null for constants."
    )
    layer: str | None = Field(description="Type of the layer that the tensor belongs to, if any.")
    parameters: list[str] | None = Field(
        description="PyTorch's names of what a layer's tensor is made of, which name its streams."
    )
    stored: str | None = Field(description="How it is made of them, in NumPy's words.")
    guessed: bool = Field(description="Whether only name and rank say how it starts.")
    hints: list[str] = Field(description="What may not be meant, such as a stack read as a kernel.")
    weight: str | None = Field(
        description="Of what a quantised checkpoint stores in place of a weight, that weight's "
        "name. Codes have its init, and the moments of what they stand for."
    )
    same_as: str | None = Field(
        description="Whose values it has, if it is said to equal another: the end of the chain."
    )


class RuleDescription(BaseModel):
    """What a rule comes to."""

    match: str
    changed: int = Field(
        description="Tensors, of layers parameters by PyTorch's names, of which it decides the "
        "values, the dtype or whether they are there."
    )


class Links(BaseModel):
    """Where to get the file."""

    file: str | None = Field(description="Path for GET; null if the spec is too long for a URL.")
    files: list[str] = Field(
        description="Paths of all files, as `save_pretrained` would have left them: shards and "
        "their index if max_shard_size asks for them, the model's config.json."
    )


class Description(BaseModel):
    """What a spec means, without a weight being drawn."""

    seed: int | str = Field(description="A number up to 2**53 − 1, else a decimal string.")
    stream_version: int
    spec_sha256: str = Field(description="Digest of the canonical spec, without the seed.")
    etag: str = Field(description="Strong validator of the file.")
    size_bytes: int = Field(description="Of the whole file.")
    header_bytes: int = Field(description="Before the first tensor.")
    tensor_count: int
    parameter_count: int = Field(description="Elements of all tensors.")
    guessed_count: int = Field(description="Tensors whose init is a guess.")
    ignored: list[str] = Field(
        description="Fields of the model's config that no code of its library looks at, as paths: "
        "they change no tensor."
    )
    metadata: dict[str, str] = Field(description="The file's own metadata.")
    rules: list[RuleDescription] = Field(description="In the order of the spec.")
    links: Links
    tensors: list[TensorDescription] = Field(
        description="In the order of the file; a page of them, if there are many."
    )
    next_offset: int | None = Field(
        None, description="What offset= gives the next page; absent if this is the last."
    )


class Parameter(BaseModel):
    """A parameter of a scheme, or an argument of a layer or a preset."""

    name: str
    required: bool
    default: Any = Field(description="Null also where there is none; see required.")
    description: str
    json_schema: dict[str, Any] = Field(description="What it accepts, as JSON Schema.")


class SchemeDescription(BaseModel):
    """A scheme of the catalogue."""

    name: str
    aliases: list[str] = Field(description="Other names that it answers to.")
    implied: dict[str, dict[str, Any]] = Field(
        description="Aliases that imply parameters, as their framework's defaults, and which."
    )
    summary: str
    formula: str
    latex: str = Field(description="The formula, for a typesetter.")
    paper: str | None
    notes: dict[str, str] = Field(
        description="By framework or alias: what is different there, or worth knowing."
    )
    example: str | dict[str, Any] = Field(
        description="An `init` that works as it is: with no more parameters than it needs."
    )
    parameters: list[Parameter]


class DtypeDescription(BaseModel):
    """A dtype of the format."""

    code: str
    size_bytes: int = Field(description="Of an element, or of the fewest that fill whole bytes.")
    bits: int = Field(description="Of an element.")
    floating: bool = Field(
        description="Whether it can hold draws; others hold known whole numbers."
    )
    lowest: int | float
    highest: int | float
    about: str
    spellings: list[str] = Field(
        description="What frameworks call it, which is taken wherever the code is, in any case and "
        "after the framework's name too, as in torch.bfloat16."
    )


class Health(BaseModel):
    """Whether the process is alive."""

    status: str


class Readiness(BaseModel):
    """That the process is ready, and with what."""

    status: Literal["ready"]
    engine: str = Field(description="Who draws.")
    registry: Literal["none", "up", "down"] = Field(
        description="Whether named specs can be had now. Everything else can in any case."
    )


def describe_tensor(tensor: TensorPlan, offset: int) -> TensorDescription:
    """A planned tensor in words and numbers."""
    fans = tensor.fans
    origin = tensor.origin
    summary = tensor.fill.summary()
    return TensorDescription(
        name=tensor.name,
        shape=list(tensor.shape),
        dtype=tensor.dtype.code,
        elements=tensor.elements,
        offset=offset,
        size_bytes=tensor.size_bytes,
        init=tensor.scheme.canonical(),
        scheme=tensor.scheme.scheme,
        fan_in=_known(fans.fan_in, tensor) if fans else None,
        fan_out=_known(fans.fan_out, tensor) if fans else None,
        **summary._asdict(),
        layer=origin.layer if origin else None,
        parameters=list(origin.parameters) if origin else None,
        stored=origin.expression if origin else None,
        guessed=tensor.guessed,
        hints=list(hints_of(tensor)),
        weight=tensor.view_of,
        same_as=tensor.same_as,
    )


def _known(fan: int, tensor: TensorPlan) -> int | None:
    """A fan, unless a vector does not show it and its scheme does not need it."""
    return fan or (None if len(tensor.shape) < 2 else 0)


def described(
    checkpoint: Checkpoint, spec: CheckpointSpec, link: str | None, offset: int, limit: int
) -> Iterator[bytes]:
    """A `Description` of a checkpoint, as JSON in parts.

    Args:
        checkpoint: whose whole file it is about.
        spec: of it.
        link: path of that file.
        offset: of the first tensor that is described.
        limit: of their number.

    It is put together tensor by tensor, since as one object it would take ten times the memory.
    """
    file = checkpoint.whole
    directory = None if link is None else link.removesuffix(file.name)
    without_tensors = Description(
        seed=seed_to_json(file.spec.seed),
        stream_version=STREAM_VERSION,
        spec_sha256=file.spec.digest,
        etag=file.etag,
        size_bytes=file.size,
        header_bytes=len(file.header),
        tensor_count=len(file.tensors),
        parameter_count=sum(tensor.elements for tensor in file.tensors),
        guessed_count=sum(tensor.guessed for tensor in file.tensors),
        ignored=list(spec.built.ignored) if spec.built else [],
        metadata=file.metadata,
        rules=[
            RuleDescription(match=rule.match, changed=changed)
            for rule, changed in zip(spec.rules, spec.decisions.changed, strict=True)
        ],
        links=Links(
            file=link,
            files=[] if directory is None else [f"{directory}{name}" for name in checkpoint.names],
        ),
        tensors=[],
    ).model_dump_json(exclude={"next_offset"})
    stop = min(offset + limit, len(file.tensors))
    yield without_tensors.removesuffix("]}").encode()
    for first in range(offset, stop, _DESCRIBED_AT_ONCE):
        lead = b"" if first == offset else b","
        yield lead + b",".join(
            describe_tensor(file.tensors[i], file.offset(i)).model_dump_json().encode()
            for i in range(first, min(first + _DESCRIBED_AT_ONCE, stop))
        )
    yield b"]}" if stop >= len(file.tensors) else b'],"next_offset":%d}' % stop


_DESCRIBED_AT_ONCE = 1000


def properties_of(model: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema of a model's fields, without references: an init in them is a word or an object.

    Schemes may be made of schemes, so that they refer to themselves.
    """
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    properties: dict[str, Any] = _inlined(schema["properties"], definitions)
    return properties


def _inlined(value: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_inlined(part, definitions) for part in value]
    if not isinstance(value, dict):
        return value
    name = value["$ref"].rpartition("/")[2] if "$ref" in value else None
    if name == "Init":
        about = {key: part for key, part in value.items() if key != "$ref"}
        return {"title": "Init", "type": ["string", "object"], **about}
    if name is not None:
        return _inlined(definitions[name], definitions)
    return {key: _inlined(part, definitions) for key, part in value.items()}


def parameters_of(model: type[BaseModel], names: Iterable[str]) -> list[Parameter]:
    """Fields of a model as what it takes."""
    properties = properties_of(model)
    parameters = []
    for name in names:
        field = model.model_fields[name]
        parameters.append(
            Parameter(
                name=name,
                required=field.is_required(),
                default=None if field.is_required() else field.default,
                description=field.description or "",
                json_schema={
                    key: value
                    for key, value in properties[name].items()
                    if key not in ("title", "default", "description")
                },
            )
        )
    return parameters


def describe_scheme(scheme: type[Scheme]) -> SchemeDescription:
    """A scheme class as its catalogue entry."""
    name = scheme.model_fields["scheme"].default
    return SchemeDescription(
        name=name,
        aliases=list(scheme.aliases),
        implied={alias: dict(implied) for alias, implied in scheme.aliases.items() if implied},
        summary=(scheme.__doc__ or "").strip(),
        formula=scheme.formula,
        latex=scheme.latex,
        paper=scheme.paper,
        notes=dict(scheme.notes),
        example={"scheme": name, **scheme.example} if scheme.example else name,
        parameters=parameters_of(scheme, scheme.parameters()),
    )


def describe_dtype(dtype: Dtype) -> DtypeDescription:
    """A dtype as its catalogue entry."""
    return DtypeDescription(
        code=dtype.code,
        size_bytes=dtype.size_bytes,
        bits=dtype.bits,
        floating=dtype.is_float,
        lowest=dtype.lowest,
        highest=dtype.highest,
        about=dtype.about,
        spellings=list(dtype.spellings),
    )
