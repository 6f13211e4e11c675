"""What was recorded: tensors with their inits, as a spec, or with what stands against one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from seedbed.errors import SpecError
from seedbed.files import CheckpointSpec
from seedbed.init import FLOAT_CODES
from seedbed.models import Ranged, compressed
from seedbed.recording.report import Report
from seedbed.recording.saying import Init


class RecordingError(SpecError):
    """What was recorded is no spec: no scheme says some tensors, or code looked at random values.

    Attributes:
        report: with all of them.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of the file.

    Attributes:
        name: in the file.
        shape: in the file.
        dtype: Seedbed's code, None if it has none.
        init: how it is filled, None if no spec can say, or if it is equal to another.
        same_as: name of the tensor that it is equal to.
        problem: why not.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str | None
    init: Init | None
    same_as: str | None
    problem: str | None


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Recorded(Generic[E]):
    """What a build starts from.

    Attributes:
        tensors: in the order of the state dict, or of the library's file.
        report: counts, and everything special.
        metadata: of the spec: which library it is of.
        files: beside the weights, as that library writes them: config.json.
    """

    tensors: tuple[E, ...]
    report: Report
    metadata: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    files: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict, kw_only=True)

    def json(self) -> dict[str, Any]:
        """The spec as JSON.

        Raises:
            RecordingError: no spec can say some tensors, or code looked at random values.
        """
        if not self.report.is_complete:
            raise RecordingError(_refusal(self.report), self.report)
        counted = Counter(t.dtype for t in self.tensors if t.dtype in FLOAT_CODES)
        default = counted.most_common(1)[0][0] if counted else "F32"
        entries = [
            Ranged(
                tensor.name,
                tensor.same_as,
                {
                    "shape": list(tensor.shape),
                    **({} if tensor.init is None else {"init": tensor.init}),
                    **({} if tensor.dtype == default else {"dtype": tensor.dtype}),
                },
            )
            for tensor in self.tensors
        ]
        listed = [
            {
                "name": entry.name,
                **entry.rest,
                **({} if entry.same_as is None else {"same_as": entry.same_as}),
            }
            for entry in compressed(entries)
        ]
        return {
            **({} if default == "F32" else {"dtype": default}),
            "model": {"list": listed},
            **({"metadata": dict(self.metadata)} if self.metadata else {}),
            **({"files": dict(self.files)} if self.files else {}),
        }

    @cached_property
    def spec(self) -> CheckpointSpec:
        """The spec, seed 0.

        Raises:
            RecordingError: no spec can say some tensors, or code looked at random values.
        """
        return CheckpointSpec.model_validate_json(json.dumps(self.json()))

    def put(
        self,
        url: str,
        name: str,
        *,
        key: str | None = None,
        files: Mapping[str, str | Mapping[str, Any]] | None = None,
    ) -> str:
        """Store the spec at a service, and give back its address.

        Args:
            url: of the service.
            name: `namespace/name`; what was there before stays reachable by its digest.
            key: an API key that may write, where the service wants one.
            files: beside the weights, by name, as text or as what JSON has; in addition to `files`
                of the recording, or in their place: a README.md, a tokenizer.json.

        Raises:
            RecordingError: as `spec`.
            SpecError: the service refuses it.
            httpx.HTTPError: the service cannot be reached.
        """
        import httpx  # noqa: PLC0415  only this needs a network

        address = f"{url.rstrip('/')}/v1/specs/{name}"
        headers = {"authorization": f"Bearer {key}"} if key else {}
        body = self.json()
        if files:
            body["files"] = {**body.get("files", {}), **files}
        answer = httpx.put(address, json=body, headers=headers, timeout=60)
        if answer.is_error:
            kind = answer.headers.get("content-type", "")
            problem = answer.json() if kind.startswith("application/problem+json") else {}
            raise SpecError(problem.get("detail") or f"{answer.status_code} from {address}")
        return address


def schemes_of(tensors: Sequence[Entry]) -> Mapping[str, int]:
    """How many tensors each scheme fills, the most frequent first."""
    counts = Counter(scheme for scheme in map(_scheme, tensors) if scheme is not None)
    return dict(counts.most_common())


def _scheme(tensor: Entry) -> str | None:
    """What the report counts a tensor as."""
    if tensor.same_as is not None:
        return "same_as"
    return tensor.init["scheme"] if isinstance(tensor.init, dict) else tensor.init


def _refusal(report: Report) -> str:
    lines = [f"{name}: {reason}" for name, reason in list(report.refused.items())[:8]]
    if len(report.refused) > 8:
        lines.append(f"and {len(report.refused) - 8:,} more")
    if report.refused:
        lines.insert(0, f"{len(report.refused):,} tensors that no spec can say")
    if report.looked:
        lines.append("code looked at values that another build would not have")
        lines += [f"{place}: {how}" for place, how in list(report.looked.items())[:8]]
    return "\n".join(lines)
