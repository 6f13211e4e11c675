from __future__ import annotations

from pathlib import Path

import pytest

from tests.registry.suite import StoreSuite


class TestSQLite(StoreSuite):
    """The suite, over a file."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        """Of a file that does not exist yet, in a directory that does not exist either."""
        return f"sqlite:///{tmp_path}/data/registry.db"
