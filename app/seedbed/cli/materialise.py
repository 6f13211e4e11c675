"""`seedbed materialise`: all files of a checkpoint, into an object store or a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from seedbed.cli.saying import INTERRUPTED, console, refusals, say
from seedbed.cli.sources import (
    Arguments,
    Shape,
    Source,
    SourceCommand,
    checkpoint_of,
    with_tensor_options,
)
from seedbed.materialise import Wish
from seedbed.materialise_command import Order, dry_run
from seedbed.materialise_command import materialise as write_checkpoint
from seedbed.web import read_settings

app = typer.Typer(rich_markup_mode=None)

_RAY = "--ray"
_ANY_CLUSTER = "auto-or-new"
"""What stands for no address after --ray."""


def with_address(words: Sequence[str]) -> list[str]:
    """The words of a command line, in which --ray may come without an address."""
    following = [*words[1:], "-"]
    return (
        [
            f"{_RAY}={_ANY_CLUSTER}" if word == _RAY and after.startswith("-") else word
            for word, after in zip(words, following, strict=True)
        ]
        if words
        else []
    )


class _Command(SourceCommand):
    """A command with --ray."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give --ray its address."""
        return super().parse_args(ctx, with_address(args))


@app.command(cls=_Command)
@with_tensor_options
def materialise(
    *,
    source: Source,
    shape: Shape = None,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="Where to: s3://bucket/prefix/, gs://…, az://…, file:///folder/, or a folder.",
        ),
    ],
    arguments: Arguments = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="[ADDRESS]",
            help="Have a Ray cluster write, a file a task: at this address, or at the one that Ray "
            "finds, or a new one here.",
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything back and compare it.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what else is there.")
    ] = False,
    plan_only: Annotated[
        bool, typer.Option("--dry-run", help="Say what it comes to, and write nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Lines of JSON on standard output, for programs.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    options: Mapping[str, str],
) -> None:
    """Write a checkpoint into a store or a folder.

    All its files: shards, index, config. What is there already is left alone, so a command that was
    cut off is resumed by the same one. The index is written last: where it is, the checkpoint is
    whole.

    Exit codes: 0, it is; 1, the store or the machine failed, and the same command goes on; 2,
    refused, nothing was written; 3, what was read back is something else.

    \b
    Examples:
      seedbed materialise gpt2 --seed 42 -o s3://bucket/gpt2/
      seedbed materialise llama-3-8b --dtype BF16 --set max_shard_size=5GB -o llama/ --dry-run
    """
    with refusals():
        settings = read_settings()
        checkpoint = checkpoint_of(source, shape, options, arguments or ())
        order = Order(
            output, Wish(verify, overwrite), ray is not None,
            None if ray == _ANY_CLUSTER else ray, as_json, quiet, settings.worker_threads,
            settings.limits, settings.text_limits, settings.engine,
        )  # fmt: skip
        if plan_only:
            dry_run(checkpoint, order, typer.echo)
            return
        try:
            code = write_checkpoint(checkpoint, order, console, say)
        except KeyboardInterrupt as error:
            say("interrupted; the same command goes on where this one stopped")
            raise typer.Exit(INTERRUPTED) from error
        raise typer.Exit(code)
