"""The commands by name, with what the list of commands says of each; imported one at a time."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from seedbed.cli.version import TEXT
from seedbed.standard_streams import standard_streams


class Entry(NamedTuple):
    """A command: the module of this package that has it, and the first line of its help."""

    module: str
    summary: str


COMMANDS = {
    "serve": Entry("service", "Serve over HTTP."),
    "generate": Entry("files", "Write the file of a spec, the same bytes that the service sends."),
    "materialise": Entry("materialise", "Write a checkpoint into a store or a folder."),
    "inspect": Entry("files", "Print the plan of a spec, without drawing anything."),
    "record": Entry("record", "Write the spec of what a module starts from, without building it."),
    "schemes": Entry("catalogue", "List the initialisation schemes, or show one."),
    "layers": Entry("catalogue", "List the layers, or show one."),
    "models": Entry("catalogue", "List the presets, or show one."),
    "settings": Entry("service", "List the settings: value, default, and where the value is from."),
    "key": Entry("service", "Make an API key, and its hash for the service."),
    "compile": Entry("service", "Compile the kernels now, so that no start has to."),
}


class Program(TyperGroup):
    """All commands, with one end for what the system says: a line, and exit code 1."""

    _listing = False
    """Whether commands are only listed, for which none has to be imported."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.commands = {
            name: TyperCommand(name, help=entry.summary, rich_markup_mode=None)
            for name, entry in COMMANDS.items()
        }

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command and exit; nothing that it printed is lost in silence."""
        with standard_streams(_tell):
            return super().main(*args, **kwargs)  # where a broken pipe ends, quietly

    def get_command(self, _: Any, cmd_name: str) -> Any:
        """A command, or while they are listed only what is said of it; None if there is none."""
        if self._listing or cmd_name not in COMMANDS:
            return self.commands.get(cmd_name)
        module = import_module(f"seedbed.cli.{COMMANDS[cmd_name].module}")
        return typer.main.get_group(module.app).commands[cmd_name]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, from the summaries alone."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete a command's name, likewise."""
        self._listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._listing = False


def _tell(error: OSError) -> None:
    from seedbed.cli.saying import say

    say((str(error), "red"))


app = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # starts sooner, and brackets in a help are brackets
    help="The weights a model starts from: seeded initial checkpoints as safetensors files.",
    epilog="`seedbed COMMAND --help` has examples. Exit codes: 0 done; 1 the system failed (disk, "
    "memory, a closed pipe); 2 something given is wrong; 130 interrupted.",
)


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(TEXT)
        raise typer.Exit


@app.callback()
def callback(
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
