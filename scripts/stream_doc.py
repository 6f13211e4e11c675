"""Write the tables of docs/stream.md that are made: vectors, and parameters of schemes.

Vectors are those of tests/golden/stream-v1.json; parameters, with their types and defaults, and the
recipes of single papers are those of the schemes' classes.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from pydantic_core import PydanticUndefined

from seedbed.init import SCHEMES, Scheme
from seedbed.init.schemes import FAMILIES
from seedbed.init.schemes.directed import ByFans
from seedbed.web.schemas import properties_of

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "stream.md"
VECTORS = ROOT / "tests" / "golden" / "stream-v1.json"


IN_WORDS = {
    "constant": "`value`: see below",
    "literal": "`values`: numbers as of `constant`, one list however they were nested",
    "arange": "`start` 0, `step` 1: numbers as of `constant`, −0.0 is 0",
    "chain": "`of`: an init; `steps`: lists of a word and floats, or null",
    "parts": "`init`: an init or null; `parts`: objects of `init` and `box`, a list of "
    "`[start, stop]` or null, without nulls at its end",
}
"""Of schemes with parameters that are neither floats, nor words, nor integers: what these are."""


def default_of(value: object) -> str:
    """A default as the document has it; nothing for one that is required."""
    if value is PydanticUndefined:
        return ""
    return " null" if value is None else f" {value}".replace("-", "−").removesuffix(".0")


def own_parameters(scheme: type[Scheme]) -> list[str]:
    """A scheme's parameters but for those by which all that have fans are directed."""
    shared = ByFans.model_fields if issubclass(scheme, ByFans) else ()
    return [name for name in scheme.model_fields if name not in {"scheme", *shared}]


def parameters_of(name: str, scheme: type[Scheme]) -> tuple[str, str, str]:
    """The parameters of a scheme: floats, words and integers."""
    columns: dict[str, list[str]] = {"floats": [], "words": [], "integers": []}
    properties = properties_of(scheme)
    for key in own_parameters(scheme):
        default = scheme.model_fields[key].default
        kinds = properties[key].get("anyOf", [properties[key]])
        types = {str(kind.get("type")) for kind in kinds}
        if f"`{key}`" in IN_WORDS.get(name, ""):
            columns["floats"] = [IN_WORDS[name]]
        elif types <= {"number", "null"}:
            or_null = " or null" if "null" in types and default is not None else ""
            columns["floats"].append(f"`{key}`{default_of(default)}{or_null}")
        elif types <= {"integer", "array", "null"}:  # axes are one, or a list
            columns["integers"].append(f"`{key}`{default_of(default)}")
        elif "enum" in kinds[0]:
            words = [default, *(word for word in kinds[0]["enum"] if word != default)]
            values = "" if key == "convention" else f" {', '.join(words)}"
            columns["words"].append(f"`{key}`{values}")
        else:
            sys.exit(f"say in IN_WORDS of {__file__} what {key} of {name} is")
    if issubclass(scheme, ByFans):
        columns["integers"].append("directions")
    words = sorted(columns["words"], key=lambda word: word == "`convention`")
    return ", ".join(columns["floats"]), "; ".join(words), ", ".join(columns["integers"])


def parameters() -> str:
    """Every scheme's parameters, those that have the same in one row."""
    rows = {name: parameters_of(name, scheme) for name, scheme in SCHEMES.items()}
    alike: dict[tuple[str, str, str], list[str]] = {}
    for name, cells in rows.items():
        alike.setdefault(cells, []).append(f"`{name}`")
    alike.pop(("", "", ""))
    lines = ["| scheme | floats | words | integers |", "|---|---|---|---|"]
    for cells, names in alike.items():
        lines.append(f"| {' | '.join((', '.join(names), *cells))} |")
    return re.sub(r"\|  (?=\|)", "| ", "\n".join([*lines, "| all others | | | |"]))


def recipes() -> str:
    """The distributions of the recipes, with their parameters."""
    lines = ["| scheme | values |", "|---|---|"]
    for scheme in FAMILIES["Recipes"]:
        own = own_parameters(scheme)
        defaults = {key: default_of(scheme.model_fields[key].default) for key in own}
        said = [f"{key} ={value}" if value else key for key, value in defaults.items()]
        call = f"({', '.join(said)})" if said else ""
        lines.append(f"| `{scheme.model_fields['scheme'].default}{call}` | {scheme.formula} |")
    return "\n".join(lines)


def tables() -> dict[str, str]:
    """The tables' text by marker."""
    vectors = json.loads(VECTORS.read_text())
    words = ["| seed | name | lane | key | words 0 … 3 |", "|---|---|---|---|---|"]
    for entry in vectors["words"]:
        if entry["start"] == 0:
            first = " ".join(entry["words"][:4])
            words.append(
                f"| {entry['seed']} | {entry['name']} | {entry['lane']} | `{entry['key']}` "
                f"| `{first}` |"
            )
    draws = ["| distribution | dtype | bytes |", "|---|---|---|"]
    draws += [
        f"| {entry['distribution']} | {entry['dtype']} | `{entry['hex']}` |"
        for entry in vectors["draws"]
        if entry["start"] == 0
    ]
    return {
        "words": "\n".join(words),
        "draws": "\n".join(draws),
        "recipes": recipes(),
        "parameters": parameters(),
    }


def render(text: str) -> str:
    """The document with its tables renewed."""
    for marker, table in tables().items():
        place = rf"<!-- {marker} -->\n(\n\|[^<]*?\n(?=\n|\Z))?"
        renewed = f"<!-- {marker} -->\n\n{table}\n".replace("\\", r"\\")
        text = re.sub(place, renewed, text)
    return text


def main() -> int:
    """Write the document, or say that it is stale."""
    page = DOCUMENT.read_text(encoding="utf-8")
    text = render(page)
    if sys.argv[1:] != ["--check"]:
        DOCUMENT.write_text(text, encoding="utf-8")
    elif page != text:
        print(f"{DOCUMENT.name} is stale: run scripts/stream_doc.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
