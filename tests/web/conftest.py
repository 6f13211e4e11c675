"""One service for most tests of the room, in a process of its own, with its usual settings."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.serving import PATIENCE_SECONDS, Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`seedbed serve`, ready."""
    with serving(tmp_path_factory.mktemp("server"), log_format="json") as running:
        yield running


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of it."""
    with httpx.Client(base_url=server.url, timeout=PATIENCE_SECONDS) as connected:
        yield connected
