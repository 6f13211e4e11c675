"""Who a spec is, once it is planned: all that files need to know of it beside their tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from seedbed.files.spec import CheckpointSpec
from seedbed.init import Framework
from seedbed.stream import FloatCode


@dataclass(frozen=True, slots=True)
class SpecIdentity:
    """What is left of a `CheckpointSpec` without its tensors, layers, model and rules.

    Attributes are those of the spec.
    """

    seed: int
    dtype: FloatCode
    framework: Framework
    max_shard_size: int
    metadata: Mapping[str, str]
    canonical_json: str
    digest: str
    files_digest: str
    quantization: Mapping[str, Any] | None

    @classmethod
    def of(cls, spec: CheckpointSpec | SpecIdentity) -> SpecIdentity:
        """Of a whole spec, or of what is left of it already."""
        if isinstance(spec, SpecIdentity):
            return spec
        return cls(**{field.name: getattr(spec, field.name) for field in fields(cls)})

    def with_seed(self, seed: int) -> SpecIdentity:
        """The same from another seed."""
        return replace(self, seed=seed)
