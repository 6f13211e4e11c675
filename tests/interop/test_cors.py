"""A page of another origin reads files and ranges in a real browser, if the service lets it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import PATIENCE_SECONDS
from tests.serving import Server, serving

pytestmark = pytest.mark.interop

FILE = "/seedbed/tiny-resnet/resolve/seed-42/model.safetensors"
READ = """
async ([url, headers]) => {
  try {
    const answer = await fetch(url, { headers });
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const found = Object.fromEntries(answer.headers);
    return { status: answer.status, headers: found, bytes: [...bytes] };
  } catch (error) {
    return { blocked: String(error) };
  }
}
"""
ASK = """
async (url) => {
  const answer = await fetch(url, {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ paths: ["model.safetensors"], expand: true }),
  });
  return answer.json();
}
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another origin, with a page of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "index.html").write_text("<!doctype html><title>Elsewhere</title>")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        """Says nothing on standard error."""

        def log_message(self, *_: object) -> None:
            """Nothing."""

    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(PATIENCE_SECONDS)


@pytest.fixture
def page(chromium: Any, elsewhere: str) -> Iterator[Any]:
    """That page, in a browser."""
    with chromium.new_context() as context:
        shown = context.new_page()
        shown.goto(elsewhere)
        yield shown


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that lets every page read."""
    directory: Path = tmp_path_factory.mktemp("open")
    with serving(directory, cors_origins="*") as running:
        yield running


def test_a_page_reads_ranges(page: Any, open_to_all: Server) -> None:
    """A range comes with the headers that a Hub client in a browser reads."""
    url = f"{open_to_all.url}{FILE}"
    found = page.evaluate(READ, [url, {"range": "bytes=8-15", "authorization": "Bearer hf_x"}])
    whole = httpx.get(url).content
    assert found["status"] == 206
    assert bytes(found["bytes"]) == whole[8:16]
    for name in ("etag", "x-repo-commit", "content-range", "content-length"):
        assert name in found["headers"], name
    assert found["headers"]["content-range"] == f"bytes 8-15/{len(whole)}"


def test_a_page_reads_errors_and_asks_for_paths(page: Any, open_to_all: Server) -> None:
    """The code of an error can be read, and a JSON body may be posted."""
    url = f"{open_to_all.url}/seedbed/nonesuch/resolve/main/config.json"
    found = page.evaluate(READ, [url, {}])
    assert (found["status"], found["headers"]["x-error-code"]) == (404, "RepoNotFound")
    paths = page.evaluate(ASK, f"{open_to_all.url}/api/models/seedbed/tiny-resnet/paths-info/main")
    assert [one["path"] for one in paths] == ["model.safetensors"]


def test_a_page_wants_a_sum(page: Any, open_to_all: Server) -> None:
    """The true sum of a file can be asked for and read."""
    wants = {"want-repr-digest": "sha-256=1"}
    found = page.evaluate(READ, [f"{open_to_all.url}{FILE}", wants])
    assert found["headers"]["repr-digest"].startswith("sha-256=:")


def test_a_page_that_may_not(page: Any, server: Server) -> None:
    """Unless a setting says so, no page of another origin reads anything."""
    assert "blocked" in page.evaluate(READ, [f"{server.url}{FILE}", {}])
