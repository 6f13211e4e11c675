"""One service for all interop tests, and what they ask of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.interop.running import run
from tests.serving import Server, serving

NODE = Path(__file__).with_name("node")
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that is ready."""
    with serving(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="session")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Keras over JAX, which keeps its configuration out of the home directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        import keras

        return keras


@pytest.fixture(scope="session")
def mlp(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of examples/mlp.json, from the service."""
    return save(server, example("mlp"), tmp_path_factory.mktemp("mlp"))


@pytest.fixture(scope="session")
def cnn(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of examples/cnn.json, from the service."""
    return save(server, example("cnn"), tmp_path_factory.mktemp("cnn"))


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts of node/ and the packages that their lock file names."""
    folder = tmp_path_factory.mktemp("node") / "node"
    shutil.copytree(NODE, folder, ignore=shutil.ignore_patterns("node_modules"))
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder)
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, for a module alone: its event loop would be in the way of others."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    assert program, "apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        yield browser
        browser.close()


def example(name: str) -> dict[str, Any]:
    """One of the specs that users are shown."""
    body: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return body


def save(server: Server, body: dict[str, Any], directory: Path) -> Path:
    """Post a spec and keep the file that it means."""
    path = directory / "model.safetensors"
    path.write_bytes(
        httpx.post(f"{server.url}/v1/checkpoints", json=body).raise_for_status().content
    )
    return path
