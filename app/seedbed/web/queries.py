"""Query strings → options, each once, and none that there is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import parse_qsl

from fastapi import Request

from seedbed.errors import Choices, ParameterError


def query_options(request: Request) -> dict[str, str]:
    """The query string as options, each given once.

    Raises:
        ParameterError: one is given twice, or is no UTF-8.
    """
    query: bytes = request.scope["query_string"]
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise ParameterError("the query is not UTF-8") from error
    options: dict[str, str] = {}
    for key, value in pairs:
        if key in options:
            raise ParameterError(f"{key[:100]!r} is given twice", (key[:100],))
        options[key] = value
    return options


def refuse_others(options: Iterable[str], known: Collection[str], why: str = "") -> None:
    """Refuse parameters of the query that there are not, since ignoring them would mislead.

    Raises:
        ParameterError: one is none of the known, with the nearest.
    """
    for key in options:
        if key not in known:
            raise ParameterError(
                f"there is no parameter {key[:100]!r} here{why}",
                (key[:100],),
                Choices(known, key[:100]),
            )


def no_query(request: Request) -> None:
    """A dependency of routes whose path says everything."""
    refuse_query(request, "the path says everything")


def refuse_query(request: Request, why: str) -> None:
    """Refuse parameters where there are none, since ignoring them would mislead.

    Raises:
        ParameterError: there is a query string.
    """
    for key in query_options(request):
        raise ParameterError(f"there is no parameter {key[:100]!r} here: {why}", (key[:100],))
