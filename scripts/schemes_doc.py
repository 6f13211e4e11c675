"""Write docs/schemes.md from the table of schemes; `--check` only says whether it is fresh."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seedbed.init import Scheme
from seedbed.init.schemes import FAMILIES
from seedbed.init.schemes.parity import PARITY

DOCUMENT = Path(__file__).parent.parent / "docs" / "schemes.md"

HEAD = """\
# Schemes

Every initialisation scheme, by family. `GET /v1/schemes` has the same in JSON. A name alone means
the defaults; with parameters it is an object, `{"scheme": "he_normal", "mode": "fan_out"}`. An
alias is a way of writing: it stands for the canonical name and for the parameters given beside it,
which are its framework's defaults; what a caller gives overrides them. Shapes are in PyTorch's
order, (out, in, *kernel). "Attributed to" means that the paper itself was not at hand.

This page is written by `scripts/schemes_doc.py`. [stream.md](stream.md) says which bytes they come
to.
"""

RECIPES = """\
## Recipes

Papers that give different tensors different schemes are specs with rules, in
[examples/recipes](../examples/recipes).
"""


def inline(value: object) -> str:
    """A value as JSON in code."""
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def alias(name: str, implied: Mapping[str, Any]) -> str:
    """An alias, with what it implies."""
    if not implied:
        return f"`{name}`"
    return f"`{name}` ({', '.join(f'`{key}` {inline(v)}' for key, v in implied.items())})"


def cell(text: str) -> str:
    """Text that does not end a cell of a table."""
    return text.replace("|", "\\|")


def entry(scheme: type[Scheme]) -> Iterator[str]:
    """The lines of one scheme."""
    name = scheme.model_fields["scheme"].default
    yield f"### `{name}`"
    yield ""
    yield (scheme.__doc__ or "").strip().replace("\n    ", "\n")
    yield ""
    yield f"- {scheme.formula}"
    yield f"- $`{scheme.latex}`$"
    if scheme.paper:
        yield f"- {scheme.paper}"
    if scheme.aliases:
        yield f"- also {', '.join(alias(*pair) for pair in scheme.aliases.items())}"
    for who, note in scheme.notes.items():
        yield f"- {who}: {note}"
    if scheme.example:
        yield f"- for example {inline({'scheme': name, **scheme.example})}"
    yield ""
    parameters = {key: scheme.model_fields[key] for key in scheme.parameters()}
    if parameters:
        yield "| parameter | default | |"
        yield "|---|---|---|"
        for key, field in parameters.items():
            default = "required" if field.is_required() else inline(field.default)
            yield f"| `{key}` | {default} | {cell(field.description or '')} |"
        yield ""


def parity() -> Iterator[str]:
    """The table of frameworks."""
    yield "## Frameworks"
    yield ""
    yield (
        "What a framework's own initialiser is called here. Arguments that are not shown have the "
        "framework's defaults. Rows of torch, Keras and JAX are tested against those libraries; "
        "the others were read from their sources."
    )
    yield ""
    yield "| framework | initialiser | here |"
    yield "|---|---|---|"
    for row in PARITY:
        arguments = ", ".join(f"{key}={value!r}" for key, value in row.arguments.items())
        call = f"{row.initializer}({arguments})" if arguments else row.initializer
        yield f"| {row.framework} | `{call}` | {inline(row.init)} |"
    yield ""


def render() -> str:
    """The whole page."""
    lines = [HEAD]
    for family, schemes in FAMILIES.items():
        lines += [f"## {family}", ""]
        for scheme in schemes:
            lines += entry(scheme)
    lines += [RECIPES, *parity()]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write the page, or compare it."""
    text = render()
    if "--check" not in sys.argv:
        DOCUMENT.write_text(text, encoding="utf-8")
    elif DOCUMENT.read_text(encoding="utf-8") != text:
        sys.exit("docs/schemes.md is stale: run scripts/schemes_doc.py")


if __name__ == "__main__":
    main()
