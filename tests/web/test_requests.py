from __future__ import annotations

import re
import urllib.parse

import httpx
import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import ParameterError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.files.one_tensor import spec_of_one
from seedbed.stream import get_engine
from seedbed.web.application import create_app
from seedbed.web.requests import PlanCache, query_options, refuse_query
from seedbed.web.settings import Settings
from tests.strategies import plain_text, untimed

NUMPY = get_engine("numpy")


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


def small(seed: int = 0) -> VirtualFile:
    """The plan of one tensor."""
    return VirtualFile(spec_of_one("zeros", "1", {"seed": str(seed)}), engine=NUMPY)


def large(tensors: int, note: str = "") -> VirtualFile:
    """The plan of many."""
    spec = CheckpointSpec.model_validate(
        {
            "tensors": [{"name": f"t{i}", "shape": [1], "init": "ones"} for i in range(tensors)],
            "metadata": {"note": note},
        }
    )
    return VirtualFile(spec, engine=NUMPY)


def test_cache_finds_what_it_keeps() -> None:
    """A file is found under its key, the very same object, and under no other."""
    cache = PlanCache(10**6)
    file = small()
    assert cache.find("a") is None
    assert cache.keep("a", file, 1) is file
    assert cache.find("a") is file
    assert cache.find("b") is None
    assert len(cache) == 1


def test_cache_forgets_the_least_recently_used() -> None:
    """When there are too many, those go that nobody has asked for longest."""
    cache = PlanCache(10**5)
    files = {seed: cache.keep(seed, small(seed), 8) for seed in range(10)}
    for seed in range(10, 200):
        assert cache.find(3) is files[3]
        cache.keep(seed, small(seed), 8)
    assert cache.find(0) is None
    assert cache.find(3) is files[3]
    assert cache.find(199) is not None
    assert 5 < len(cache) < 50


@pytest.mark.parametrize("heavy", ["tensors", "metadata", "key"])
def test_cache_counts_what_is_large(heavy: str) -> None:
    """Many tensors, long metadata and long keys each push others out."""
    cache = PlanCache(10**5)
    for seed in range(5):
        cache.keep(seed, small(seed), 8)
    file = large(200 if heavy == "tensors" else 1, "x" * 60_000 if heavy == "metadata" else "")
    cache.keep("large", file, 10**6 if heavy == "key" else 5)
    assert cache.find("large") is file
    assert len(cache) == 1


def test_cache_keeps_one_at_least() -> None:
    """The last file stays, however large: the ranges of a download come one after the other."""
    cache = PlanCache(0)
    cache.keep("a", small(1), 1)
    file = cache.keep("b", large(100), 1)
    assert cache.find("a") is None
    assert cache.find("b") is file


def test_cache_counts_a_key_once() -> None:
    """Two requests that plan one file at the same time do not use up the room twice."""
    cache = PlanCache(10**5)
    for _ in range(1000):
        cache.keep("same", small(), 8)
    for seed in range(5):
        cache.keep(seed, small(seed), 8)
    assert len(cache) == 6
    assert cache.find("same") is not None


_SPEC = '{"tensors":[{"name":"a","shape":[1],"init":"ones"}]}'

ROUTES = {
    "checkpoints": ("POST", "/v1/checkpoints", _SPEC),
    "describe": ("POST", "/v1/describe", _SPEC),
    "specs": ("PUT", "/v1/specs/reading/a", _SPEC),
    "compare": ("POST", "/v1/compare", '{"schemes":["ones"],"seeds":1,"network":{"depth":1}}'),
    "paths-info": ("POST", "/api/models/seedbed/tiny-gpt2/paths-info/main", '{"paths":[]}'),
}
"""All routes that take JSON."""


@pytest.mark.parametrize(("method", "path", "body"), ROUTES.values(), ids=ROUTES)
def test_one_way_to_read_a_body(client: httpx.Client, method: str, path: str, body: str) -> None:
    """Every route that takes JSON takes it in the same way, and refuses the same."""

    def ask(content: str | bytes, kind: str = "application/json", **headers: str) -> int:
        said = {"content-type": kind, **headers}
        return client.request(method, path, content=content, headers=said).status_code

    assert ask(body) in (200, 201)
    assert ask(body, "application/vnd.seedbed+json; charset=utf-8") in (200, 201)
    assert ask(body, "text/plain") == 415
    assert ask(body, **{"content-encoding": "gzip"}) == 415
    assert ask("{") == 400
    assert ask(body.encode("utf-16")) == 400
    assert ask("[]") == 422
    first = body[1:].split(":", maxsplit=1)[0]
    assert ask(f"{body[:-1]},{first}:[]}}") == 422  # a key twice, and the last is not even read
    assert ask("[" * 5000 + "]" * 5000) in (400, 422)


def test_every_route_with_a_body_is_tried() -> None:
    """A route that is added and takes a body is tried as well."""
    app = create_app(Settings(registry_url="none", log_level="error"))
    taking = {
        route.path.removeprefix("/hub")  # type: ignore[attr-defined]
        for route in app.router.routes
        if {"POST", "PUT", "PATCH"} & set(route.methods)  # type: ignore[attr-defined]
    }
    tried = [path for _, path, _ in ROUTES.values()]
    for path in taking:
        pattern = re.sub(r"\\{[a-z]+(:path)?\\}", "[^/]+", re.escape(path).replace("\\:", ":"))
        assert any(re.fullmatch(pattern, one) for one in tried), path
    assert len(taking) == len(tried)
