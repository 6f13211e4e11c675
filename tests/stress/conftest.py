"""A service that takes small files only, and must not say a word of failure, whatever is sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving import Server, serving

_SMALL = {
    "log_format": "json",
    "log_level": "warning",
    "max_file_bytes": 200_000,
    "max_dense_elements": 4096,
    "keep_alive_seconds": 0,
}


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`seedbed serve` with limits that make answers small, and a log of warnings only."""
    with serving(tmp_path_factory.mktemp("target"), **_SMALL) as running:
        yield running


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same, but it soon gives up to wait for the rest of a request."""
    with serving(
        tmp_path_factory.mktemp("impatient"), **_SMALL, head_seconds=0.5, body_seconds=0.5
    ) as running:
        yield running
