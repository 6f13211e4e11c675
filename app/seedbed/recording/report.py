"""What a recording found, in counts and in names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Report:
    """What a recording found.

    Attributes:
        library: whose names the tensors have.
        tensors: how many there are in the file.
        elements: of all of them.
        schemes: how many tensors each scheme fills.
        refused: tensors that no spec can say, each with the reason.
        unfilled: those of them whose memory nothing fills: a defect of the model.
        copied: tensors with the random numbers of another one, with its name: equal ones are said
            by `same_as`, others are refused.
        literals: tensors whose known numbers no scheme gives.
        tied: names of a tensor that has another name too; transformers leaves them out of files.
        left_out: names left out for another reason: buffers that are not persistent, and others.
        looked: where code looked at numbers that another build would not have, and how.
        noted: what else should be known of a tensor.
    """

    library: str
    tensors: int
    elements: int
    schemes: Mapping[str, int]
    refused: Mapping[str, str] = field(default_factory=dict)
    unfilled: tuple[str, ...] = ()
    copied: Mapping[str, str] = field(default_factory=dict)
    literals: tuple[str, ...] = ()
    tied: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    looked: Mapping[str, str] = field(default_factory=dict)
    noted: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether a spec says everything, and no code looked at what it could not know."""
        return not self.refused and not self.looked

    def __str__(self) -> str:
        """A few lines for people, naming at most some of each kind."""
        counts = ", ".join(f"{n} {scheme}" for scheme, n in self.schemes.items())
        lines = [f"{self.tensors:,} tensors, {self.elements:,} elements: {counts or 'none'}"]
        for heading, entries in (
            ("no spec can say", self.refused),
            ("looked at while recording", self.looked),
            ("the numbers of another tensor", self.copied),
            ("tied", self.tied),
            ("left out", self.left_out),
            ("note", self.noted),
        ):
            lines += [f"{heading}: {text}" for text in _some(entries)]
        return "\n".join(lines)


SHOWN = 8
"""Names of each kind in a report for people."""


def _some(entries: Mapping[str, str]) -> list[str]:
    texts = [f"{name}: {text}" for name, text in list(entries.items())[:SHOWN]]
    if len(entries) > SHOWN:
        texts.append(f"and {len(entries) - SHOWN:,} more")
    return texts
