"""`seedbed record`: what a module of one's own starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seedbed.cli.saying import refusals, say
from seedbed.record_command import record_to

app = typer.Typer(rich_markup_mode=None)


@app.command()
def record(
    target: Annotated[
        str,
        typer.Argument(
            help="A function that builds a PyTorch module, my.package:build; or a config.json."
        ),
    ],
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File to write; - for standard output.")
    ] = "-",
    looks: Annotated[
        bool,
        typer.Option("--looks", help="Let it look at random values, as a print of them does."),
    ] = False,
    literals: Annotated[
        bool,
        typer.Option(
            "--literals", help="List numbers that no scheme gives, up to 65,536 of a tensor."
        ),
    ] = False,
    ignore_quantization: Annotated[
        bool,
        typer.Option(
            "--ignore-quantization",
            help="Of the config of a quantised model, record the model that was quantised.",
        ),
    ] = False,
) -> None:
    """Write the spec of what a module starts from, without building it.

    Needs seedbed[torch]; for a config.json, seedbed[transformers].

    \b
    Examples:
      seedbed record my.package:build -o spec.json
      seedbed record config.json -o spec.json
    """
    with refusals():
        path = None if output == "-" else Path(output)
        text = record_to(
            target, path, looks=looks, literals=literals,
            ignore_quantization=ignore_quantization, tell=say,
        )  # fmt: skip
        if path is None:
            typer.echo(text, nl=False)
