"""What the tests of alerting share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.alerted import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the file of a store that does not exist yet."""
    return tmp_path / "sergas.db"
