"""Clients that offer HTTP/2 in each request are served by HTTP/1.1."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedbed.files import CheckpointSpec, VirtualFile
from tests.interop.conftest import EXAMPLES
from tests.interop.running import run
from tests.serving import Server

pytestmark = pytest.mark.interop

SPEC = EXAMPLES / "mlp.json"
JAVA = Path(__file__).with_name("java") / "Post.java"


@pytest.fixture(scope="module")
def content() -> bytes:
    """What the spec means, drawn in this process."""
    file = VirtualFile(CheckpointSpec.model_validate_json(SPEC.read_bytes()))
    return bytes(file.read(0, file.size))


def test_curl(server: Server, tmp_path: Path, content: bytes) -> None:
    """`curl --http2 --json` gets the file, also twice by one connection."""
    one, two = tmp_path / "1", tmp_path / "2"
    url = f"{server.url}/v1/checkpoints"
    curl = ("curl", "--disable", "-sS", "--fail", "--http2", "--json", f"@{SPEC}")
    said = run(*curl, "-w", "%{http_version} %{num_connects}\n", "-o", one, url, "-o", two, url)
    assert said.stdout.split("\n")[:2] == ["1.1 1", "1.1 0"]
    assert one.read_bytes() == two.read_bytes() == content


def test_curl_that_knows_better(server: Server, tmp_path: Path) -> None:
    """A client that speaks HTTP/2 without asking is told at once that nobody does."""
    curl = ("curl", "--disable", "-sS", "--http2-prior-knowledge", "--max-time", "30")
    done = run(*curl, "-o", tmp_path / "x", f"{server.url}/healthz", check=False)
    assert done.returncode not in (0, 28)  # 28: it waited for an answer


def test_java(server: Server, tmp_path: Path, content: bytes) -> None:
    """Java's HttpClient, as it is, posts a spec and gets the file."""
    file = tmp_path / "model.safetensors"
    said = run("java", JAVA, f"{server.url}/v1/checkpoints", SPEC, file)
    assert said.stdout.split("\n")[:3] == ["200 HTTP_1_1"] * 3
    assert file.read_bytes() == content
