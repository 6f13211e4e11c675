"""Write the tables of docs/layers.md from the layers; `--check` only says if they are fresh."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seedbed.web.routes.layers import FRAMEWORKS, LayerDescription, catalogue

DOCUMENT = Path(__file__).parent.parent / "docs" / "layers.md"

MARKER = "<!-- what follows is written by scripts/layers_doc.py -->\n"


def inline(value: object) -> str:
    """A value as JSON in code, numbers in few digits."""
    if isinstance(value, dict) and "scheme" in value:
        rest = ", ".join(f"{k} {_short(v)}" for k, v in value.items() if k != "scheme")
        return f"`{value['scheme']}` ({rest})"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def shape(sizes: list[int]) -> str:
    """A shape as NumPy writes it."""
    return f"({', '.join(map(str, sizes))})"


def cell(text: str) -> str:
    """Text that does not end a cell of a table."""
    return text.replace("|", "\\|")


def entry(layer: LayerDescription) -> Iterator[str]:
    """The lines of one layer."""
    yield f"### `{layer.type}`"
    yield ""
    yield layer.summary.replace("\n    ", "\n")
    yield ""
    if layer.arguments:
        yield "| argument | default | |"
        yield "|---|---|---|"
        for argument in layer.arguments:
            default = "required" if argument.required else f"`{json.dumps(argument.default)}`"
            yield f"| `{argument.name}` | {default} | {cell(argument.description)} |"
        yield ""
    yield f"`{json.dumps(layer.example)}`"
    yield ""
    yield "| parameter | shape | torch | keras | flax | nnx |"
    yield "|---|---|---|---|---|---|"
    for parameter in layer.parameters:
        defaults = " | ".join(inline(parameter.defaults[whose]) for whose in FRAMEWORKS)
        yield f"| `{parameter.name}` | {shape(parameter.shape)} | {defaults} |"
    yield ""
    for form in layer.frameworks:
        if form.framework == "torch":
            continue
        if form.note:
            yield f"- {form.framework}: {form.note}."
            yield ""
    tensors = [
        f"| {form.framework} | `{tensor.name}` | {shape(tensor.shape)} "
        f"| `{cell(tensor.expression)}` |"
        for form in layer.frameworks
        for tensor in form.tensors
        if form.framework != "torch"
    ]
    if tensors:
        yield "| framework | tensor | shape | made of |"
        yield "|---|---|---|---|"
        yield from tensors
        yield ""


def render(page: str) -> str:
    """The page with its tables renewed."""
    prose, marker, _ = page.partition(MARKER)
    lines = [line for layer in catalogue().values() for line in entry(layer)]
    return prose + marker + "\n" + "\n".join(lines)


def main() -> None:
    """Write the page, or say that it is stale."""
    page = DOCUMENT.read_text(encoding="utf-8")
    text = render(page)
    if sys.argv[1:] == ["--check"]:
        if page != text:
            sys.exit(f"{DOCUMENT.name} is stale: run scripts/layers_doc.py")
        return
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
