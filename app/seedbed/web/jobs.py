"""What planning processes do for the service: each job is a function that gives an answer in parts.

This module is imported by those processes, so it knows the core alone, and neither FastAPI nor the
engines. What it is given was made by the service; the texts in it were made by anybody.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from seedbed.compare import COMPARISON, Budget, Comparison
from seedbed.errors import SpecError
from seedbed.files import (
    FILE_NAME,
    SPEC,
    Checkpoint,
    CheckpointSpec,
    SpecIdentity,
    TextLimits,
    chunks,
    option_of_model,
    read,
    spec_of_preset,
    spec_of_token_json,
)
from seedbed.models import ModelOfConfig, Record
from seedbed.stream import NUMPY, Engine, get_engine
from seedbed.web.model_schemas import described_model
from seedbed.web.schemas import described


@dataclass(frozen=True, slots=True)
class Source:
    """Where a spec comes from: JSON, of a body or a link, or a preset with options.

    Attributes:
        text: JSON of the spec.
        is_token: whether that comes from a link.
        preset: a name instead.
        options: of that, as text by name.
        changes: fields that are replaced: seed and dtype.
        record: what its model is filled from, if that is a library's word.
    """

    text: bytes = b""
    is_token: bool = False
    preset: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    record: Record | None = None

    def spec(self, bounds: TextLimits) -> CheckpointSpec:
        """The spec.

        Raises:
            SeedbedError: it is none.
        """
        if self.preset:
            spec = spec_of_preset(self.preset, self.options)
        elif self.is_token:
            spec = spec_of_token_json(self.text, bounds)
        else:
            spec = read(SPEC, self.text, bounds)
        changes = dict(self.changes)
        if self.record is not None and isinstance(spec.model, ModelOfConfig):
            changes["model"] = spec.model.with_record(self.record)
        return spec.replaced(**changes) if changes else spec


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """How long a spec may be in a link that is offered.

    Attributes:
        max_token_bytes: what a token may inflate to.
        max_url_token_chars: of the token.
    """

    max_token_bytes: int
    max_url_token_chars: int

    def link(self, spec: CheckpointSpec, root: str) -> str | None:
        """The path of a GET link that the service would take back, if there is one."""
        # The seed, up to 29 bytes, and the files are in the token beside the canonical JSON.
        if len(spec.canonical_json.encode()) + 29 + spec.files_bytes > self.max_token_bytes:
            return None
        if len(spec.token) > self.max_url_token_chars:
            return None
        return f"{root}/v1/checkpoints/{spec.token}/{FILE_NAME}"


def plan(
    source: Source, bounds: TextLimits, links: LinkLimits | None = None, root: str = ""
) -> Iterator[bytes]:
    """A checkpoint: `Packed` and a link to it, then its tensors in pieces, each pickled."""
    checkpoint, spec = _checkpoint(source, bounds)
    link = links.link(spec, root) if links else None
    yield pickle.dumps((checkpoint.pack(), link), 5)
    for part in chunks(checkpoint.ordered):
        yield pickle.dumps(part, 5)


def describe(
    source: Source, bounds: TextLimits, links: LinkLimits, root: str, page: tuple[int, int]
) -> Iterator[bytes]:
    """The JSON of a `Description`, with the tensors of a page: first and number."""
    checkpoint, spec = _checkpoint(source, bounds)
    yield from described(checkpoint, spec, links.link(spec, root), *page)


def describe_model(source: Source, bounds: TextLimits, root: str, query: str) -> Iterator[bytes]:
    """The JSON of a `ModelDescription`."""
    try:
        checkpoint, _ = _checkpoint(source, bounds)
    except SpecError as error:
        raise option_of_model(error) from error
    yield described_model(source.preset, checkpoint, root, query)


def check(source: Source, bounds: TextLimits) -> Iterator[bytes]:
    """Make sure that a spec means files, all of them; its `SpecIdentity` and text, pickled.

    The text is what it came as, unless a library was asked what it means: then it says so, with
    release and digest, so that it always means the same.
    """
    checkpoint, spec = _checkpoint(source, bounds)
    for _ in checkpoint.files():
        pass
    text = source.text
    if source.record is not None:
        model = replace(source, record=None).spec(bounds).model
        said = model.recorded if isinstance(model, ModelOfConfig) else None
        text = text if said is not None and said.digest else spec.text.encode()
    yield pickle.dumps((SpecIdentity.of(spec), text), 5)


def record(config: str, max_tensors: int, max_elements: int, recorder: str) -> Iterator[bytes]:
    """The `Record` of a config by a module that has the library; this one has not.

    Its digest, then its entries, as they are: who runs a library on anybody's config is not trusted
    with a pickle.

    Args:
        config: JSON.
        max_tensors: of the model.
        max_elements: of all of them.
        recorder: name of the module.
    """
    made: Record = import_module(recorder).record(config, max_tensors, max_elements)
    yield made.digest.encode()
    yield made.packed


def check_comparison(text: bytes, bounds: TextLimits, budget: Budget) -> Iterator[bytes]:
    """Make sure that a comparison can be made; nothing."""
    Comparison(read(COMPARISON, text, bounds), budget, bounds.limits, _engine())
    yield b""


def _checkpoint(source: Source, bounds: TextLimits) -> tuple[Checkpoint, CheckpointSpec]:
    spec = source.spec(bounds)
    checkpoint = Checkpoint(spec, bounds.limits, _engine())
    _ = checkpoint.whole
    return checkpoint, spec


def _engine() -> Engine:
    """One that takes no memory: nothing is drawn here."""
    return get_engine(NUMPY)
