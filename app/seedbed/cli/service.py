"""`seedbed serve`, and what belongs to a service: settings, keys, kernels."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from seedbed.cli.saying import refusals
from seedbed.errors import SpecError
from seedbed.stream import compile_and_keep, host_levels, machine_levels
from seedbed.web import line_of, listed_settings, new_key, read_settings, start

app = typer.Typer(rich_markup_mode=None)


@app.command("compile")
def compile_kernels(
    *,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="For every instruction set of this kind of processor, as images want it."
        ),
    ] = False,
) -> None:
    """Compile the kernels now, so that no start has to.

    It takes a few seconds for each instruction set.

    \b
    Examples:
      seedbed compile
      seedbed compile --all
    """
    with refusals():
        for level in machine_levels() if everything else host_levels()[:1]:
            _, path = compile_and_keep(level)
            typer.echo(f"{level.name}: {path or 'compiled, but no directory to keep it in'}")


@app.command("key")
def make_key(
    name: Annotated[str, typer.Argument(help="Whose it is: letters, digits, _ . and -.")],
    *,
    write: Annotated[
        bool, typer.Option("--write", help="It may store and delete specs too.")
    ] = False,
) -> None:
    """Make an API key, and its hash for the service.

    The first line is for the client, the second for SEEDBED_API_KEYS.

    The second line has the key's hash only; the key itself is kept nowhere.

    \b
    Examples:
      seedbed key ci
      seedbed key ci --write
    """
    key = new_key()
    try:
        line = line_of(name, frozenset({"read", "write"} if write else {"read"}), key)
    except ValueError as error:
        with refusals():
            raise SpecError(str(error), ("name",)) from error
    typer.echo(key)
    typer.echo(line)


@app.command("settings")
def show_settings(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the settings: value, default, and where the value is from.

    \b
    Examples:
      seedbed settings
      SEEDBED_PORT=9000 seedbed settings --json
    """
    with refusals():
        rows = listed_settings(read_settings())
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in rows], indent=1))
        return
    widths = [max(len(str(row[column])) for row in rows) for column in range(3)]
    for name, value, default, source, _ in rows:
        cells = (name.ljust(widths[0]), value.ljust(widths[1]), default.ljust(widths[2]), source)
        typer.echo("  ".join(cells))


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on [SEEDBED_HOST, 127.0.0.1].")
    ] = None,
    port: Annotated[int | None, typer.Option(help="TCP port [SEEDBED_PORT, 8000].")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that serve the port [SEEDBED_WORKERS, 1].")
    ] = None,
) -> None:
    """Serve over HTTP.

    All settings are environment variables SEEDBED_…: `seedbed settings` lists them.

    \b
    Examples:
      seedbed serve --port 9000
      SEEDBED_MAX_STREAMS=8 seedbed serve
    """
    options = {"host": host, "port": port, "workers": workers}
    with refusals():
        settings = read_settings(**{k: v for k, v in options.items() if v is not None})
        raise typer.Exit(start(settings))
