from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from pydantic import ValidationError

from seedbed.web.cors import parse_origins
from seedbed.web.settings import Settings
from tests.web.local import Local

FILE = "/v1/tensors/ones/4.safetensors"
LAB, OTHER = "https://lab.example:8443", "https://other.example"

EXPOSED = {
    "etag", "x-repo-commit", "content-range", "content-length", "x-linked-size", "x-linked-etag",
    "x-error-code", "x-error-message", "link",
}  # fmt: skip
"""What pages of Hub clients read: hub-protocol."""


@pytest.fixture(scope="module", params=["none", "*", f"{LAB} http://localhost:3000"])
def running(request: pytest.FixtureRequest) -> Iterator[tuple[str, httpx.Client]]:
    """A service for each way to say which pages may read."""
    with Local(cors_origins=request.param) as local, local.client() as client:
        yield request.param, client


def preflight(
    client: httpx.Client, origin: str, method: str, headers: str = "range"
) -> httpx.Response:
    """What a browser asks before such a request."""
    wanted = {"access-control-request-method": method, "access-control-request-headers": headers}
    return client.options(FILE, headers={"origin": origin, **wanted})


def words(answer: httpx.Response, name: str) -> set[str]:
    """The elements of a list in a header."""
    return {word.strip().lower() for word in answer.headers.get(name, "").split(",")} - {""}


@pytest.mark.parametrize("origin", [LAB, OTHER, "null", LAB.replace("https", "http"), f"{LAB}/"])
def test_who_may_read(running: tuple[str, httpx.Client], origin: str) -> None:
    """A page may read answers, errors too, if the setting has its origin; never by cookies."""
    setting, client = running
    may = setting == "*" or origin in setting.split()
    for path in (FILE, "/v1/schemes", "/nowhere"):
        answer = client.get(path, headers={"origin": origin})
        allowed = answer.headers.get("access-control-allow-origin")
        assert allowed == (None if not may else "*" if setting == "*" else origin)
        assert (words(answer, "access-control-expose-headers") >= EXPOSED) == may
        assert "access-control-allow-credentials" not in answer.headers
        # What is kept for one page must not be given to another.
        assert ("origin" in words(answer, "vary")) == (setting not in ("none", "*"))


@pytest.mark.parametrize("origin", [LAB, OTHER])
def test_preflight(running: tuple[str, httpx.Client], origin: str) -> None:
    """Ranges and conditions may be asked for, nothing else; only named pages store and delete."""
    setting, client = running
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"):
        for header in ("range", "authorization,content-type,if-match,if-none-match", "x-evil"):
            answer = preflight(client, origin, method, header)
            is_named = origin in setting.split()
            may = is_named or (setting == "*" and method not in ("PUT", "DELETE"))
            if may and method != "PATCH" and header != "x-evil":
                assert answer.status_code == 200
                allowed = answer.headers["access-control-allow-origin"]
                assert allowed == ("*" if setting == "*" else origin)
                methods = words(answer, "access-control-allow-methods")
                assert ({"put", "delete"} <= methods) == is_named
                assert method.lower() in methods
                assert set(header.split(",")) <= words(answer, "access-control-allow-headers")
                assert answer.headers["access-control-max-age"]
                continue
            assert answer.status_code == (405 if setting == "none" else 403)
            assert answer.headers["content-type"] == "application/problem+json"
            assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_preflight_needs_no_key() -> None:
    """Browsers show no key when they ask whether they may: that question is answered to anybody."""
    line = f"ci read sha256:{'0' * 64}"
    with (
        Local(cors_origins=LAB, api_keys=line, anonymous="none") as local,
        local.client() as client,
    ):
        assert preflight(client, LAB, "GET").status_code == 200
        refused = client.get(FILE, headers={"origin": LAB})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == LAB


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("none", set()), ("*", {"*"}), ("https://a.example", {"https://a.example"}),
        ("http://localhost:3000  http://[::1]:8080", {"http://localhost:3000", "http://[::1]:8080"}),
    ],
)  # fmt: skip
def test_origins(text: str, origins: set[str]) -> None:
    """Origins stand between spaces; none is none and * is any."""
    assert parse_origins(text) == origins
    assert Settings(cors_origins=text).cors_origins == text


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example/", "a.example", "https://A.example", "null", "* https://a.example",
        "https://*.example", "ftp://a.example", "https://a.example:x", "https://a.example,http://b",
    ],
)  # fmt: skip
def test_what_is_no_origin(text: str) -> None:
    """What no browser would ever send is refused at the start, since it would never match."""
    with pytest.raises(ValidationError, match="origin"):
        Settings(cors_origins=text)
