"""The command line of the study: `python -m study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seedbed.errors import SeedbedError, SpecError
from study import FASHION, RESULTS, agreement, choose, run_study

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def study(
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Result file. What is in it of the same design is not done again.",
        ),
    ] = RESULTS,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="An experiment by name; may be repeated.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A minute's part of it, compared with the result file.")
    ] = False,
    fashion_mnist: Annotated[
        Path, typer.Option(help="Directory of Fashion-MNIST's four .gz files.")
    ] = FASHION,
) -> None:
    """Train the networks behind docs/normal-vs-uniform.md; needs PyTorch and scikit-learn."""
    try:
        experiments = choose(only)
        if not quick:
            run_study(output, experiments, fashion=fashion_mnist, tell=typer.echo)
            return
        results = run_study(None, experiments, fashion=fashion_mnist, quick=True, tell=typer.echo)
    except SeedbedError as error:
        allowed = (
            f" (there are: {', '.join(error.allowed)})" if isinstance(error, SpecError) else ""
        )
        typer.echo(f"{error}{allowed}", err=True)
        raise typer.Exit(2) from error
    rows = [*agreement(results)]
    for row in rows:
        typer.echo(row)
    if not all(row.agrees for row in rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    app(prog_name="python -m study")
