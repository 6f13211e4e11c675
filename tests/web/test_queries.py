from __future__ import annotations

import urllib.parse

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import ParameterError
from seedbed.web.queries import query_options, refuse_query
from tests.strategies import plain_text, untimed


def request(query: bytes) -> Request:
    """A request of which only the query is looked at."""
    return Request({"type": "http", "query_string": query, "headers": [], "path": "/"})


@untimed
@given(st.dictionaries(plain_text, plain_text))
def test_options_read_back(options: dict[str, str]) -> None:
    """Options come out as they went in, whatever characters are in them, empty ones included."""
    assert query_options(request(urllib.parse.urlencode(options).encode())) == options


def test_plain_utf8() -> None:
    """UTF-8 that nobody percent-encoded is UTF-8 all the same."""
    assert query_options(request("name=größe.重み".encode())) == {"name": "größe.重み"}


@pytest.mark.parametrize(
    "query", [b"a=1&a=2", b"a=1&b=2&a=1", b"a=&a=", b"%61=1&a=2", b"a=%FF", b"\xff=1"]
)
def test_options_that_are_refused(query: bytes) -> None:
    """An option given twice, or what is no UTF-8, is refused."""
    with pytest.raises(ParameterError):
        query_options(request(query))


def test_refuse_query() -> None:
    """Where there are no parameters none is let through, and none is no mistake."""
    refuse_query(request(b""), "for a reason")
    with pytest.raises(ParameterError, match="'seed' here: for a reason") as error:
        refuse_query(request(b"seed=1"), "for a reason")
    assert error.value.path == ("seed",)
