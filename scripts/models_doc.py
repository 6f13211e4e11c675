"""Write the tables of docs/models.md from the presets; `--check` only says if they are fresh."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from pydantic_core import PydanticUndefined

from seedbed.models import Architecture, Preset, presets
from seedbed.stream import DTYPES

DOCUMENT = Path(__file__).parent.parent / "docs" / "models.md"

MARKER = "<!-- what follows is written by scripts/models_doc.py -->\n"

BUFFERS = ("running_mean", "running_var", "relative_position_index", "relative_coords_table")
"""Ends of the names of what a model saves, but no optimiser changes; counters are known as such."""

UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: int) -> str:
    """Bytes in three digits, units of a thousand."""
    value, unit = float(count), 0
    while value >= 999.5:
        value, unit = value / 1000, unit + 1
    digits = max(0, 2 - int(math.log10(max(value, 1)))) if unit else 0
    return f"{value:.{digits}f} {UNITS[unit]}"


def cell(text: str) -> str:
    """Text that does not end a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def arguments(architecture: type[Architecture], members: list[Preset]) -> Iterator[str]:
    """The table of what a builder takes, and which of it its presets decide."""
    decided = {name for preset in members for name in preset.defaults}
    yield "| argument | default | |"
    yield "|---|---|---|"
    for name, field in architecture.model_fields.items():
        default = "the preset's"
        if name not in decided and field.default is not PydanticUndefined:
            default = f"`{json.dumps(field.default)}`"
        yield f"| `{name}` | {default} | {cell(field.description or '')} |"
    yield ""


def row(preset: Preset) -> str:
    """What a preset comes to."""
    tensors = preset.build({}).parameters
    counts = [math.prod(one.shape) for one in tensors]
    trained = sum(
        count
        for one, count in zip(tensors, counts, strict=True)
        if DTYPES[one.dtype or "F32"].is_float and not one.name.endswith(BUFFERS)
    )
    total = sum(
        count * DTYPES[one.dtype or "F32"].size_bytes
        for one, count in zip(tensors, counts, strict=True)
    )
    return (
        f"| `{preset.name}` | {cell(preset.summary)} | {len(tensors):,} | {trained:,} "
        f"| {size(total)} |"
    )


def section(architecture: type[Architecture], members: list[Preset]) -> Iterator[str]:
    """The lines of one architecture and its presets."""
    yield f"### {architecture.__name__}"
    yield ""
    yield (architecture.__doc__ or "").replace("\n    ", "\n").strip()
    yield ""
    yield f"Names and initial distributions: {architecture.library}."
    yield ""
    yield from arguments(architecture, members)
    yield "| preset | | tensors | parameters | F32 |"
    yield "|---|---|---|---|---|"
    yield from map(row, members)
    yield ""


def package_of(architecture: type[Architecture]) -> str:
    """The package beside the registry that an architecture is in."""
    return architecture.__module__.split(".")[2]


def render(page: str) -> str:
    """The page with its tables renewed."""
    prose, marker, _ = page.partition(MARKER)
    order = list(dict.fromkeys(preset.architecture for preset in presets().values()))
    ordered = sorted(presets().values(), key=lambda preset: order.index(preset.architecture))
    lines: list[str] = []
    for package, ours in groupby(ordered, key=lambda preset: package_of(preset.architecture)):
        lines += [f"## Presets of {package}", ""]
        for architecture, members in groupby(ours, key=lambda preset: preset.architecture):
            lines += section(architecture, list(members))
    return prose + marker + "\n" + "\n".join(lines)


def main() -> None:
    """Write the page, or say that it is stale."""
    page = DOCUMENT.read_text(encoding="utf-8")
    text = render(page)
    if sys.argv[1:] == ["--check"]:
        if page != text:
            sys.exit(f"{DOCUMENT.name} is stale: run scripts/models_doc.py")
        return
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
