"""The command line: `seedbed serve | generate | inspect`.

`generate` and `inspect` read a spec from a JSON file, or a single tensor from scheme, shape and
options, which are the fields of the models themselves.
"""

from __future__ import annotations

import functools
import inspect as introspection
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from seedbed import disk
from seedbed.errors import LimitError, SeedbedError, SpecError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.files.one_tensor import OneTensor, scheme_parameters, spec_of_one
from seedbed.stream import STREAM_VERSION, get_engine
from seedbed.web.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The weights a model starts from: seeded initial checkpoints as safetensors files.",
)
errors = Console(stderr=True, highlight=False)

Source = Annotated[
    str,
    typer.Argument(help="A spec as a JSON file (- for standard input), or the name of a scheme."),
]
Shape = Annotated[
    str | None, typer.Argument(help="With a scheme, the shape of the one tensor: 256x784.")
]


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"seedbed {version('seedbed')}, stream version {STREAM_VERSION}")
        raise typer.Exit


@app.callback()
def main(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _version(wanted=value),
            is_eager=True,
            help="Show the version.",
        ),
    ] = False,
) -> None:
    """Take options that come before a command."""


def _with_tensor_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a single tensor, handed to it as the text in `options`."""
    helps = {name: field.description or "" for name, field in OneTensor.model_fields.items()}
    for name, takers in scheme_parameters().items():
        meanings = dict.fromkeys(field.description or "" for field in takers.values())
        helps[name] = " / ".join(meanings) + f" [{', '.join(takers)}]"
    added = [
        introspection.Parameter(
            f"option_{name}",
            introspection.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(
                    f"--{name}",
                    help=text,
                    show_default=False,
                    rich_help_panel=None if name in OneTensor.model_fields else "Of a scheme",
                ),
            ],
        )
        for name, text in helps.items()
    ]

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        texts = {name: arguments.pop(f"option_{name}") for name in helps}
        command(options={k: v for k, v in texts.items() if v is not None}, **arguments)

    signature = introspection.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name != "options"]
    wrapped.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*own, *added]
    )
    wrapped.__annotations__ = {p.name: p.annotation for p in (*own, *added)}
    return wrapped


@contextmanager
def _refusals() -> Iterator[None]:
    """End with a clear line and exit code 2 on what a user can mend, 1 on what the system said."""
    try:
        yield
    except SeedbedError as error:
        if isinstance(error, SpecError) and error.path:
            errors.print(f"[bold]{'/'.join(map(str, error.path))}[/]: ", end="")
        errors.print(getattr(error, "message", None) or str(error), style="red", markup=False)
        if isinstance(error, LimitError):
            errors.print(f"raise it with SEEDBED_{error.limit.upper()}", markup=False)
        if isinstance(error, SpecError) and error.allowed:
            errors.print(f"allowed: {', '.join(error.allowed)}", markup=False)
        raise typer.Exit(2) from error
    except ValidationError as error:
        for finding in error.errors(include_url=False):
            place = "/".join(map(str, finding["loc"]))
            errors.print(f"[bold]{place}[/]: ", end="")
            errors.print(finding["msg"], style="red", markup=False)
        raise typer.Exit(2) from error
    except OSError as error:
        errors.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error


def _spec(source: str, shape: str | None, options: Mapping[str, str]) -> CheckpointSpec:
    """The spec that the arguments of a command name.

    Raises:
        SpecError: they name none.
        ValidationError: the JSON is no spec.
        OSError: there is no such file.
    """
    if shape is not None:
        return spec_of_one(source, shape, options)
    if others := options.keys() - {"seed"}:
        raise SpecError(
            f"{source!r} is read as a spec, beside which only --seed can be given; a single tensor "
            "needs a scheme and a shape",
            (min(others),),
        )
    if source != "-" and not Path(source).exists() and not source.endswith(".json"):
        raise SpecError(
            f"there is no file {source!r}; if it is a scheme, give a shape after it, as in "
            f"`{source} 256x784`",
            ("source",),
        )
    text = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    spec = CheckpointSpec.model_validate_json(text)
    if "seed" in options:
        seed = OneTensor.model_validate_strings({"seed": options["seed"]}).seed
        spec = spec.model_copy(update={"seed": seed})
    return spec


def _file(source: str, shape: str | None, options: Mapping[str, str]) -> VirtualFile:
    settings = Settings()
    spec = _spec(source, shape, options)
    return VirtualFile(spec, settings.limits, get_engine(settings.engine))


@app.command()
@_with_tensor_options
def generate(
    *,
    source: Source,
    shape: Shape = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write; - for standard output.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    options: Mapping[str, str],
) -> None:
    """Write the file of a spec, the same bytes that the service sends.

    The file appears under its name when it is complete; a command that was cut off is resumed by
    the same command.
    """
    with _refusals():
        file = _file(source, shape, options)
        if str(output) == "-":
            for chunk in file.chunks():
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            return
        if output.exists() and not force:
            raise SpecError(f"{str(output)!r} exists; --force replaces it", ("output",))
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=errors, disable=quiet) as bar:
            task = bar.add_task(output.name, total=file.size)
            disk.write(
                file,
                output,
                Settings().worker_threads,
                lambda done: bar.update(task, completed=done),
            )


@app.command()
@_with_tensor_options
def inspect(*, source: Source, shape: Shape = None, options: Mapping[str, str]) -> None:
    """Print the plan of a spec as a table, without drawing anything."""
    with _refusals():
        file = _file(source, shape, options)
    width = None if sys.stdout.isatty() else 160
    output = Console(width=width, highlight=False)
    table = Table("tensor", "dtype", "shape", "scheme", "fan in/out", box=None, pad_edge=False)
    for heading in ("std", "bounds", "offset", "bytes"):
        table.add_column(heading, justify="right")
    for i, tensor in enumerate(file.tensors):
        fans = tensor.scheme.fans(tensor.shape)
        summary = tensor.fill.summary()
        bounds = (
            "" if summary.lower is None and summary.upper is None
            else f"{_number(summary.lower, '-∞')} … {_number(summary.upper, '∞')}"
        )  # fmt: skip
        table.add_row(
            tensor.name,
            tensor.dtype.code,
            "×".join(map(str, tensor.shape)) or "scalar",
            tensor.scheme.scheme,
            f"{fans.fan_in}/{fans.fan_out}" if fans else "",
            f"{summary.std:.6g}",
            bounds,
            f"{file.offset(i):,}",
            f"{tensor.size_bytes:,}",
        )
    output.print(table)
    elements = sum(tensor.elements for tensor in file.tensors)
    output.print(
        f"{len(file.tensors):,} tensors, {elements:,} parameters, {file.size:,} bytes; "
        f"seed {file.spec.seed}, stream version {STREAM_VERSION}, ETag {file.etag}"
    )


def _number(value: float | None, missing: str) -> str:
    return missing if value is None else f"{value:.6g}"


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on [SEEDBED_HOST, 127.0.0.1].")
    ] = None,
    port: Annotated[int | None, typer.Option(help="TCP port [SEEDBED_PORT, 8000].")] = None,
) -> None:
    """Serve over HTTP. All settings are environment variables SEEDBED_…: see the README."""
    from seedbed.web.server import serve as run  # FastAPI is not needed by the other commands

    given = {"host": host, "port": port}
    with _refusals():
        settings = Settings(**{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
        run(settings)


if __name__ == "__main__":
    app()
