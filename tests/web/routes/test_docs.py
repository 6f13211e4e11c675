from __future__ import annotations

import re

import httpx
import pytest


def test_page_asks_no_other_host(client: httpx.Client) -> None:
    """Every script, style and picture of /docs comes from this service, and is there."""
    page = client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    links = re.findall(r"""(?:src|href)="([^"]+)\"""", page.text)
    assert len(links) >= 3
    for link in links:
        assert link.startswith("/docs/assets/")
        asset = client.get(link)
        assert asset.status_code == 200
        assert asset.content
    assert re.findall(r"https?://", page.text) == []
    assert "url: '/openapi.json'" in page.text


@pytest.mark.parametrize(
    ("name", "media_type", "begins"),
    [
        ("swagger-ui-bundle.js", "text/javascript", b"/*! For license"),
        ("swagger-ui.css", "text/css", b".swagger-ui"),
        ("favicon.png", "image/png", b"\x89PNG"),
    ],
)
def test_assets(client: httpx.Client, name: str, media_type: str, begins: bytes) -> None:
    """An asset has its media type and its content."""
    asset = client.get(f"/docs/assets/{name}")
    assert asset.headers["content-type"].partition(";")[0] == media_type
    assert asset.content.startswith(begins)


@pytest.mark.parametrize(
    "name", ["nope.js", "../__init__.py", "..%2f__init__.py", "%2e%2e/__init__.py", ""]
)
def test_no_other_files(client: httpx.Client, name: str) -> None:
    """No other file of the package, or of the machine, is served."""
    response = client.get(f"/docs/assets/{name}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
