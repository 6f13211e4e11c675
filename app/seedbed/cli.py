"""The command line: `seedbed serve | generate | inspect | record | key`.

`generate` and `inspect` read a spec from a JSON file, or take a preset by name, or a single tensor
from scheme, shape and options, which are the fields of the models themselves.
"""

from __future__ import annotations

import functools
import inspect as introspection
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text
from typer.core import TyperGroup

from seedbed import disk
from seedbed.errors import Choices, InvalidError, LimitError, SeedbedError, SettingError, SpecError
from seedbed.files import (
    SPEC,
    Checkpoint,
    CheckpointSpec,
    File,
    OneTensor,
    VirtualFile,
    errors_of,
    option_of,
    option_of_model,
    read,
    scheme_parameters,
    spec_of_one,
    spec_of_preset,
    suggestions,
)
from seedbed.init import SCHEMES, hints_of, is_scheme
from seedbed.models import presets
from seedbed.record_command import record_to
from seedbed.standard_streams import standard_streams
from seedbed.stream import (
    STREAM_VERSION,
    compile_and_keep,
    get_engine,
    host_levels,
    machine_levels,
)
from seedbed.web import line_of, new_key, read_settings, start, variable


class _Program(TyperGroup):
    """All commands, with one end for what the system says: a line, and exit code 1."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command and exit; nothing that it printed is lost in silence."""
        with standard_streams(lambda error: _say((str(error), "red"))):
            return super().main(*args, **kwargs)  # where a broken pipe ends, quietly


app = typer.Typer(
    cls=_Program,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The weights a model starts from: seeded initial checkpoints as safetensors files.",
)
_YAML = (".yaml", ".yml")
_ENDINGS = {".json", ".safetensors", ".toml", *_YAML}
"""Of files that somebody may take for a spec; presets have dots in their names too."""

_MOST_FILES = 1000
"""Files of a folder among which a misspelt name is looked for."""

errors = Console(stderr=True, highlight=False, soft_wrap=True)

