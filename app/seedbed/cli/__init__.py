"""The command line. Each command is imported when it is used, so that none waits for the others."""

import sys


def app() -> None:
    """Run the command that the program's arguments name, and exit."""
    if sys.argv[1:] == ["--version"]:  # needs no parser, which would take longer than all the rest
        from seedbed.cli.version import print_version

        print_version()
    else:
        from seedbed.cli.program import app as program

        program()
