"""Models that a library's own word is known of: the record of one config, and which one is meant.

A record is what `save_pretrained` of one release of a library would have written of a new model of
one config, as a list of entries. A spec that is filled from one names the release and the digest of
what was recorded, so that it means the same network wherever it means any.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from seedbed.errors import DifferentRecordingError, NotRecordedError
from seedbed.models.base import Model
from seedbed.models.config import Json
from seedbed.models.manifest import ListEntries, build_list

LIBRARY: Literal["transformers"] = "transformers"

DIGEST_DIGITS = 32

_KEPT = "kept"


class RecordedBy(BaseModel):
    """Whose word a config's tensors are, where it is not the catalogue's."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    library: Literal["transformers"] = Field(description="That builds the model.")
    version: str = Field(
        pattern=r"^[0-9][0-9A-Za-z.+-]{0,31}$", description="Of its release: 5.24.0."
    )
    digest: str | None = Field(
        None,
        pattern=rf"^[0-9a-f]{{{DIGEST_DIGITS}}}$",
        description="Of what was recorded: names, shapes, dtypes, order and inits. Without it, "
        "whatever this release makes of the config; links and stored specs always have it.",
    )

    def canonical(self) -> dict[str, str]:
        """The JSON of it."""
        return self.model_dump(exclude_none=True)

    def missing(self, config: str) -> NotRecordedError:
        """The error of who has no such record.

        Args:
            config: canonical JSON of that which is to be recorded.
        """
        return NotRecordedError(
            f"this model is what {self.library} {self.version} makes of its config; here is "
            f"neither a record of that nor this release ({self.library}=={self.version}, with "
            f"the extra seedbed[{self.library}])",
            self.library,
            self.version,
            self.digest,
            config,
        )

    def require(self, record: Record, config: str) -> None:
        """Refuse another record than the one that is meant.

        Raises:
            NotRecordedError: it is of another release, or comes to another model.
        """
        if record.version != self.version:
            raise self.missing(config)
        if self.digest not in (None, record.digest):
            raise DifferentRecordingError(
                f"{self.library} {self.version} makes another model of this config here than where "
                f"the spec is from: its digest is {record.digest}, not {self.digest}",
                self.library,
                self.version,
                self.digest,
                config,
            )


@dataclass(frozen=True, slots=True)
class Record:
    """What a release of a library makes of one config.

    Attributes:
        version: of the library.
        packed: the entries, as JSON, deflated.
        digest: of the model that they mean.
    """

    version: str
    packed: bytes
    digest: str

    @classmethod
    def of(cls, version: str, entries: Sequence[Mapping[str, Any]]) -> Record:
        """The record of these entries, each as of `ModelOfList`.

        Those whose dtype is that of the checkpoint have none; `kept` is said of those of them that
        the library has in F32 beside narrower ones.
        """
        text = json.dumps(entries, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        packed = zlib.compress(text.encode(), 9)
        model = cls(version, packed, "").model({})
        whole = hashlib.sha256(f"seedbed/record/1\n{model.digest}\n".encode())
        whole.update("".join(f"{name!a}\n" for name in sorted(model.kept)).encode())
        return cls(version, packed, whole.hexdigest()[:DIGEST_DIGITS])

    def model(self, config: Json) -> Model:
        """The model, whose config.json says this."""
        entries = json.loads(zlib.decompress(self.packed))
        flags = [entry.pop(_KEPT, False) for entry in entries]
        listed = _ENTRIES.validate_python(entries)
        kept = [one for one, is_kept in zip(listed, flags, strict=True) if is_kept]
        names = [one.name for one in build_list(kept).parameters] if kept else []
        return Model(
            build_list(listed).parameters,
            config=dict(config),
            library=f"{LIBRARY} {self.version}, recorded",
            kept=frozenset(names),
        )


_ENTRIES: TypeAdapter[Any] = TypeAdapter(ListEntries)