Source = Annotated[
    str,
    typer.Argument(
        help="A spec as a JSON file (- for standard input), a preset's name, or a scheme's with a "
        "shape."
    ),
]
Arguments = Annotated[
    list[str] | None,
    typer.Option("--set", help="An argument of a preset, as num_classes=10. May be repeated."),
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
        helps[name] = f"{' / '.join(meanings)} ({', '.join(takers)})"
    added = [
        introspection.Parameter(
            f"option_{name}",
            introspection.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(
                    _option(name),
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


def _option(name: str) -> str:
    """A field as the command line spells it: fan_in is --fan-in."""
    return f"--{name.replace('_', '-')}"


@contextmanager
def _refusals() -> Iterator[None]:
    """End with a clear line and exit code 2 on what a user can mend."""
    try:
        yield
    except InvalidError as error:
        for finding in error.findings or [error]:
            _complain(finding)
        raise typer.Exit(2) from error
    except SeedbedError as error:
        _complain(error)
        raise typer.Exit(2) from error
    except ValidationError as error:  # of an option
        _complain(*errors_of(error, None))
        raise typer.Exit(2) from error
    except ExceptionGroup as group:  # of the settings, which may have several faults
        _complain(*group.exceptions)
        raise typer.Exit(2) from group
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "new thread" not in str(error):
            raise
        _say(("there is too little memory", "red"), "; fewer threads need less: SEEDBED_THREADS=1")
        raise typer.Exit(1) from error


def _complain(*faults: Exception) -> None:
    """Of each where, what is wrong, and what would be right."""
    wrong: list[SpecError | SettingError] = []
    for fault in faults:
        if isinstance(fault, LimitError):
            _say((fault.said_of(variable(fault.limit)), "red"))
        elif isinstance(fault, SettingError):
            wrong.append(fault)
        elif isinstance(fault, SpecError):
            wrong += [fault, *fault.others]
        else:
            _say((str(fault), "red"))
    for error, shown in zip(wrong, suggestions(wrong), strict=True):
        place = "/".join(map(str, error.path)) if isinstance(error, SpecError) else error.name
        _say((place, "bold"), ": " if place else "", (shown.message, "red"))
        if shown.allowed:
            _say(f"allowed: {', '.join(shown.allowed)}")


def _say(*parts: str | tuple[str, str]) -> None:
    """A line on standard error, whatever characters a user's own text in it has."""
    styled = (part if isinstance(part, tuple) else (part, "") for part in parts)
    with suppress(OSError):  # nobody is left to be told
        errors.print(Text.assemble(*((_printable(text), style) for text, style in styled)))


def _printable(text: str) -> str:
    """Text without characters that would move the cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _spec(
    source: str, shape: str | None, options: Mapping[str, str], arguments: Sequence[str]
) -> CheckpointSpec:
    """The spec that the arguments of a command name.

    Raises:
        SpecError: they name none.
        InvalidError: the JSON is no spec, in these places.
        ValidationError: the seed is none.
        OSError: there is no such file.
    """
    if arguments and (shape is not None or source not in presets()):
        raise SpecError("only a preset takes arguments", ("set",))
    if shape is not None:
        if source in presets():
            raise SpecError(f"{source} is a preset, which takes no shape", ("shape",))
        return spec_of_one(source, shape, options)
    if source in presets() and not Path(source).exists():
        return _spec_of_preset(source, options, arguments)
    if is_scheme(source) and not Path(source).exists():
        raise SpecError(f"a scheme needs a shape after it, as in `{source} 256x784`", ("source",))
    if others := options.keys() - {"seed"}:
        raise SpecError(
            f"{source!r} is read as a spec, beside which only --seed can be given; a single tensor "
            "needs a scheme and a shape",
            (min(others),),
        )
    if source != "-" and not Path(source).exists():
        raise _no_such_source(source)
    if source.lower().endswith(_YAML):
        raise SpecError("a spec is JSON; YAML is not read", ("source",))
    text = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    spec = read(SPEC, text, read_settings().text_limits)
    return spec.with_seed(options["seed"]) if "seed" in options else spec


def _no_such_source(source: str) -> SpecError:
    """What to say of a name that is no file, no preset and no scheme."""
    path = Path(source)
    folder, ending = path.parent, path.suffix.lower()
    if folder != Path() or ending in _ENDINGS:
        there = sorted(file.name for file in islice(folder.glob("*.json"), _MOST_FILES))
        return SpecError(f"there is no file {source!r}", ("source",), Choices(there, path.name))
    there = [
        *presets(),
        *SCHEMES,
        *(file.name for file in islice(Path().glob("*.json"), _MOST_FILES)),
    ]
    return SpecError(
        f"there is no file, no preset and no scheme {source!r}", ("source",), Choices(there, source)
    )


def _spec_of_preset(
    preset: str, options: Mapping[str, str], arguments: Sequence[str]
) -> CheckpointSpec:
    """The spec of a preset with these options, and arguments as `name=value`."""
    fields = dict(options)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            raise SpecError(f"{argument!r} is not name=value", ("set",))
        if fields.setdefault(name, value) != value:
            raise SpecError(f"{name!r} is given twice", ("set",))
    for name in fields.keys() & scheme_parameters().keys() - {
        a.partition("=")[0] for a in arguments
    }:
        raise SpecError(f"{_option(name)} is an option of a single tensor; see --set", (name,))
    return spec_of_preset(preset, fields)


def _checkpoint(
    source: str, shape: str | None, options: Mapping[str, str], arguments: Sequence[str]
) -> Checkpoint:
    settings = read_settings()
    spec = _spec(source, shape, options, arguments)
    try:
        return Checkpoint(spec, settings.limits, get_engine(settings.engine))
    except SpecError as error:
        if source in presets():
            raise option_of_model(error) from error
        if shape is None:
            raise
        raise type(error)(error.message, option_of(error.path), error.allowed) from error


@app.command()
@_with_tensor_options
def generate(
    *,
    source: Source,
    shape: Shape = None,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="File to write; - for standard output; a directory, which exists or ends with /, "
            "for shards, index and config.json.",
        ),
    ],
    arguments: Arguments = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    options: Mapping[str, str],
) -> None:
    """Write the file of a spec, the same bytes that the service sends.

    The file appears under its name when it is complete; a command that was cut off is resumed by
    the same command.
    """
    with _refusals():
        checkpoint = _checkpoint(source, shape, options, arguments or ())
        directory = output != "-" and (Path(output).is_dir() or output.endswith(os.sep))
        if not directory and any(text.startswith("max_shard_size=") for text in arguments or ()):
            raise SpecError(
                f"shards are files of a directory, as `-o name{os.sep}` names one",
                ("max_shard_size",),
            )
        if output == "-":
            for chunk in checkpoint.whole.chunks():
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            return
        target = Path(output)
        files: dict[Path, File] = {target: checkpoint.whole}
        if directory:
            files = {target / file.name: file for file in checkpoint.files()}
            target.mkdir(parents=True, exist_ok=True)
        _write(files, replace=force, quiet=quiet)


def _write(files: Mapping[Path, File], *, replace: bool, quiet: bool) -> None:
    """Write files one after the other, with a bar for each.

    Raises:
        OutputError: one is there and is not to be replaced; nothing is written then.
    """
    for path in files:
        if path.exists() and not replace:
            raise disk.exists(path)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, disable=quiet) as bar:
        for path, file in files.items():
            task = bar.add_task(path.name, total=file.size)
            disk.write(
                file,
                path,
                read_settings().worker_threads,
                functools.partial(_update, bar, task),
                replace=replace,
            )


def _update(bar: Progress, task: TaskID, done: int) -> None:
    bar.update(task, completed=done)


@app.command()
@_with_tensor_options
def inspect(
    *,
    source: Source,
    shape: Shape = None,
    arguments: Arguments = None,
    options: Mapping[str, str],
) -> None:
    """Print the plan of a spec as a table, without drawing anything."""
    with _refusals():
        checkpoint = _checkpoint(source, shape, options, arguments or ())
        if isinstance(sys.stdout, io.TextIOWrapper):  # whatever characters it can show
            sys.stdout.reconfigure(errors="backslashreplace")
        for line in _table(checkpoint.whole):
            typer.echo(line)
        if checkpoint.is_sharded:
            typer.echo(f"as a directory, {_count(len(checkpoint.shards), 'shard')}")


_HEADINGS = ("tensor", "dtype", "shape", "scheme", "fan in/out", "std", "bounds", "offset", "bytes")
_MOST_HINTS = 5
_LEFT = 5
"""Columns of text; those after them have numbers, which end together."""


def _table(file: VirtualFile) -> Iterator[str]:
    """The plan of a file in lines: a heading, a line a tensor, totals."""
    rows = [_HEADINGS, *(_row(file, i) for i in range(len(file.tensors)))]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        spaces = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = zip(row, spaces, range(len(row)), strict=True)
        yield "  ".join(c + space if i < _LEFT else space + c for c, space, i in cells)
    hints = ((tensor.name, hint) for tensor in file.tensors for hint in hints_of(tensor))
    for name, hint in islice(hints, _MOST_HINTS):
        yield f"{_printable(name)}: {hint}"
    spec = file.spec
    if isinstance(spec, CheckpointSpec):
        for rule, changed in zip(spec.rules, spec.decisions.changed, strict=True):
            yield f"rule {_printable(rule.match)}: {_count(changed, 'tensor')}"
    elements = sum(tensor.elements for tensor in file.tensors)
    yield (
        f"{_count(len(file.tensors), 'tensor')}, {_count(elements, 'element')}, "
        f"{file.size:,} bytes; "
        f"seed {file.spec.seed}, stream version {STREAM_VERSION}, ETag {file.etag}"
    )


def _row(file: VirtualFile, index: int) -> tuple[str, ...]:
    """One tensor in words and numbers."""
    tensor = file.tensors[index]
    fans = tensor.fans
    summary = tensor.fill.summary()
    bounded = summary.lower is not None or summary.upper is not None
    return (
        _printable(tensor.name),
        tensor.dtype.code,
        "×".join(map(str, tensor.shape)) or "scalar",
        tensor.scheme.scheme if tensor.same_as is None else f"= {_printable(tensor.same_as)}",
        f"{fans.fan_in or '?'}/{fans.fan_out or '?'}" if fans and tensor.elements else "",
        f"{summary.std:.6g}",
        f"{_number(summary.lower, '-∞')} … {_number(summary.upper, '∞')}" if bounded else "",
        f"{file.offset(index):,}",
        f"{tensor.size_bytes:,}",
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _number(value: float | None, missing: str) -> str:
    return missing if value is None else f"{value:.6g}"


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
    """
    with _refusals():
        path = None if output == "-" else Path(output)
        text = record_to(
            target, path, looks=looks, literals=literals,
            ignore_quantization=ignore_quantization, tell=_say,
        )  # fmt: skip
        if path is None:
            typer.echo(text, nl=False)


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
    """Compile the kernels now, so that no start has to; a few seconds for each instruction set."""
    with _refusals():
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
    """Make an API key: on the first line for the client, on the second for SEEDBED_API_KEYS.

    The second line has the key's hash only; the key itself is kept nowhere.
    """
    key = new_key()
    try:
        line = line_of(name, frozenset({"read", "write"} if write else {"read"}), key)
    except ValueError as error:
        with _refusals():
            raise SpecError(str(error), ("name",)) from error
    typer.echo(key)
    typer.echo(line)


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
    """Serve over HTTP. All settings are environment variables SEEDBED_…: see the README."""
    options = {"host": host, "port": port, "workers": workers}
    with _refusals():
        settings = read_settings(**{k: v for k, v in options.items() if v is not None})
        raise typer.Exit(start(settings))


if __name__ == "__main__":
    app()
