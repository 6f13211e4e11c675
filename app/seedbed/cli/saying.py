"""What is said on standard error: refusals, each with its place and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from seedbed.errors import InvalidError, LimitError, SeedbedError, SettingError, SpecError
from seedbed.files import errors_of, suggestions
from seedbed.web import variable

FAILED = 1
"""Exit code where the system failed."""

WRONG = 2
"""Exit code where a user can mend it."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

console = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def refusals() -> Iterator[None]:
    """End with a clear line and exit code 2 on what a user can mend."""
    try:
        yield
    except InvalidError as error:
        for finding in error.findings or [error]:
            complain(finding)
        raise typer.Exit(WRONG) from error
    except SeedbedError as error:
        complain(error)
        raise typer.Exit(WRONG) from error
    except ValidationError as error:  # of an option
        complain(*errors_of(error, None))
        raise typer.Exit(WRONG) from error
    except ExceptionGroup as group:  # of the settings, which may have several faults
        complain(*group.exceptions)
        raise typer.Exit(WRONG) from group
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "new thread" not in str(error):
            raise
        say(("there is too little memory", "red"), "; fewer threads need less: SEEDBED_THREADS=1")
        raise typer.Exit(FAILED) from error


def complain(*faults: Exception) -> None:
    """Say of each where, what is wrong, and what would be right."""
    wrong: list[SpecError | SettingError] = []
    for fault in faults:
        if isinstance(fault, LimitError):
            say((fault.said_of(variable(fault.limit)), "red"))
        elif isinstance(fault, SettingError):
            wrong.append(fault)
        elif isinstance(fault, SpecError):
            wrong += [fault, *fault.others]
        else:
            say((str(fault), "red"))
    for error, shown in zip(wrong, suggestions(wrong), strict=True):
        place = "/".join(map(str, error.path)) if isinstance(error, SpecError) else error.name
        say((place, "bold"), ": " if place else "", (shown.message, "red"))
        if shown.allowed:
            say(f"allowed: {', '.join(shown.allowed)}")


def say(*parts: str | tuple[str, str]) -> None:
    """A line on standard error, whatever characters a user's own text in it has."""
    styled = (part if isinstance(part, tuple) else (part, "") for part in parts)
    with suppress(OSError):  # nobody is left to be told
        console.print(Text.assemble(*((printable(text), style) for text, style in styled)))


def printable(text: str) -> str:
    """Text without characters that would move the cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def count(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
