"""What OpenAPI says of presets: a schema for each architecture, and every argument as a parameter.

Generators of clients make a class of each, so that arguments have names and types there. All is
read from the architectures, which are imported only when the document is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seedbed.models import Architecture, presets

Json = dict[str, Any]

_REFERENCE = "#/components/schemas/"

_AS_JSON: Json = {"type": "string", "contentMediaType": "application/json"}
_NULL: Json = {"type": "string", "const": "null"}


def architectures() -> Mapping[type[Architecture], list[str]]:
    """Each architecture that has presets, with their names."""
    names: dict[type[Architecture], list[str]] = {}
    for preset in presets().values():
        names.setdefault(preset.architecture, []).append(preset.name)
    return names


def component_name(architecture: type[Architecture]) -> str:
    """What its schema is called in the document."""
    return f"{architecture.__name__}Preset"


def preset_components() -> dict[str, Json]:
    """`ModelOfPreset` as the union of one schema for each architecture, and those, by name."""
    components: dict[str, Json] = {}
    for architecture, names in architectures().items():
        title = component_name(architecture)
        (schema, parts) = _schema(architecture, names, title)
        components[title] = schema
        components |= parts
    whole = {
        "title": "ModelOfPreset",
        "description": "A model with a name, and its arguments beside that.",
        "anyOf": [
            {"$ref": f"{_REFERENCE}{component_name(architecture)}"}
            for architecture in architectures()
        ],
    }
    return {"ModelOfPreset": whole, **components}


def _schema(
    architecture: type[Architecture], names: list[str], title: str
) -> tuple[Json, dict[str, Json]]:
    """The schema of an architecture's presets, and the components that it needs."""
    preset = presets()[names[0]]
    said = architecture.model_json_schema(ref_template=f"{_REFERENCE}{title}{{model}}")
    properties = {
        argument.name: {**_moved(argument.json_schema, title), "description": argument.description}
        for argument in preset.arguments()
    }
    schema: Json = {
        "type": "object",
        "title": title,
        "description": f"{preset.library}: {', '.join(names)}. Defaults are the preset's own: "
        "GET /v1/models/{preset} has them.",
        "properties": {
            "preset": {"type": "string", "enum": names, "description": "Which."},
            **properties,
        },
        "required": ["preset"],
        "additionalProperties": architecture.takes_inert_fields,
    }
    used = str(properties)
    parts = {f"{title}{name}": part for name, part in said.get("$defs", {}).items()}
    return schema, {name: part for name, part in parts.items() if f"{_REFERENCE}{name}'" in used}


def _moved(part: Any, title: str) -> Any:
    """A schema whose references lead to components, without defaults: a preset has its own."""
    if isinstance(part, Mapping):
        return {
            key: f"{_REFERENCE}{title}{value.removeprefix('#/$defs/')}"
            if key == "$ref"
            else _moved(value, title)
            for key, value in part.items()
            if key != "default"
        }
    return [_moved(item, title) for item in part] if isinstance(part, list) else part


def argument_parameters(taken: frozenset[str]) -> dict[str, Json]:
    """Every argument of every preset as a parameter of the query, by name.

    Args:
        taken: names that mean something else in the query.
    """
    kinds: dict[str, list[Json]] = {}
    texts: dict[str, dict[str, list[str]]] = {}
    for architecture, names in architectures().items():
        for argument in presets()[names[0]].arguments():
            if argument.name in taken:
                continue
            here = kinds.setdefault(argument.name, [])
            here += [kind for kind in as_text(argument.json_schema) if kind not in here]
            whose = texts.setdefault(argument.name, {}).setdefault(argument.description, [])
            whose.append(architecture.__name__)
    return {
        name: {
            "name": name,
            "in": "query",
            "description": " ".join(
                f"{text} ({', '.join(whose)})" for text, whose in texts[name].items()
            ),
            "schema": one_of(kinds[name]),
        }
        for name in sorted(kinds)
    }


def as_text(schema: Mapping[str, Any]) -> Iterator[Json]:
    """What a value can be in a query: numbers and words as they are, all else as JSON."""
    if "anyOf" in schema:
        for part in schema["anyOf"]:
            yield from as_text(part)
    elif schema.get("type") in ("integer", "number", "boolean", "string"):
        yield {key: value for key, value in schema.items() if key not in _ABOUT}
    elif schema.get("type") == "null":
        yield _NULL
    else:
        yield _AS_JSON


_ABOUT = ("title", "description", "default")
"""Keys of a schema that say nothing of the values."""


def one_of(kinds: list[Json]) -> Json:
    """A schema that admits each of these.

    Those of one type become one, with all their words, and with bounds only where they agree.
    """
    by_type: dict[object, Json] = {}
    for kind in kinds:
        key = (kind["type"], kind == _NULL, kind == _AS_JSON)
        known = by_type.setdefault(key, kind)
        if known != kind:
            merged: Json = {"type": kind["type"]}
            if "enum" in known and "enum" in kind:
                merged["enum"] = [*dict.fromkeys([*known["enum"], *kind["enum"]])]
            by_type[key] = merged
    types = [*by_type.values()]
    return dict(types[0]) if len(types) == 1 else {"anyOf": types}
