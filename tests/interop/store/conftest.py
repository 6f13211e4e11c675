from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.store.s3 import Store, storing


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An S3 server with a bucket."""
    with storing(tmp_path_factory.mktemp("s3")) as running:
        yield running
