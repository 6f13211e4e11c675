"""`seedbed schemes`, `layers` and `models`: the catalogue of the API, to read in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from seedbed.cli.saying import printable, refusals
from seedbed.web import Kind, catalogue_entry, catalogue_summaries

app = typer.Typer(rich_markup_mode=None)

Name = Annotated[str | None, typer.Argument(help="Which one to show; without it, list all.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, as the API answers.")]


@app.command()
def schemes(*, name: Name = None, as_json: AsJson = False) -> None:
    """List the initialisation schemes, or show one.

    \b
    Examples:
      seedbed schemes
      seedbed schemes he_normal
      seedbed schemes kaiming_uniform_ --json
    """
    _show("schemes", name, as_json=as_json)


@app.command()
def layers(*, name: Name = None, as_json: AsJson = False) -> None:
    """List the layers, or show one.

    \b
    Examples:
      seedbed layers
      seedbed layers conv2d
    """
    _show("layers", name, as_json=as_json)


@app.command()
def models(*, name: Name = None, as_json: AsJson = False) -> None:
    """List the presets, or show one.

    \b
    Examples:
      seedbed models
      seedbed models resnet50
    """
    _show("models", name, as_json=as_json)


def _show(kind: Kind, name: str | None, *, as_json: bool) -> None:
    if name is not None:
        with refusals():
            text = catalogue_entry(kind, name)
        if as_json:
            typer.echo(text)
        else:
            for line in _lines(json.loads(text)):
                typer.echo(line)
        return
    summaries = catalogue_summaries(kind)
    if as_json:
        typer.echo(json.dumps(summaries, indent=1))
        return
    width = max(map(len, summaries))
    for one, summary in summaries.items():
        typer.echo(f"{one.ljust(width)}  {summary}")


def _lines(value: dict[str, Any], indent: str = "") -> Iterator[str]:
    """An entry as indented lines: a field each, without those that say nothing."""
    for field, content in value.items():
        if content in (None, [], {}) or field in ("json_schema", "latex", "href"):
            continue
        if isinstance(content, dict):
            yield f"{indent}{field}:"
            yield from _lines(content, f"{indent}  ")
        elif isinstance(content, list) and isinstance(content[0], dict):
            yield f"{indent}{field}:"
            for part in content:
                first, *rest = _lines(part, f"{indent}    ")
                yield f"{indent}  - {first.strip()}"
                yield from rest
        elif isinstance(content, list):
            yield f"{indent}{field}: {', '.join(map(str, content))}"
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            yield f"{indent}{field}: {printable(' '.join(text.split()))}"
