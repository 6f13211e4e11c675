from __future__ import annotations

import re

import httpx
import pytest

from seedbed.web.application import create_app
from seedbed.web.settings import Settings

_SPEC = '{"tensors":[{"name":"a","shape":[1],"init":"ones"}]}'

ROUTES = {
    "checkpoints": ("POST", "/v1/checkpoints", _SPEC),
    "describe": ("POST", "/v1/describe", _SPEC),
    "specs": ("PUT", "/v1/specs/reading/a", _SPEC),
    "compare": ("POST", "/v1/compare", '{"schemes":["ones"],"seeds":1,"network":{"depth":1}}'),
    "paths-info": ("POST", "/api/models/seedbed/tiny-gpt2/paths-info/main", '{"paths":[]}'),
}
"""All routes that take JSON."""

ELSEWHERE = {
    "/api/models/{name}/paths-info/{rest:path}",  # the same endpoint, of ids without organisation
    "/s3/{rest:path}",  # refused unread, and the connection closed: routes/test_s3.py
}
"""Routes that take a body and are not tried here."""


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
    assert taking >= ELSEWHERE
    taking -= ELSEWHERE
    tried = [path for _, path, _ in ROUTES.values()]
    for path in taking:
        pattern = re.sub(r"\\{[a-z]+(:path)?\\}", "[^/]+", re.escape(path).replace("\\:", ":"))
        assert any(re.fullmatch(pattern, one) for one in tried), path
    assert len(taking) == len(tried)
