"""`seedbed generate` and `seedbed inspect`: the files of a spec, or their plan."""

from __future__ import annotations

import functools
import io
import os
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.cells import cell_len
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from seedbed import disk
from seedbed.cli.saying import INTERRUPTED, console, count, printable, refusals, say
from seedbed.cli.sources import (
    Arguments,
    Shape,
    Source,
    SourceCommand,
    checkpoint_of,
    with_tensor_options,
)
from seedbed.errors import SpecError
from seedbed.files import CheckpointSpec, File, VirtualFile
from seedbed.init import hints_of
from seedbed.stream import STREAM_VERSION
from seedbed.web import described, read_settings

app = typer.Typer(rich_markup_mode=None)


@app.command(cls=SourceCommand)
@with_tensor_options
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

    \b
    Examples:
      seedbed generate he_normal 256x784 --seed 42 -o w.safetensors
      seedbed generate examples/mlp.json -o mlp.safetensors
      seedbed generate resnet50 --set num_classes=10 -o r50.safetensors
      seedbed generate gpt2 --dtype BF16 --set max_shard_size=100MB -o gpt2/
    """
    with refusals():
        checkpoint = checkpoint_of(source, shape, options, arguments or ())
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
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet) as bar:
        threads = read_settings().worker_threads
        try:
            for path, file in files.items():
                update = functools.partial(_update, bar, bar.add_task(path.name, total=file.size))
                disk.write(file, path, threads, update, replace=replace)
        except KeyboardInterrupt as error:
            bar.stop()
            say("interrupted; the same command goes on where this one stopped")
            raise typer.Exit(INTERRUPTED) from error


def _update(bar: Progress, task: TaskID, done: int) -> None:
    bar.update(task, completed=done)


@app.command(cls=SourceCommand)
@with_tensor_options
def inspect(
    *,
    source: Source,
    shape: Shape = None,
    arguments: Arguments = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="As JSON, as POST /v1/describe answers.")
    ] = False,
    options: Mapping[str, str],
) -> None:
    """Print the plan of a spec, without drawing anything.

    \b
    Examples:
      seedbed inspect examples/cnn.json
      seedbed inspect he_normal 256x784 --dtype BF16
      seedbed inspect tiny-gpt2 --json
    """
    with refusals():
        checkpoint = checkpoint_of(source, shape, options, arguments or ())
        if as_json:
            tensors = len(checkpoint.whole.tensors)
            for part in described(
                checkpoint, cast("CheckpointSpec", checkpoint.spec), None, 0, tensors
            ):
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.write(b"\n")
            return
        if isinstance(sys.stdout, io.TextIOWrapper):  # whatever characters it can show
            sys.stdout.reconfigure(errors="backslashreplace")
        for line in _table(checkpoint.whole):
            typer.echo(line)
        if checkpoint.is_sharded:
            typer.echo(f"as a directory, {count(len(checkpoint.shards), 'shard')}")


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
        yield f"{printable(name)}: {hint}"
    spec = file.spec
    if isinstance(spec, CheckpointSpec):
        for rule, changed in zip(spec.rules, spec.decisions.changed, strict=True):
            yield f"rule {printable(rule.match)}: {count(changed, 'tensor')}"
    elements = sum(tensor.elements for tensor in file.tensors)
    yield (
        f"{count(len(file.tensors), 'tensor')}, {count(elements, 'element')}, "
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
        printable(tensor.name),
        tensor.dtype.code,
        "×".join(map(str, tensor.shape)) or "scalar",
        tensor.scheme.scheme if tensor.same_as is None else f"= {printable(tensor.same_as)}",
        f"{fans.fan_in or '?'}/{fans.fan_out or '?'}" if fans and tensor.elements else "",
        f"{summary.std:.6g}",
        f"{_number(summary.lower, '-∞')} … {_number(summary.upper, '∞')}" if bounded else "",
        f"{file.offset(index):,}",
        f"{tensor.size_bytes:,}",
    )


def _number(value: float | None, missing: str) -> str:
    return missing if value is None else f"{value:.6g}"
